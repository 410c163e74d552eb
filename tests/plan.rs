//! Plans, without a GPU: memory, bindings, windows, costs and counts.

use std::collections::{BTreeMap, BTreeSet};

use ocellus::engine::plan::budget;
use ocellus::engine::plan::memory::{self, Memory};
use ocellus::engine::plan::{Element, Lifetime, Plan, Recompute, Target, TensorId, View};
use ocellus::engine::shader::Access;
use ocellus::engine::variant::{Abilities, Algorithm, Convolutions, LEAST_TEXEL_BYTES, Tile, Variant};
use ocellus::network::compile::{image_bytes, image_cost, inference, training};
use ocellus::network::{Network, tutorial};

const MIB: u64 = 1 << 20;

fn target(binding_bytes: u64) -> Target {
    Target { binding_bytes, ..Target::default() }
}

/// Small enough for many batches; its channel counts are no multiples of four.
fn small() -> Network {
    tutorial(35, 0.09, 3)
}

/// A plan of one, two or three windows for every batch from 1 to 9, and the tutorial's own; each with and without reads
/// through textures, and with more or less computed again.
fn plans() -> Vec<Plan> {
    let network = small();
    let image = image_bytes(&network);
    let mut plans = Vec::new();
    for texel_reads in [None, Some(0)] {
        let variant = Variant { texel_reads, ..Variant::default() };
        plans.push(training(&tutorial(224, 1.0, 8), 32, &Target { variant: variant.clone(), ..Target::default() }));
        for (recompute, brief_textures) in Recompute::ALL.into_iter().zip([true, false].into_iter().cycle()) {
            let target = Target { variant: variant.clone(), recompute, brief_textures, ..Target::default() };
            plans.push(training(&tutorial(32, 0.5, 8), 4, &target));
            let convolutions = Convolutions::All(Algorithm::Winograd(Tile::Four));
            let variant = Variant { fused_statistics: true, ..variant.with(convolutions) };
            plans.push(training(&tutorial(32, 0.5, 8), 4, &Target { variant, ..target }));
        }
        for batch in 1..=9u64 {
            for images in [batch, batch.div_ceil(2), batch.div_ceil(3)] {
                let target = Target { variant: variant.clone(), ..target(image * images) };
                plans.push(training(&network, batch as usize, &target));
                plans.push(inference(&network, batch as usize, &target));
            }
        }
    }
    plans
}

/// The first and the last step that uses each view's buffer.
fn lives(plan: &Plan, memory: &Memory) -> BTreeMap<View, (usize, usize)> {
    let mut lives = BTreeMap::new();
    for (index, (step, texels)) in plan.steps.iter().zip(plan.texels()).enumerate() {
        let bound = step.bindings.iter().filter(|(name, _)| !texels.contains(name)).map(|(_, view)| view);
        for &view in bound.chain(&memory.copies[index]) {
            lives.entry(view).and_modify(|(_, last)| *last = index).or_insert((index, index));
        }
    }
    lives
}

#[test]
fn slots_are_never_shared_while_live() {
    for plan in plans() {
        let memory = memory::assign(&plan);
        let lives = lives(&plan, &memory);
        for view in lives.keys() {
            let temporary = plan.tensor(view.tensor).lifetime == Lifetime::Temporary;
            assert_eq!(memory.buffers.place.contains_key(view), temporary, "{}", plan.tensor(view.tensor).name);
        }
        let mut tenants: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        for (view, slot) in &memory.buffers.place {
            assert!(plan.bytes_of(*view) <= memory.buffers.slots[*slot]);
            tenants.entry(*slot).or_default().push(lives[view]);
        }
        for (slot, mut lives) in tenants {
            lives.sort();
            assert!(lives.is_sorted_by(|a, b| a.1 < b.0), "slot {slot}: {lives:?}");
        }
    }
}

/// A texture holds what was copied into it last: that must be what the step wants to read, and no step may have written
/// the buffer since.
#[test]
fn textures_are_up_to_date_when_they_are_read() {
    let mut read = 0;
    for plan in plans() {
        let memory = memory::assign(&plan);
        let mut held: BTreeMap<usize, View> = BTreeMap::new();
        for (index, (step, texels)) in plan.steps.iter().zip(plan.texels()).enumerate() {
            for view in &memory.copies[index] {
                let slot = memory.texture(index, *view);
                assert!(plan.bytes_of(*view) <= memory.textures.slots[slot]);
                held.insert(slot, *view);
            }
            let declared = plan.declared(step);
            for (name, view) in &step.bindings {
                if texels.contains(name) {
                    assert_eq!(held.get(&memory.texture(index, *view)), Some(view), "{} reads {name}", step.name);
                    read += 1;
                }
                let binding = declared.iter().find(|binding| binding.name == *name).unwrap();
                if binding.access == Access::Write {
                    held.retain(|_, other| other != view);
                }
            }
        }
    }
    assert!(read > 0);
}

/// Below what Keras takes for the same step, 2.8 GB, with whatever variant a device is given by itself.
#[test]
fn the_tutorials_step_takes_less_memory_than_keras() {
    for variant in Variant::all(&lavapipe()) {
        let target = Target { variant, ..Target::default() };
        let total = memory::total(&training(&tutorial(224, 1.0, 8), 32, &target));
        println!("{}: {} MiB", target.variant, total.bytes() / MIB);
        assert!(total.bytes() < 2_800_000_000, "{}: {total:?}", target.variant);
    }
}

fn lavapipe() -> Abilities {
    Abilities { software: true, fixed_subgroup: Some(8), ..Abilities::default() }
}

/// Every budget is kept or refused with the least that would do, and that is then enough.
#[test]
fn budgets_are_kept() {
    let network = tutorial(160, 0.25, 8);
    let plans = |target: &Target| vec![training(&network, 16, target), inference(&network, 16, target)];
    let target = Target { variant: Variant::all(&lavapipe()).swap_remove(0), ..Target::default() };
    let bytes = |target: &Target| memory::total_of(&plans(target)).bytes();
    let fit = |budget: u64| budget::fit(target.clone(), budget, 16, plans);

    let free = bytes(&target);
    assert_eq!(fit(free).unwrap(), target, "what fits is left as it is");
    let refused = fit(MIB).unwrap_err().to_string();
    let least: u64 = refused.split(" MiB is the least").next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    println!("{} MiB without a budget; {refused}", free / MIB);
    let (mut windows, mut recomputed, mut without_textures) = (BTreeSet::new(), BTreeSet::new(), false);
    for budget in (least..=free.div_ceil(MIB)).map(|mib| mib * MIB) {
        let fitted = fit(budget).unwrap_or_else(|error| panic!("{budget} bytes: {error}"));
        assert!(bytes(&fitted) <= budget, "{budget} bytes: {} of {fitted:?}", bytes(&fitted));
        windows.insert(plans(&fitted)[0].windows.len());
        recomputed.insert(fitted.recompute);
        without_textures |= fitted.variant.texel_reads.is_none();
    }
    assert!(windows.len() > 1 && recomputed.len() > 1 && without_textures, "{windows:?} {recomputed:?}");
    assert!(fit((least - 1) * MIB).is_err(), "{least} MiB is the least");
    assert!(least * MIB < free * 9 / 10, "a budget saves memory");
}

/// Plans in one session share weights and slots.
#[test]
fn a_session_takes_less_than_its_plans() {
    let network = small();
    let target = Target::default();
    let plans =
        || vec![training(&network, 5, &target), training(&network, 3, &target), inference(&network, 4, &target)];
    let each: Vec<_> = plans().iter().map(memory::total).collect();
    let all = memory::total_of(&plans());
    assert_eq!(all.persistent, each[0].persistent);
    assert_eq!(all.kept, each.iter().map(|total| total.kept).sum::<u64>());
    assert!(all.slots >= each[0].slots && all.slots < each.iter().map(|total| total.slots).sum(), "{all:?}");
}

/// Slots take little more than what is there at once, which no order of theirs could go below.
#[test]
fn slots_save_memory() {
    for recompute in Recompute::ALL {
        let target = Target { recompute, ..Target::default() };
        let plan = training(&tutorial(224, 1.0, 8), 32, &target);
        let memory = memory::assign(&plan);
        let temporary = |view: &View| memory.buffers.place.contains_key(view);
        let lives = lives(&plan, &memory);
        let lives: Vec<_> = lives.into_iter().filter(|(view, _)| temporary(view)).collect();
        let at = |step| lives.iter().filter(move |(_, (first, last))| (*first..=*last).contains(&step));
        let live = |step| at(step).map(|(view, _)| plan.bytes_of(*view)).sum::<u64>();
        let most = (0..plan.steps.len()).map(live).max().unwrap();
        let slots = memory.buffers.bytes();
        println!("{recompute:?}: {} MiB at once, in {} MiB of slots", most / MIB, slots / MIB);
        assert!(slots >= most && slots * 3 < most * 4, "{recompute:?}: {slots} bytes for {most}");
    }
}

/// What is computed again is not kept, at the tutorial's size and with whatever variant a device is given by itself.
#[test]
fn computing_again_saves_memory() {
    for variant in Variant::all(&lavapipe()) {
        let bytes = |recompute| {
            let target = Target { recompute, variant: variant.clone(), ..Target::default() };
            memory::total(&training(&tutorial(224, 1.0, 8), 32, &target)).bytes()
        };
        let bytes = Recompute::ALL.map(bytes);
        println!("{variant}: {:?} MiB", bytes.map(|bytes| bytes / MIB));
        assert!(bytes.is_sorted_by(|less, more| less > more), "{variant}: {bytes:?}");
        assert!(bytes[3] * 10 < bytes[0] * 9, "{variant}: {bytes:?}");
    }
}

#[test]
fn no_step_binds_a_buffer_twice() {
    for plan in plans() {
        let memory = memory::assign(&plan);
        for (step, texels) in plan.steps.iter().zip(plan.texels()) {
            let bound = || step.bindings.iter().filter(|(name, _)| !texels.contains(name));
            let buffers: BTreeSet<_> = bound().map(|(_, view)| memory.buffers.place.get(view).ok_or(*view)).collect();
            assert_eq!(buffers.len(), bound().count(), "{}", step.name);
        }
    }
}

/// A slot holds what its earlier tenant left there.
#[test]
fn temporary_tensors_are_written_before_they_are_read() {
    for plan in plans() {
        let mut written = BTreeSet::new();
        for step in &plan.steps {
            let declared = plan.declared(step);
            let writable =
                |name: &str| declared.iter().find(|binding| binding.name == name).unwrap().access == Access::Write;
            for (name, view) in &step.bindings {
                let temporary = plan.tensor(view.tensor).lifetime == Lifetime::Temporary;
                assert!(!temporary || writable(name) || written.contains(view), "{} reads {name}", step.name);
            }
            written.extend(step.bindings.iter().filter(|(name, _)| writable(name)).map(|(_, view)| *view));
        }
    }
}

#[test]
fn nodes_cover_the_steps_in_order() {
    for plan in plans() {
        let mut next = 0;
        for node in &plan.nodes {
            assert!(node.steps.start == next && node.steps.end > next, "{node:?}");
            next = node.steps.end;
        }
        assert_eq!(next, plan.steps.len());
    }
}

#[test]
fn windows_cover_the_batch_once() {
    for batch in 1..=40 {
        for fitting in 1..=batch + 1 {
            let plan = Plan::new(target(1000 * fitting as u64 + 999), batch, 1000);
            let mut next = 0;
            for (index, window) in plan.windows.iter().enumerate() {
                assert_eq!((window.index, window.first), (index, next));
                assert!((1..=fitting).contains(&window.images), "{batch} images, {fitting} fit: {window:?}");
                next += window.images;
            }
            assert_eq!(next, batch);
            assert!(plan.windows.len() <= batch.div_ceil(fitting), "{batch} images, {fitting} fit: more than needed");
        }
    }
}

#[test]
fn windowed_tensors_hold_the_whole_batch() {
    for plan in plans() {
        for (index, tensor) in plan.tensors.iter().enumerate().filter(|(_, tensor)| tensor.windowed) {
            let windows = 0..plan.windows_of(TensorId(index));
            let bytes: u64 = windows.map(|window| plan.bytes_of(View { tensor: TensorId(index), window })).sum();
            assert_eq!(bytes, 4 * tensor.stored_shape().iter().product::<usize>() as u64, "{}", tensor.name);
        }
    }
}

#[test]
fn bindings_fit_the_target() {
    let network = tutorial(224, 1.0, 8);
    for batch in [32, 128] {
        let plan = training(&network, batch, &target(128 * MIB));
        assert!(plan.too_large().is_none(), "{:?}", plan.too_large());
        for step in &plan.steps {
            for (name, view) in &step.bindings {
                assert!(plan.bytes_of(*view) <= 128 * MIB, "{}: {name}", step.name);
            }
        }
    }
    // A window of one image of the first activations (6.1 MiB) fits 16 MiB, but the last kernels (36 MiB) never do.
    let (tensor, bytes) = inference(&network, 32, &target(16 * MIB)).too_large().map(|(t, b)| (t.clone(), b)).unwrap();
    assert_eq!((&*tensor.name, bytes), ("conv7.kernel", 3 * 3 * 512 * 1024 * 4));
    let half = tutorial(224, 0.5, 8);
    assert!(inference(&half, 32, &target(16 * MIB)).too_large().is_none());
}

/// A slow device gets more windows, until a dispatch of a convolution is short enough or a window has one image.
#[test]
fn dispatches_fit_the_target() {
    let network = tutorial(224, 1.0, 8);
    let image = image_cost(&network).flops;
    for (images, windows) in [(32, 2), (16, 2), (10, 4), (1, 32)] {
        let slow = Target { dispatch_flops: images * image, ..Target::default() };
        let plan = training(&network, 32, &slow);
        assert_eq!(plan.windows.len(), windows, "{images} images a dispatch");
        let longest = plan.steps.iter().filter(|step| step.kernel.path.starts_with("conv2d/")).map(|step| step.flops);
        assert!(longest.max().unwrap() <= slow.dispatch_flops);
    }
    let hopeless = Target { dispatch_flops: 1, ..Target::default() };
    assert_eq!(training(&network, 32, &hopeless).windows.len(), 32);
}

/// Every adapter has textures of 8,192 rows, and no more.
#[test]
fn no_texture_is_too_large_for_an_adapter() {
    let variant = Variant { texel_reads: Some(LEAST_TEXEL_BYTES), ..Variant::default() };
    let plan = training(&tutorial(384, 1.0, 8), 32, &Target { variant, ..target(2048 * MIB) });
    let read = plan.steps.iter().zip(plan.texels()).flat_map(|(step, texels)| {
        step.bindings.iter().filter(move |(name, _)| texels.contains(name)).map(|&(_, view)| view)
    });
    let bytes: Vec<u64> = read.map(|view| plan.bytes_of(view)).collect();
    assert!(!bytes.is_empty() && bytes.iter().all(|&bytes| bytes <= 512 * MIB), "{:?}", bytes.iter().max());
    let all = plan.steps.iter().flat_map(|step| &step.bindings).map(|&(_, view)| plan.bytes_of(view));
    assert!(all.max() > Some(512 * MIB), "there are larger ones");
}

/// Numbers in tensors that satisfy `chosen`, padding left out.
fn count(plan: &Plan, chosen: impl Fn(&str) -> bool) -> usize {
    let persistent = plan.tensors.iter().filter(|tensor| tensor.lifetime == Lifetime::Persistent && !tensor.is_arena());
    persistent.filter(|tensor| chosen(&tensor.name)).map(|tensor| tensor.shape.iter().product::<usize>()).sum()
}

#[test]
fn plans_hold_the_tutorials_parameters() {
    const TRAINABLE: usize = 18_357_768;
    const MOVING: usize = 7_104;
    let network = tutorial(224, 1.0, 8);
    let plan = training(&network, 32, &Target::default());
    let moment = |name: &str| ["m/", "v/", "vhat/"].iter().any(|prefix| name.starts_with(prefix));
    assert_eq!(count(&plan, |name| name.ends_with(".moving")), MOVING);
    assert_eq!(count(&plan, |name| !name.ends_with(".moving") && !moment(name)), TRAINABLE);
    // The biases that a batch norm cancels are not trained: they start as zeros, and Adam has nothing to do.
    let cancelled = [32, 64, 128, 256, 512, 512, 1024, 1024].iter().sum::<usize>();
    assert_eq!(count(&plan, moment), 3 * (TRAINABLE - cancelled));
    assert_eq!(count(&inference(&network, 1, &Target::default()), |_| true), TRAINABLE + MOVING);
}

#[test]
fn training_and_inference_share_their_persistent_tensors() {
    let [trained, inferred] = [training(&small(), 4, &Target::default()), inference(&small(), 3, &Target::default())];
    for tensor in inferred.tensors.iter().filter(|tensor| tensor.lifetime == Lifetime::Persistent) {
        let same = trained.tensor(trained.find(&tensor.name).expect("training has it"));
        assert_eq!((&same.shape, same.layout, same.element), (&tensor.shape, tensor.layout, Element::F32));
    }
}

#[test]
fn names_are_unique() {
    for plan in plans() {
        let names: BTreeSet<&str> = plan.tensors.iter().map(|tensor| &*tensor.name).collect();
        assert_eq!(names.len(), plan.tensors.len());
    }
}

/// FLOPs of the nodes of layers of that kind.
fn flops(plan: &Plan, kind: &str) -> u64 {
    plan.nodes.iter().filter(|node| node.name.starts_with(kind)).map(|node| node.flops).sum()
}

#[test]
fn the_tutorials_forward_pass_is_4_2_gflop_an_image() {
    let network = tutorial(224, 1.0, 8);
    // Side, channels in and out of each convolution, two operations per multiply-add, nine taps.
    let layers = [(224, 3, 32), (112, 32, 64), (56, 64, 128), (28, 128, 256), (14, 256, 512), (14, 512, 512)];
    let layers = layers.into_iter().chain([(7, 512, 1024), (7, 1024, 1024)]);
    let convolutions: u64 = layers.map(|(side, cin, cout)| 2 * 9 * side * side * cin * cout).sum();
    let dense = 2 * (1024 * 256 + 256 * 8);
    for batch in [1, 5, 32] {
        let plan = inference(&network, batch, &Target::default());
        assert_eq!(flops(&plan, "conv"), batch as u64 * convolutions);
        assert_eq!(flops(&plan, "dense"), batch as u64 * dense);
        let all = flops(&plan, "");
        let each = all as f64 / batch as f64;
        assert!((4.2e9..4.3e9).contains(&each), "{each} an image");
    }
    // Training adds as much for each gradient, but for the first layer's of its input.
    let plan = training(&network, 2, &Target::default());
    let first = 2 * 9 * 224 * 224 * 3 * 32;
    assert_eq!(flops(&plan, "conv"), 2 * (3 * convolutions - first));
}
