//! Steps of whole networks, for the tests that train one.

use ocellus::app::golden::training::LEARNING_RATE;
use ocellus::app::train::feed::{Labelled, Variation};
use ocellus::engine::gpu::{Choice, Options};
use ocellus::engine::plan::names;
use ocellus::engine::run::Engine;
use ocellus::ops::adam;
use ocellus::proof::doctor::open;

use super::device::{checked, choice, options};

pub fn device() -> Engine {
    device_with(checked())
}

pub fn device_with(checked_shaders: bool) -> Engine {
    device_lost_after(&[], checked_shaders)
}

/// A device that is lost after so many runs, the one opened in its place after the next number, and so on.
pub fn device_lost_after(runs: &[usize], checked_shaders: bool) -> Engine {
    let options = Options { lose_after: runs.to_vec().leak(), ..options(checked_shaders) };
    open::open(&choice(), options).unwrap_or_else(|error| panic!("{error}"))
}

pub fn twins() -> Engine {
    open::open(&Choice::Cpu, Options::default()).expect("no device is needed")
}

/// Writes the first images of `data`, as they are, as the batch.
pub fn write_batch(engine: &mut Engine, program: usize, data: &Labelled) {
    let indices: Vec<u32> = (0..engine.plan(program).batch as u32).collect();
    data.batch(&indices, Variation::None).unwrap().write(engine, program);
}

/// Adam's step number `t`, from 1, with the batch that was written: the batch's loss.
pub fn train_step(engine: &mut Engine, program: usize, t: u64) -> f64 {
    let alpha = adam::alpha(f64::from(LEARNING_RATE), t) as f32;
    engine.write(program, names::RATE, &[alpha, 0.0, 0.0, 0.0]);
    let running = engine.start(program);
    let metrics = engine.finish(running).expect("the device answers");
    metrics.loss / engine.plan(program).batch as f64
}
