//! Batches cut into shares: several devices that compute one share each give the bits of one device that computes all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use ocellus::app::config::Config;
use ocellus::app::data::Images;
use ocellus::app::predict;
use ocellus::app::train::Data;
use ocellus::app::train::feed::Labelled;
use ocellus::engine::numbers::uniform;
use ocellus::engine::plan::{Exchange, Lifetime, Plan, Run, Shares, Target, Tensor, memory, names};
use ocellus::engine::run::Engine;
use ocellus::engine::run::group::Group;
use ocellus::engine::variant::{Algorithm, Convolutions, Core, Tile, Variant};
use ocellus::error::{Error, Result};
use ocellus::network::compile::{inference, training};
use ocellus::network::{Network, Template, tutorial, weights};
use ocellus::proof::doctor::step;

use crate::common::steps::{device, device_lost_after, train_step, twins, write_batch};
use crate::common::training::{assert_same_state, config, photographs, trainer};

static NEVER: AtomicBool = AtomicBool::new(false);
const SIZE: usize = 16;
const CLASSES: usize = 3;

/// The names and bits of everything that persists.
type State = BTreeMap<String, Vec<u32>>;

fn group(ranks: usize, one: fn() -> Engine) -> Engine {
    as_group((0..ranks).map(|_| one()).collect())
}

fn as_group(engines: Vec<Engine>) -> Engine {
    Engine::Group(Box::new(Group::new(engines).unwrap_or_else(|error| panic!("{error}"))))
}

fn network(layers: &str) -> Network {
    let template: Template = toml::from_str(&format!("layer = [{layers}]")).unwrap();
    template.build(SIZE, 1.0, CLASSES).unwrap_or_else(|fault| panic!("layer {:?}: {}", fault.entry, fault.why))
}

/// Batch norms with a ReLU and a pool in their passes, one of which leaves pixels out, and alone; a sum of two layers.
fn residual() -> Network {
    network(
        r#"
        { type = "conv2d", filters = 6, kernel = 3 },
        { type = "batch_norm" },
        { type = "relu" },
        { type = "max_pool", window = 3 },
        { type = "conv2d", filters = 6, kernel = 3 },
        { type = "batch_norm" },
        { type = "add", inputs = ["bn2", "pool1"] },
        { type = "global_average_pool" },
        { type = "dense" },
        "#,
    )
}

/// Convolutions without a batch norm after them, whose biases are trained; gradients are clipped.
fn plain() -> Network {
    let plain = network(
        r#"
        { type = "conv2d", filters = 6, kernel = 3 },
        { type = "relu" },
        { type = "average_pool", window = 2 },
        { type = "conv2d", filters = 9, kernel = 1, stride = 2 },
        { type = "global_average_pool" },
        { type = "dense" },
        "#,
    );
    Network { clip_norm: Some(0.5), ..plain }
}

fn images(count: usize, size: usize) -> Images {
    let noise = uniform(7, count * size * size * 3);
    let pixels = noise.into_iter().map(|number| ((number + 1.0) * 127.5) as u8).collect();
    Images { size: size.into(), count, pixels }
}

fn drawn(count: usize, size: usize) -> Labelled {
    let labels = (0..count).map(|image| (image % CLASSES) as u32).collect();
    Labelled::new(images(count, size), labels)
}

/// A target whose batches have `count` shares, and windows of at most so many images.
fn cut(engine: &Engine, count: usize, images: usize, convolutions: Convolutions) -> Target {
    let target = engine.target();
    let variant = target.variant.with(convolutions);
    Target { shares: Shares::all(count), variant, window_images: images, ..target }
}

/// A target with fused statistics, and windows of at most two images.
fn fused(engine: &Engine, count: usize, convolutions: Convolutions) -> Target {
    let target = cut(engine, count, 2, convolutions);
    Target { variant: Variant { fused_statistics: true, ..target.variant.clone() }, ..target }
}

/// A plan of training on an engine, with weights and a batch.
fn load(engine: &mut Engine, network: &Network, batch: usize, target: &Target) -> usize {
    let program = engine.load_for(target, |target| training(network, batch, target)).unwrap();
    weights::upload(engine, program, network, &weights::initial(network, 3));
    engine.write(program, names::CLASS_WEIGHT, &[1.0, 2.0, 0.5]);
    write_batch(engine, program, &drawn(batch, network.image_size.height));
    program
}

/// Everything that persists after some steps, and the losses.
fn train(mut engine: Engine, network: &Network, batch: usize, target: &Target) -> (State, Vec<f64>) {
    let program = load(&mut engine, network, batch, target);
    let losses = (1..=2).map(|step| train_step(&mut engine, program, step)).collect();
    let persists = |plan: &Plan| {
        let tensors =
            plan.tensors.iter().filter(|tensor| tensor.lifetime == Lifetime::Persistent && !tensor.is_arena());
        tensors.map(|tensor| tensor.name.clone()).collect::<Vec<_>>()
    };
    let names = persists(engine.plan(program));
    let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect();
    let state = names.into_iter().map(|name| (name.clone(), bits(engine.read(program, &name).unwrap()))).collect();
    (state, losses)
}

#[track_caller]
fn assert_same((one, losses): &(State, Vec<f64>), (other, of_others): &(State, Vec<f64>)) {
    assert!(one.len() > 5 && one.keys().eq(other.keys()));
    for (name, bits) in one {
        assert!(*bits == other[name], "{name} differs");
    }
    assert_eq!(losses, of_others);
    assert!(losses.iter().all(|loss| loss.is_finite() && *loss > 0.0), "{losses:?}");
}

/// Every number of devices that divides the shares, and one device with all of them.
#[track_caller]
fn same_bits(network: &Network, batch: usize, count: usize, images: usize, convolutions: Convolutions) {
    same_bits_in(network, batch, &cut(&device(), count, images, convolutions));
}

#[track_caller]
fn same_bits_in(network: &Network, batch: usize, target: &Target) {
    let count = target.shares.count;
    let whole = train(device(), network, batch, target);
    for ranks in (2..=count).filter(|ranks| count.is_multiple_of(*ranks)) {
        assert_same(&whole, &train(group(ranks, device), network, batch, target));
    }
}

#[test]
fn direct_convolutions_on_two_devices() {
    same_bits(&residual(), 8, 2, 8, Convolutions::All(Algorithm::Direct));
}

#[test]
fn tiles_in_windows_on_two_and_four_devices() {
    same_bits(&residual(), 12, 4, 2, Convolutions::All(Algorithm::Winograd(Tile::Four)));
}

/// Steps of a plan that merge runs of blocks of moments.
fn runs_of_blocks(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| step.kernel.path == "batch_norm/statistics_blocks").count()
}

/// Statistics from where outputs are written, with few blocks, and with so many that a share's need two merges.
#[test]
fn fused_statistics_on_two_and_four_devices() {
    let fused = |count, convolutions| fused(&device(), count, convolutions);
    let target = fused(4, Convolutions::All(Algorithm::Winograd(Tile::Four)));
    same_bits_in(&residual(), 12, &target);
    let wide = network(
        r#"
        { type = "conv2d", filters = 64, kernel = 3 },
        { type = "batch_norm" },
        { type = "relu" },
        { type = "global_average_pool" },
        { type = "dense" },
        "#,
    );
    let target = fused(2, Convolutions::All(Algorithm::Winograd(Tile::Two)));
    assert_eq!(runs_of_blocks(&training(&wide, 66, &target)), 2 * 2);
    same_bits_in(&wide, 66, &target);
    // Direct convolution leaves them by the core of GPUs alone, where no sum is split.
    let mut target = fused(4, Convolutions::All(Algorithm::Direct));
    target.variant.core = Core::Workgroup { threads_m: 8, threads_n: 8, prefetch: false };
    target.variant.sizes.parallel_groups = 1;
    let plan = training(&residual(), 12, &target);
    assert!(plan.steps.iter().any(|step| step.kernel.path == "conv2d/forward_statistics"));
    same_bits_in(&residual(), 12, &target);
}

#[test]
fn trained_biases_and_clipped_gradients_on_three_devices() {
    same_bits(&plain(), 9, 3, 2, Convolutions::Counted);
}

/// Kernels that are so large that each device updates a slice of them: of channels that make whole vec4s, and of others; some
/// before a batch norm, one after the last, and a dense one. Nine shares of 20,736 and 5,244 vec4s are not equal.
fn large() -> Network {
    network(
        r#"
        { type = "conv2d", filters = 30, kernel = 3 },
        { type = "batch_norm" },
        { type = "conv2d", filters = 69, kernel = 3 },
        { type = "batch_norm" },
        { type = "relu" },
        { type = "average_pool", window = 4 },
        { type = "conv2d", filters = 128, kernel = 3 },
        { type = "batch_norm" },
        { type = "conv2d", filters = 130, kernel = 1 },
        { type = "relu" },
        { type = "global_average_pool" },
        { type = "dense", units = 130 },
        { type = "dense" },
        "#,
    )
}

#[test]
fn large_kernels_in_slices_on_two_and_four_devices() {
    same_bits(&large(), 8, 4, 2, Convolutions::Counted);
    same_bits(&large(), 8, 2, 8, Convolutions::All(Algorithm::Direct));
}

#[test]
fn large_kernels_in_slices_that_are_not_equal() {
    same_bits(&large(), 9, 9, 1, Convolutions::Counted);
}

/// The gradient of the first kernel is dealt when nothing is left to compute before it is added up.
#[test]
fn a_large_first_kernel_in_slices() {
    let first = network(
        r#"
        { type = "conv2d", filters = 112, kernel = 7 },
        { type = "relu" },
        { type = "global_average_pool" },
        { type = "dense" },
        "#,
    );
    same_bits(&first, 4, 2, 4, Convolutions::Counted);
    let target = Target { shares: Shares::of_rank(2, 0, 2), ..Target::default() };
    let plan = training(&first, 4, &target);
    let dealt: Vec<&Exchange> = plan.exchanges.iter().filter(|exchange| !exchange.dealt.is_empty()).collect();
    assert!(matches!(dealt[..], [one] if one.until == one.before), "{dealt:?}");
}

/// Clipping needs all gradients at once.
#[test]
fn large_kernels_with_clipped_gradients_are_not_cut() {
    let (free, clipped) = (large(), Network { clip_norm: Some(0.1), ..large() });
    same_bits(&clipped, 6, 2, 3, Convolutions::Counted);
    let target = Target { shares: Shares::of_rank(2, 0, 2), ..Target::default() };
    let dealt = |network| training(network, 6, &target).exchanges.iter().any(|exchange| !exchange.dealt.is_empty());
    assert!(dealt(&free) && !dealt(&clipped));
}

/// A gradient that is unusable in one device's slice alone ends the step of all, and is named as on one device.
#[test]
fn a_fault_in_one_slice_is_told_by_all() {
    let network = large();
    let fault = |mut engine: Engine| {
        let target = cut(&engine, 2, 8, Convolutions::Counted);
        let program = load(&mut engine, &network, 4, &target);
        // A feature of a size that the dense layer does not take: its row of the gradient alone is unusable, in the last slice.
        let mut filters = engine.read(program, "conv4.kernel").unwrap();
        filters.iter_mut().skip(129).step_by(130).for_each(|weight| *weight = 1e25);
        engine.write(program, "conv4.kernel", &filters);
        let mut rows = engine.read(program, "dense1.kernel").unwrap();
        rows[129 * 130..].fill(0.0);
        engine.write(program, "dense1.kernel", &rows);
        engine.write(program, names::RATE, &[1e-3, 0.0, 0.0, 0.0]);
        let running = engine.start(program);
        let fault = engine.finish(running).unwrap().fault.expect("a gradient is unusable");
        let plan = engine.plan(program);
        (fault, plan.tensor(plan.guarded[fault]).name.clone())
    };
    let alone = fault(device());
    assert_eq!(alone.1, "gradient/dense1.kernel");
    assert_eq!(fault(group(2, device)), alone);
}

/// The shares matter: the same batch as one share is rounded differently. A comparison that is blind would pass.
#[test]
fn another_cut_has_other_bits() {
    let of = |count| {
        let one = device();
        let target = cut(&one, count, 8, Convolutions::Counted);
        train(one, &plain(), 8, &target).0
    };
    assert!(of(1) != of(2));
}

/// The twins of a group's ranks, in lockstep, against those of the whole plan.
#[test]
fn the_twins_of_ranks_compute_what_those_of_the_whole_plan_do() {
    let counted = cut(&twins(), 2, 2, Convolutions::Counted);
    let networks =
        [tutorial(32, 0.0625, CLASSES), residual(), plain(), large()].map(|network| (network, counted.clone()));
    let fused = fused(&twins(), 2, Convolutions::All(Algorithm::Winograd(Tile::Four)));
    for (network, target) in networks.into_iter().chain([(residual(), fused)]) {
        let (whole, losses) = train(twins(), &network, 6, &target);
        let (ranks, of_ranks) = train(group(2, twins), &network, 6, &target);
        assert!(losses.iter().zip(&of_ranks).all(|(a, b)| (a - b).abs() < 1e-6), "{losses:?} {of_ranks:?}");
        assert!(whole.keys().eq(ranks.keys()));
        for (name, bits) in &whole {
            let numbers = bits.iter().zip(&ranks[name]).map(|(a, b)| (f32::from_bits(*a), f32::from_bits(*b)));
            for (a, b) in numbers {
                // Both are f64 rounded once, or rounding alone.
                assert!((a - b).abs() <= 1e-12 + 2.0 * f32::EPSILON * a.abs(), "{name}: {a} and {b}");
            }
        }
    }
}

/// What a device computes of a batch that it cuts into shares is within the bounds of the twins, which do not cut it.
#[test]
fn shares_on_one_device_are_right() {
    // Clipping changes gradients where they are, so that nothing is left to compare.
    let plain = Network { clip_norm: None, ..plain() };
    for (network, batch, count) in [(residual(), 8, 2), (plain, 9, 3)] {
        for convolutions in [Convolutions::All(Algorithm::Direct), Convolutions::All(Algorithm::Winograd(Tile::Four))] {
            let device = crate::common::device::device();
            let variant = device.target().variant.with(convolutions);
            let target = Target { shares: Shares::all(count), variant, window_images: 2, ..device.target() };
            let plans = [step::kept_plan(&network, batch, &target), training(&network, batch, &target)];
            assert!(plans[0].steps.iter().any(|step| step.name.ends_with(" add")), "shares are added up");
            let findings = step::run(device, &network, plans).unwrap();
            assert!(findings.passed(), "{}", findings.faults.join("\n"));
        }
    }
}

/// Every number of what is gathered has one giver, and every number of a gradient that is dealt has one rank that adds it up.
#[test]
fn every_number_of_an_exchange_has_one_giver() {
    let target = Target { shares: Shares::all(4), ..Target::default() };
    let network = tutorial(64, 1.0, 8);
    let plans = [0, 1].map(|rank| training(&network, 32, &target.of_rank(rank, 2)));
    let plan = &plans[1];
    assert_eq!((plan.images(), plan.first_image(), plan.batch), (16, 16, 32));
    // Eight batch norms forward and backward, the features, what is left of the gradients, and the weights.
    assert_eq!(plan.exchanges.len(), 8 + 1 + 8 + 1 + 1);
    for exchange in &plan.exchanges {
        for gathered in &exchange.gathered {
            assert_eq!(gathered.of_share.len(), 4, "{}", exchange.name);
            let mut numbers: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for part in &gathered.of_share {
                numbers.entry(part.tensor).or_default().extend(part.numbers.clone());
            }
            for (id, numbers) in numbers {
                let name = &plan.tensor(id).name;
                assert!(numbers.into_iter().eq(0..plan.count_of(id.into())), "{}: {name}", exchange.name);
                assert!(!plan.tensor(id).windowed);
            }
        }
        for dealt in &exchange.dealt {
            let slices = plan.slices_by_rank(dealt.numbers);
            assert!(slices.flatten().eq(0..dealt.numbers), "{}", exchange.name);
        }
    }
    // Batch norms exchange three numbers per channel and share forward, two backward.
    let of_norms = |exchange: &&Exchange| exchange.name.starts_with("bn1 ");
    let given: Vec<u64> =
        plan.exchanges.iter().filter(of_norms).map(|one| plan.bytes_of_runs(&plan.runs_of(one, 1))).collect();
    assert_eq!(given, [2 * 3 * 32 * 4, 2 * 2 * 32 * 4]);
    // Each exchange brings one rank the runs that the other gives it, one by one.
    for (one, other) in plans[0].exchanges.iter().zip(&plans[1].exchanges) {
        let lengths = |runs: Vec<Run>| runs.iter().map(|run| run.numbers.len()).collect::<Vec<_>>();
        assert_eq!(lengths(plans[0].runs_of(one, 1)), lengths(plans[1].runs_of(other, 1)));
        assert_eq!(lengths(plans[0].runs_for(one, 1)), lengths(plans[1].runs_from(other, 0)));
        assert_eq!(lengths(plans[1].runs_for(other, 0)), lengths(plans[0].runs_from(one, 1)));
    }
    // One device has nobody to exchange with, however it cuts its batches.
    assert!(training(&network, 32, &target).exchanges.is_empty());
    // A batch that the shares do not divide is computed whole, by every rank, but for its large weights.
    let rest = training(&network, 21, &target.of_rank(1, 2));
    assert_eq!((rest.images(), rest.exchanges.len()), (21, 1));
}

/// What is dealt is there when the ranks meet again; the steps until then neither read nor overwrite it.
#[test]
fn slices_travel_while_steps_are_computed() {
    let target = Target { shares: Shares::of_rank(2, 1, 2), ..Target::default() };
    let plan = training(&tutorial(64, 1.0, 8), 32, &target);
    let memory = memory::assign(&plan);
    let dealt: Vec<&Exchange> = plan.exchanges.iter().filter(|exchange| !exchange.dealt.is_empty()).collect();
    // The kernels of conv2 to conv8, each with the batch norm before it; nothing is left for the last exchange.
    assert_eq!(dealt.len(), 7);
    for exchange in dealt {
        assert!(exchange.before < exchange.until, "{}", exchange.name);
        for part in exchange.dealt.iter().map(|dealt| dealt.parts[0]) {
            let uses =
                plan.steps.iter().enumerate().filter(|(_, step)| step.bindings.iter().any(|one| one.1.tensor == part));
            let uses: Vec<usize> = uses.map(|(index, _)| index).collect();
            assert!(!uses.is_empty() && uses.iter().all(|step| exchange.until <= *step), "{uses:?}");
            let (first, last) = memory.lives[&part.into()];
            assert!(first == exchange.before && uses.contains(&last), "{first} to {last}");
        }
    }
}

/// Adam's moments and sums of gradients take a rank as much less memory as there are ranks.
#[test]
fn a_rank_has_its_part_of_the_moments() {
    let target = Target { shares: Shares::all(4), ..Target::default() };
    let network = tutorial(224, 1.0, 8);
    let persistent = |target: &Target| {
        let plan = training(&network, 32, target);
        let moments =
            plan.tensors.iter().filter(|tensor| tensor.name.starts_with(['m', 'v']) && tensor.name.contains('/'));
        let stored = |tensor: &Tensor| tensor.stored_shape().iter().product::<usize>();
        (moments.map(stored).sum::<usize>(), memory::total(&plan).persistent)
    };
    let (whole, all) = persistent(&target);
    for rank in 0..4 {
        let (quarter, of_rank) = persistent(&target.of_rank(rank, 4));
        let share = quarter as f64 / whole as f64;
        // Biases, batch norms and the first kernels lie in arenas, which every rank has whole.
        assert!((0.25..0.26).contains(&share), "{share}");
        let less = 4 * (whole - quarter) as u64;
        assert!(all - of_rank == less, "{all} - {of_rank} is not {less}");
    }
}

/// Devices predict a batch each at a time; the numbers are those of one device, in the images' order.
#[test]
fn predictions_are_shared_out() {
    let (network, images) = (residual(), images(17, SIZE));
    let predicted = |mut engine: Engine| {
        let target = engine.target();
        let program = engine.load_for(&target, |target| inference(&network, 3, target)).unwrap();
        weights::upload(&mut engine, program, &network, &weights::initial(&network, 3));
        let mut counts = Vec::new();
        let of_images = predict::probabilities(&mut engine, program, &images, |count| counts.push(count)).unwrap();
        (of_images.into_iter().map(f32::to_bits).collect::<Vec<_>>(), counts)
    };
    let (one, counts) = predicted(device());
    assert_eq!((one.len(), &counts[..]), (17 * CLASSES, &[3, 3, 3, 3, 3, 2][..]));
    // Neighbours differ, or the order would not matter.
    assert!(one.chunks(CLASSES).collect::<BTreeSet<_>>().len() > 10);
    for ranks in [2, 4] {
        assert_eq!(predicted(group(ranks, device)), (one.clone(), counts.clone()));
    }
}

fn run(engine: Engine, config: &Config, data: &Data, folder: &Path) -> Result<()> {
    trainer(engine, config, data).run(folder, &NEVER)
}

/// Epochs with a short batch, validation and files: the state of three devices is that of one. A device that is lost is
/// opened anew with the others, and costs nothing but time.
#[test]
fn a_run_on_three_devices_survives_the_loss_of_one() {
    let data = photographs();
    let config = Config { batch: 6, width: 0.0625, ..config(2) };
    assert!(
        !(data.train.labels.len() % 6).is_multiple_of(3),
        "a short batch that three devices do not divide must occur"
    );
    let [one, three, lost] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    run(group(3, device), &config, &data, three.path()).unwrap();
    let mut cut = device().target().cut();
    cut.shares = Some(3);
    run(device(), &Config { cut: Some(cut), ..config.clone() }, &data, one.path()).unwrap();
    assert_same_state(one.path(), three.path());
    run(as_group(vec![device(), device_lost_after(&[3], false), device()]), &config, &data, lost.path()).unwrap();
    assert_same_state(one.path(), lost.path());
}

/// A rank that fails ends the step of all, which is told with its name; nobody waits for it.
#[test]
fn a_rank_that_fails_ends_all() {
    let mut engine = as_group(vec![device(), device(), device_lost_after(&[1], false)]);
    let target = cut(&engine, 3, 2, Convolutions::Counted);
    let program = load(&mut engine, &plain(), 9, &target);
    train_step(&mut engine, program, 1);
    let running = [engine.start(program), engine.start(program)];
    for running in running {
        let error = engine.finish(running).unwrap_err();
        assert!(matches!(&error, Error::DeviceLost(why) if why.starts_with("device 2 of 3 (")), "{error:?}");
    }
}

/// So does a thread that panics.
#[test]
fn a_thread_that_ends_ends_all() {
    let mut engine = group(2, twins);
    let target = cut(&engine, 2, 2, Convolutions::Counted);
    let program = load(&mut engine, &plain(), 4, &target);
    train_step(&mut engine, program, 1);
    engine.write(program, names::RATE, &[0.0; 3]);
    let running = engine.start(program);
    let error = engine.finish(running).unwrap_err().to_string();
    assert!(error.starts_with("device 0 of 2") || error.starts_with("device 1 of 2"), "{error}");
    assert!(error.contains("thread ended"), "{error}");
}

#[test]
fn devices_of_two_kinds_are_no_group() {
    let error = Group::new(vec![device(), twins()]).unwrap_err();
    assert!(matches!(&error, Error::Device(why) if why.contains("rounded differently")), "{error:?}");
}
