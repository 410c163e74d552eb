//! How long a fast device waits for data: the training loop's own feed (`train::feed`) at 224 x 224 pixels, batch 32, with
//! augmentation, into a device that is simulated. It takes so many milliseconds a step in the background, as a GPU does,
//! and a batch is copied for it, as into memory that a GPU reads.
//!
//! `cargo bench --bench feed [-- MILLISECONDS]`; 50 if no other number is given.

use std::time::{Duration, Instant};

use ocellus::app::config::Config;
use ocellus::app::data::{Images, batches::train_batches};
use ocellus::app::train::feed::{Batch, Device, Labelled, Variation, Wanted, feed};
use ocellus::app::train::history::EpochSums;
use ocellus::error::Result;

/// The tutorial's training split, and as many images as are made for it: they come several times an epoch.
const SAMPLES: usize = 7184;
const IMAGES: usize = 640;
const EPOCHS: u64 = 3;

struct Simulated {
    step: Duration,
    busy_until: Instant,
    memory: Vec<u8>,
    sums: EpochSums,
}

impl Device for Simulated {
    type Running = Instant;
    type Outcome = ();

    fn write(&mut self, batch: &Batch) {
        let parts: [&[u8]; 3] = [
            bytemuck::cast_slice(&batch.pixels),
            bytemuck::cast_slice(&batch.maps),
            bytemuck::cast_slice(&batch.labels),
        ];
        self.memory = parts.concat();
    }

    fn start(&mut self, _: &Batch) -> Instant {
        self.busy_until = self.busy_until.max(Instant::now()) + self.step;
        self.busy_until
    }

    fn wait(&mut self, end: Instant) -> Result<()> {
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        Ok(())
    }

    fn starved(&mut self, seconds: f64) {
        self.sums.waited += seconds;
    }

    fn done(&mut self, batch: &Batch, (): ()) -> Result<()> {
        std::hint::black_box(&self.memory);
        self.sums.add_step(0.0, 0, batch.indices.len());
        Ok(())
    }
}

/// Epochs one after the other, with the share of each that the device waited, and its steps a second.
fn run(config: &Config, step: Duration, mut batches: impl Iterator<Item = Result<Batch>>) {
    for epoch in 1..=EPOCHS {
        let mut device = Simulated { step, busy_until: Instant::now(), memory: Vec::new(), sums: EpochSums::default() };
        let started = Instant::now();
        feed(&mut device, batches.by_ref().take(SAMPLES / config.batch)).expect("nothing fails");
        device.sums.seconds = started.elapsed().as_secs_f64();
        let (wait, rate) = (100.0 * device.sums.data_wait(), device.sums.steps as f64 / device.sums.seconds);
        println!("  epoch {epoch}: data wait {wait:.2} %, {rate:.1} steps/s");
        // As long as a validation takes.
        std::thread::sleep(10 * step);
    }
}

fn main() {
    // Cargo adds options of its own.
    let milliseconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(50.0);
    let (config, step) = (Config::default(), Duration::from_secs_f64(milliseconds / 1e3));
    let (size, batch, seed) = (config.image_size, config.batch, config.seed);
    let pixels = (0..IMAGES * size.rgb_bytes()).map(|index| (index % 251) as u8).collect();
    let data = Labelled::new(Images { size, count: IMAGES, pixels }, vec![0; IMAGES]);
    let order = || {
        (0..EPOCHS).flat_map(|epoch| {
            let variation = Variation::Random { ranges: &config.augmentation, seed, epoch };
            let of_images = |indices: Vec<u32>| indices.into_iter().map(|index| index % IMAGES as u32).collect();
            train_batches(seed, epoch, SAMPLES, batch)
                .into_iter()
                .map(move |indices| Wanted::whole(of_images(indices), variation))
        })
    };
    println!("{size} pixels, batch {batch}, a step of {milliseconds} ms, {} steps an epoch", SAMPLES / batch);
    println!("put together ahead, on a thread:");
    std::thread::scope(|scope| run(&config, step, data.batches(scope, order())));
    println!("put together by the loop:");
    run(&config, step, order().map(|wanted| data.batch(&wanted.indices, wanted.variation)));
}
