//! Training as a whole: the same bits from the same seed, with shaders checked or not; the same gradients however a
//! batch is cut into windows.

use crate::common::assert_close;
use crate::common::steps::{device, device_with, train_step, twins, write_batch};
use ocellus::app::data::Images;
use ocellus::app::data::augment::Ranges;
use ocellus::app::golden::training::updated;
use ocellus::app::train::feed::{Labelled, Variation};
use ocellus::engine::numbers::{rms, uniform, widen};
use ocellus::engine::plan::names;
use ocellus::engine::plan::{Plan, Recompute, Target, budget, memory};
use ocellus::engine::run::Engine;
use ocellus::engine::variant::Algorithm;
use ocellus::engine::variant::Convolutions;
use ocellus::engine::variant::{Tile, Variant};
use ocellus::network::compile as plans;
use ocellus::network::weights;
use ocellus::network::{Network, tutorial};

/// Made-up images: noise, so that no two batches are alike.
fn noise(count: usize, size: usize, classes: usize) -> Labelled {
    let byte = |number: f32| ((number + 1.0) * 127.5) as u8;
    let pixels = uniform(1, count * size * size * 3).into_iter().map(byte).collect();
    let labels = (0..count).map(|index| (index * index % classes) as u32).collect();
    Labelled::new(Images { size: size.into(), count, pixels }, labels)
}

/// Puts a plan on an engine with fresh weights; the rarer classes weigh more.
fn place(engine: &mut Engine, plan: Plan, network: &Network, seed: u64) -> usize {
    let program = engine.load(plan).unwrap_or_else(|error| panic!("{error}"));
    weights::upload(engine, program, network, &weights::initial(network, seed));
    let weight: Vec<f32> = (0..network.classes).map(|class| 1.0 + class as f32 / 2.0).collect();
    engine.write(program, names::CLASS_WEIGHT, &weight);
    program
}

/// Bits of the loss after every step, then those of every weight, moving statistic and moment.
fn bits_after(steps: u64, seed: u64, checked_shaders: bool) -> Vec<(String, Vec<u32>)> {
    let (network, batch) = (tutorial(32, 0.125, 4), 6);
    let mut engine = device_with(checked_shaders);
    let plan = plans::training(&network, batch, &engine.target());
    let moments = weights::moments(&plan);
    let program = place(&mut engine, plan, &network, seed);
    let data = noise(3 * batch, 32, 4);
    let ranges = Ranges::default();
    let mut all = Vec::new();
    for t in 1..=steps {
        let indices: Vec<u32> = (0..batch as u64).map(|i| ((t + 5 * i) % data.labels.len() as u64) as u32).collect();
        let variation = Variation::Random { ranges: &ranges, seed, epoch: t };
        data.batch(&indices, variation).unwrap().write(&mut engine, program);
        let loss = train_step(&mut engine, program, t);
        assert!(loss.is_finite());
        all.push((format!("loss {t}"), vec![(loss as f32).to_bits()]));
    }
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
    for tensor in weights::download(&mut engine, program, &network).unwrap() {
        all.push((tensor.name, bits(&tensor.data)));
    }
    for (name, _) in moments {
        let values = engine.read(program, &name).unwrap();
        assert!(values.iter().any(|&value| value != 0.0), "{name} has moved");
        all.push((name, bits(&values)));
    }
    all
}

fn assert_same_bits(a: &[(String, Vec<u32>)], b: &[(String, Vec<u32>)]) {
    assert_eq!(a.len(), b.len());
    for ((name, a), (other, b)) in a.iter().zip(b) {
        assert_eq!(name, other);
        let differ = a.iter().zip(b).filter(|(a, b)| a != b).count();
        assert!(differ == 0 && a.len() == b.len(), "{name}: {differ} of {} numbers differ", a.len());
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_with_and_without_checks() {
    let first = bits_after(50, 7, false);
    for checked_shaders in [false, true, true] {
        assert_same_bits(&first, &bits_after(50, 7, checked_shaders));
    }
    assert_ne!(first, bits_after(50, 8, false), "another seed gives others");
}

/// Loss and gradients of one step. A first moment that starts at zero is a tenth of the gradient, and needs no plan that
/// keeps gradients: the step runs as in training, with every slot used many times.
fn gradients(engine: &mut Engine, network: &Network, data: &Labelled, target: Target) -> Vec<(String, Vec<f64>)> {
    let plan = plans::training(network, data.labels.len(), &target);
    let program = place(engine, plan, network, 3);
    write_batch(engine, program, data);
    let loss = train_step(engine, program, 1);
    let mut all = vec![("loss".to_string(), vec![loss])];
    for name in updated(network) {
        let moment = widen(&engine.read(program, &format!("m/{name}")).unwrap());
        all.push((name, moment));
    }
    all
}

/// A device that cuts a batch into windows of this many images.
fn windowed(target: &Target, network: &Network, images: u64) -> Target {
    Target { binding_bytes: images * plans::image_bytes(network), ..target.clone() }
}

/// The least memory that a plan takes gives the same results as any other: the same bits as uncut where the windows are
/// as large, since textures are copies.
#[test]
fn a_budget_changes_no_more_than_windows_do() {
    let (network, batch) = (tutorial(64, 0.125, 4), 6);
    let data = noise(batch, 64, 4);
    let target = device().target();
    let plan = |target: &Target| vec![plans::training(&network, batch, target)];
    let refused = budget::fit(target.clone(), 1 << 20, batch, plan).unwrap_err().to_string();
    let least: u64 = refused.split(" MiB is the least").next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    let fitted = budget::fit(target.clone(), least << 20, batch, plan).unwrap();
    assert!(memory::total_of(&plan(&fitted)).bytes() <= least << 20);
    let same_windows = Target { window_images: fitted.window_images, ..target };
    let got = gradients(&mut device(), &network, &data, fitted.clone());
    assert!(got == gradients(&mut device(), &network, &data, same_windows), "{fitted:?}");
}

/// What the backward pass computes again has the bits that it had.
#[test]
fn computing_again_changes_no_bit() {
    let (network, batch) = (tutorial(32, 0.5, 4), 6);
    let data = noise(batch, 32, 4);
    let target = device().target();
    let variant = target.variant.with(Convolutions::All(Algorithm::Winograd(Tile::Two)));
    for (half_activations, fused_statistics) in [(false, false), (true, false), (false, true)] {
        let variant = Variant { fused_statistics, ..variant.clone() };
        let mut steps = Vec::new();
        let mut run = |recompute| {
            let target = Target { recompute, half_activations, variant: variant.clone(), ..target.clone() };
            steps.push(plans::training(&network, batch, &target).steps.len());
            gradients(&mut device(), &network, &data, target)
        };
        let [kept, rest @ ..] = Recompute::ALL;
        let want = run(kept);
        for recompute in rest {
            let got = run(recompute);
            assert!(got == want, "{recompute:?}");
        }
        println!("steps: {steps:?}");
        assert!(steps.is_sorted_by(|less, more| less < more), "each computes more again: {steps:?}");
    }
}

/// A window changes the order of sums over the batch and nothing else, so what it may change is rounding. How much
/// rounding this network and batch amplify is measured: it is the distance of the uncut plan's gradients from the f64
/// twins'. A plan cut into windows is one more draw of the same noise.
#[test]
fn windows_change_no_more_than_rounding() {
    const DRAWS: f64 = 5.0;
    let (network, batch) = (tutorial(96, 0.0625, 8), 7);
    let data = noise(batch, 96, 8);
    let mut engine = device();
    let target = engine.target();
    let uncut = gradients(&mut engine, &network, &data, target.clone());
    let exact = gradients(&mut twins(), &network, &data, target.clone());

    for (images, sizes) in [(4, vec![4, 3]), (3, vec![3, 3, 1])] {
        let target = windowed(&target, &network, images);
        let plan = plans::training(&network, batch, &target);
        assert_eq!(plan.windows.iter().map(|window| window.images).collect::<Vec<_>>(), sizes);
        // A device of its own: weights and moments are where the step began.
        let cut = gradients(&mut device(), &network, &data, target);
        let mut worst = (0.0, "");
        let mut differ = 0;
        for (((name, cut), (_, uncut)), (_, exact)) in cut.iter().zip(&uncut).zip(&exact) {
            let noise = uncut.iter().zip(exact).fold(0.0, |most, (a, b)| f64::max(most, (a - b).abs()));
            let bound = DRAWS * noise + 1e-6 * rms(exact);
            assert!(bound <= 1e-3 * rms(exact), "{name}: {noise:e} is no rounding noise");
            let share = assert_close(&format!("{sizes:?}: {name}"), cut, exact, |_| bound);
            differ += usize::from(cut != uncut);
            if share > worst.0 {
                worst = (share, name);
            }
        }
        println!("windows of {sizes:?}: worst share {:.3} in {}; {differ} of {} differ", worst.0, worst.1, cut.len());
    }
}

/// At the tutorial's image size, and at half its width, which takes a quarter of the time.
#[test]
fn windows_at_224_pixels_give_the_same_loss() {
    let (network, batch) = (tutorial(224, 0.5, 8), 7);
    let data = noise(batch, 224, 8);
    let loss = |images: u64| {
        let mut engine = device();
        let plan = plans::training(&network, batch, &windowed(&engine.target(), &network, images));
        let windows = plan.windows.len();
        let program = place(&mut engine, plan, &network, 3);
        write_batch(&mut engine, program, &data);
        (windows, train_step(&mut engine, program, 1))
    };
    let ((one, uncut), (two, cut)) = (loss(7), loss(6));
    assert_eq!((one, two), (1, 2));
    let apart = (cut / uncut - 1.0).abs();
    println!("loss of 7 images: {uncut} uncut, {cut} in windows of 4 and 3, {apart:.1e} apart");
    assert!(apart <= 1e-5, "{uncut} uncut, {cut} in windows");
}

/// The tutorial's own step. Within WebGPU's default limits it does not fit one binding.
#[test]
fn the_tutorials_step_runs_in_windows() {
    let (network, batch) = (tutorial(224, 1.0, 8), 32);
    let mut engine = device();
    let target = engine.target();
    let plan = plans::training(&network, batch, &target);
    let limit = 128 << 20;
    assert!(target.binding_bytes <= limit && plan.windows.len() >= 2, "{} windows", plan.windows.len());
    let bindings = plan.steps.iter().flat_map(|step| &step.bindings).map(|(_, view)| plan.bytes_of(*view));
    let largest = bindings.max().unwrap();
    assert!(largest <= limit, "{largest} bytes");

    let data = noise(batch, 224, 8);
    let program = place(&mut engine, plan, &network, 3);
    write_batch(&mut engine, program, &data);
    let started = std::time::Instant::now();
    let loss = train_step(&mut engine, program, 1);
    let windows = engine.plan(program).windows.len();
    println!(
        "one step: loss {loss}, {windows} windows, {largest} bytes bound, {:.1} s",
        started.elapsed().as_secs_f64()
    );
    assert!(loss.is_finite() && loss > 0.0);
}
