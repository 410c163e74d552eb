//! Batches cut into shares: several devices that compute one share each give the bits of one device that computes all.

use std::collections::BTreeMap;

use ocellus::app::data::Images;
use ocellus::app::train::feed::Labelled;
use ocellus::engine::group::Group;
use ocellus::engine::numbers::uniform;
use ocellus::engine::plan::{Lifetime, Plan, Shares, Target, names};
use ocellus::engine::run::Engine;
use ocellus::engine::variant::{Algorithm, Convolutions, Tile};
use ocellus::network::compile::training;
use ocellus::network::{Architecture, Network, tutorial, weights};

use crate::common::steps::{device, train_step, twins, write_batch};

const SIZE: usize = 32;
const CLASSES: usize = 3;

/// The names and bits of everything that persists.
type State = BTreeMap<String, Vec<u32>>;

fn group(ranks: usize, one: fn() -> Engine) -> Engine {
    Engine::Group(Box::new(Group::new((0..ranks).map(|_| one()).collect()).unwrap()))
}

fn residual() -> Network {
    Architecture::Preset("residual".into()).build(SIZE, 0.125, CLASSES).unwrap()
}

/// Convolutions without a batch norm after them, whose biases are trained; gradients are clipped.
fn plain() -> Network {
    let text = r#"
        [[layer]]
        type = "conv2d"
        filters = 6
        kernel = 3
        [[layer]]
        type = "relu"
        [[layer]]
        type = "max_pool"
        window = 2
        [[layer]]
        type = "conv2d"
        filters = 9
        kernel = 1
        stride = 2
        [[layer]]
        type = "global_average_pool"
        [[layer]]
        type = "dense"
    "#;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plain.toml");
    std::fs::write(&file, text).unwrap();
    let network = Architecture::read(file.to_str().unwrap(), SIZE.into()).unwrap();
    Network { clip_norm: Some(0.5), ..network.build(SIZE, 1.0, CLASSES).unwrap() }
}

fn photographs(count: usize) -> Labelled {
    let noise = uniform(7, count * SIZE * SIZE * 3);
    let pixels = noise.into_iter().map(|number| ((number + 1.0) * 127.5) as u8).collect();
    let labels = (0..count).map(|image| (image % CLASSES) as u32).collect();
    Labelled::new(Images { size: SIZE.into(), count, pixels }, labels)
}

/// A target whose batches have `count` shares, and windows of at most so many images.
fn cut(engine: &Engine, count: usize, images: usize, convolutions: Convolutions) -> Target {
    let target = engine.target();
    let variant = target.variant.with(convolutions);
    Target { shares: Shares::all(count), variant, window_images: images, ..target }
}

/// Everything that persists after some steps, and the losses.
fn train(mut engine: Engine, network: &Network, batch: usize, target: &Target) -> (State, Vec<f64>) {
    let program = engine.load_for(target, |target| training(network, batch, target)).unwrap();
    weights::upload(&mut engine, program, network, &weights::initial(network, 3));
    engine.write(program, names::CLASS_WEIGHT, &[1.0, 2.0, 0.5]);
    write_batch(&mut engine, program, &photographs(batch));
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

/// As many devices as shares, and one device with all of them.
#[track_caller]
fn same_bits(network: &Network, batch: usize, count: usize, images: usize, convolutions: Convolutions) {
    let one = device();
    let target = cut(&one, count, images, convolutions);
    let whole = train(one, network, batch, &target);
    for ranks in (2..=count).filter(|ranks| count.is_multiple_of(*ranks)) {
        assert_same(&whole, &train(group(ranks, device), network, batch, &target));
    }
}

#[test]
fn direct_convolutions_on_two_devices() {
    same_bits(&tutorial(SIZE, 0.0625, CLASSES), 8, 2, 8, Convolutions::All(Algorithm::Direct));
}

#[test]
fn tiles_in_windows_on_two_and_four_devices() {
    same_bits(&tutorial(SIZE, 0.0625, CLASSES), 12, 4, 2, Convolutions::All(Algorithm::Winograd(Tile::Four)));
}

#[test]
fn a_residual_network_on_two_devices() {
    same_bits(&residual(), 6, 2, 2, Convolutions::All(Algorithm::Winograd(Tile::Two)));
}

#[test]
fn trained_biases_and_clipped_gradients_on_three_devices() {
    same_bits(&plain(), 9, 3, 2, Convolutions::Counted);
}

/// The twins of a group's ranks, in lockstep, against those of the whole plan.
#[test]
fn the_twins_of_ranks_compute_what_those_of_the_whole_plan_do() {
    for network in [tutorial(SIZE, 0.0625, CLASSES), plain()] {
        let target = cut(&twins(), 2, 2, Convolutions::Counted);
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
