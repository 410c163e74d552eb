//! Steps of whole networks, for the tests that train one.

use ocellus::engine::Engine;
use ocellus::gpu::{Choice, Options};
use ocellus::network::Network;
use ocellus::ops::adam;
use ocellus::plan::network::names;
use ocellus::train::feed::{Labelled, Variation};

/// Keras's default, and the program's.
const LEARNING_RATE: f32 = 1e-3;

/// The device that `OCELLUS_TEST_DEVICE` chooses as `--device` does, with its shaders checked if `OCELLUS_TEST_CHECKED`
/// is set.
pub fn device() -> Engine {
    device_with(std::env::var_os("OCELLUS_TEST_CHECKED").is_some())
}

pub fn device_with(checked_shaders: bool) -> Engine {
    device_lost_after(&[], checked_shaders)
}

/// A device that is lost after so many runs, the one opened in its place after the next number, and so on.
pub fn device_lost_after(runs: &[usize], checked_shaders: bool) -> Engine {
    let choice: Choice = std::env::var("OCELLUS_TEST_DEVICE").unwrap_or("auto".into()).parse().unwrap();
    // The default limits are those of the least capable adapter: plans are then the same wherever the tests run.
    let options =
        Options { checked_shaders, default_limits: true, lose_after: runs.to_vec().leak(), ..Options::default() };
    Engine::open(&choice, options).unwrap_or_else(|error| panic!("{error}"))
}

pub fn twins() -> Engine {
    Engine::open(&Choice::Cpu, Options::default()).expect("no device is needed")
}

/// What a run of a plan says of its batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metrics {
    /// Sum of the samples' weighted losses over the batch's size.
    pub loss: f64,
    pub right: usize,
}

/// Runs a plan with what was written to it.
pub fn run(engine: &mut Engine, program: usize) -> Metrics {
    let batch = engine.plan(program).batch;
    let running = engine.start(program);
    let metrics = engine.finish(running).expect("the device answers");
    Metrics { loss: metrics.loss / batch as f64, right: metrics.right }
}

/// Writes the first images of `data`, as they are, as the batch.
pub fn write_batch(engine: &mut Engine, program: usize, data: &Labelled) {
    let indices: Vec<u32> = (0..engine.plan(program).batch as u32).collect();
    data.write(engine, program, &indices, Variation::None);
}

/// Adam's step number `t`, from 1, with the batch that was written.
pub fn train_step(engine: &mut Engine, program: usize, t: u64) -> Metrics {
    let alpha = adam::alpha(f64::from(LEARNING_RATE), t) as f32;
    engine.write(program, names::RATE, &[alpha, 0.0, 0.0, 0.0]);
    run(engine, program)
}

/// The convolutions' biases: a batch norm behind each makes their gradients zero. Keras trains them on rounding noise,
/// so its numbers cannot be compared; this program leaves them as they start.
pub fn is_conv_bias(parameter: &str) -> bool {
    parameter.starts_with("conv") && parameter.ends_with(".bias")
}

/// The parameters that Adam updates.
pub fn updated(network: &Network) -> Vec<String> {
    let trainable = network.parameters().into_iter().filter(|parameter| parameter.trainable);
    trainable.map(|parameter| parameter.name).filter(|name| !is_conv_bias(name)).collect()
}
