//! Activations in half precision: what is stored, what cannot be, and that a network learns with them. That each kernel
//! computes with them what its twin does is in the doctor's cases and its training step (tests/doctor.rs).

use crate::common::device;
use crate::common::steps::{train_step, write_batch};
use approx::assert_relative_eq;
use half::f16;
use ocellus::app::data::Images;
use ocellus::app::train::feed::Labelled;
use ocellus::engine::gpu::session::Session;
use ocellus::engine::plan::names;
use ocellus::engine::plan::{Element, Layout, Lifetime, Plan, Target, Tensor, memory};
use ocellus::engine::run::Engine;
use ocellus::network::compile as plans;
use ocellus::network::weights;
use ocellus::network::{Network, tutorial};
use ocellus::ops::peak;

fn tensor(name: &str, element: Element, count: usize) -> Tensor {
    let (layout, lifetime) = (Layout::Rows, Lifetime::Kept);
    Tensor { lifetime, ..Tensor::new(name, &[count], element, layout) }
}

/// Every half, as the host writes it, comes back as it was; what the device makes of every half's f32, and of what lies
/// between two, is one of the two. What is too large for a half is NaN, and nothing else is.
#[test]
fn numbers_are_stored_as_the_nearest_halves_or_as_nan() {
    let device = device::open(device::checked());
    let halves: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).filter(|half| half.is_finite()).collect();
    let count = halves.len().next_multiple_of(4);
    let mut plan = Plan::new(device.target(), 1, 1);
    let [wide, narrow, back] = [("wide", Element::F32), ("narrow", Element::F16), ("back", Element::F32)]
        .map(|(name, element)| plan.add(tensor(name, element, count)));
    peak::steps::copy(&mut plan, "store", wide, narrow);
    peak::steps::copy(&mut plan, "load", narrow, back);
    let mut session = Session::new(device);
    let program = session.load(plan).unwrap();

    let mut exact: Vec<f32> = halves.iter().map(|half| half.to_f32()).collect();
    exact.resize(count, 0.0);
    session.write(program, narrow, &exact);
    assert_eq!(session.read(program, narrow).unwrap(), exact);

    let mut stored = |numbers: &[f32]| {
        session.write(program, wide, numbers);
        session.start(program);
        session.read(program, back).unwrap()
    };
    for (got, want) in stored(&exact).into_iter().zip(&exact) {
        // A denormal half may be flushed.
        assert!(got == *want || got == 0.0 && want.abs() < f16::MIN_POSITIVE.to_f32(), "{got} for {want}");
    }
    let between: Vec<f32> = exact.iter().map(|number| number * (1.0 + f32::EPSILON * 2000.0)).collect();
    for (got, &number) in stored(&between).into_iter().zip(&between) {
        if number.abs() > f16::MAX.to_f32() {
            assert!(got.is_nan(), "{got} for {number}");
        } else {
            let step = (number.abs() * f16::EPSILON.to_f32()).max(f16::MIN_POSITIVE.to_f32());
            assert!((got - number).abs() <= step, "{got} for {number}");
        }
    }
    let mut lost = [65_504.01, -65_505.0, 1e30, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN];
    for _ in 0..lost.len() {
        lost.rotate_left(1);
        let mut numbers = vec![1.0; count];
        numbers[..lost.len()].copy_from_slice(&lost);
        let got = stored(&numbers);
        assert!(got[..lost.len()].iter().all(|number| number.is_nan()), "{:?} for {lost:?}", &got[..lost.len()]);
        assert!(got[lost.len()..].iter().all(|number| *number == 1.0));
    }
}

fn loaded(engine: &mut Engine, network: &Network, data: &Labelled, half_activations: bool) -> usize {
    let target = Target { half_activations, ..engine.target() };
    let program = engine.load(plans::training(network, data.labels.len(), &target)).unwrap();
    engine.write(program, names::CLASS_WEIGHT, &vec![1.0; network.classes]);
    weights::upload(engine, program, network, &weights::initial(network, 5));
    write_batch(engine, program, data);
    program
}

/// Two classes that differ in brightness, and noise.
fn data(count: usize, size: usize) -> Labelled {
    let labels: Vec<u32> = (0..count as u32).map(|image| image % 2).collect();
    let noise = ocellus::engine::numbers::uniform(9, count * size * size * 3);
    let pixel = |(i, noise): (usize, f32)| (110.0 + 20.0 * labels[i / (size * size * 3)] as f32 + 90.0 * noise) as u8;
    let pixels = noise.into_iter().enumerate().map(pixel).collect();
    Labelled::new(Images { size: size.into(), count, pixels }, labels)
}

/// The same steps with whole activations and with halves: the losses fall alike. The first differs by 0.002 of itself: a
/// half's rounding is 0.0005, and batch norms over eight pixels amplify it.
#[test]
fn a_network_learns_with_half_activations() {
    let (network, data) = (tutorial(32, 0.125, 2), data(8, 32));
    let losses = |half_activations| {
        let mut engine = crate::common::steps::device();
        let program = loaded(&mut engine, &network, &data, half_activations);
        (1..=30).map(|t| train_step(&mut engine, program, t)).collect::<Vec<f64>>()
    };
    let (whole, half) = (losses(false), losses(true));
    println!("whole {whole:.5?}\nhalf {half:.5?}");
    assert_ne!(whole, half, "activations are stored otherwise");
    assert_relative_eq!(half[0], whole[0], max_relative = 1e-2);
    for losses in [whole, half] {
        assert!(losses[29] < 0.1 * losses[0], "{losses:?}");
    }
}

/// An activation that is too large for a half ends the run and names the layer, as one that is infinite does.
#[test]
fn what_a_half_cannot_hold_is_noticed() {
    let (network, data) = (tutorial(32, 0.125, 2), data(8, 32));
    for (half_activations, faulty) in [(false, false), (true, true)] {
        let mut engine = crate::common::steps::device();
        let program = loaded(&mut engine, &network, &data, half_activations);
        let mut tensors = weights::initial(&network, 5);
        let bias = tensors.iter_mut().find(|tensor| tensor.name == "conv3.bias").unwrap();
        bias.data[1] = 70_000.0;
        weights::upload(&mut engine, program, &network, &tensors);
        let running = engine.start(program);
        let fault = engine.finish(running).unwrap().fault;
        let plan = engine.plan(program);
        let named = fault.map(|fault| names::in_words(&plan.tensor(plan.guarded[fault]).name));
        assert_eq!(named.is_some(), faulty, "{named:?}");
        assert!(named.is_none_or(|named| named.contains("what bn3 normalises")));
    }
}

#[test]
fn half_activations_save_memory() {
    let network = tutorial(224, 1.0, 8);
    let bytes = |half_activations| {
        let target = Target { half_activations, ..Target::default() };
        memory::total(&plans::training(&network, 32, &target)).bytes()
    };
    let (whole, half) = (bytes(false), bytes(true));
    println!("{} MiB, half {} MiB", whole >> 20, half >> 20);
    assert!(half * 6 < whole * 5, "{half} bytes, whole {whole}");
}
