//! A training loop on the library: photographs of noise, learnt by heart.
//!
//! `cargo run --release --example train`

use ocellus::app::data::Images;
use ocellus::app::train::feed::{Labelled, Variation};
use ocellus::engine::gpu::{Choice, Options};
use ocellus::engine::numbers::uniform;
use ocellus::engine::plan::names;
use ocellus::error::Result;
use ocellus::network::{compile, tutorial, weights};
use ocellus::ops::adam;
use ocellus::proof::doctor::open;

const SIZE: usize = 32;
const BATCH: usize = 8;
const CLASSES: usize = 4;
const RATE: f64 = 1e-3;

fn main() -> Result<()> {
    let bytes = uniform(1, BATCH * SIZE * SIZE * 3).into_iter().map(|value| ((value + 1.0) * 127.5) as u8);
    let images = Images { size: SIZE.into(), count: BATCH, pixels: bytes.collect() };
    let labels = (0..BATCH as u32).map(|index| index % CLASSES as u32).collect();
    let data = Labelled::new(images, labels);

    let network = tutorial(SIZE, 0.125, CLASSES);
    let mut engine = open::open(&Choice::Auto, Options::default())?;
    let program = engine.load(compile::training(&network, BATCH, &engine.target()))?;
    weights::upload(&mut engine, program, &network, &weights::initial(&network, 0));
    engine.write(program, names::CLASS_WEIGHT, &[1.0; CLASSES]);

    for step in 1..=30 {
        let indices: Vec<u32> = (0..BATCH as u32).collect();
        data.batch(&indices, Variation::None)?.write(&mut engine, program);
        engine.write(program, names::RATE, &[adam::alpha(RATE, step) as f32, 0.0, 0.0, 0.0]);
        let running = engine.start(program);
        let metrics = engine.finish(running)?;
        println!("step {step}: loss {:.4}, {} of {BATCH} correct", metrics.loss / BATCH as f64, metrics.right);
    }
    Ok(())
}
