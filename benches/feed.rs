//! How long a fast device waits for data: the training loop's own feed (`train::feed`) at 224 x 224 pixels, batch 32, with
//! augmentation, into a device that is simulated. It takes so many milliseconds a step in the background, as a GPU does,
//! and a batch is copied for it, as into memory that a GPU reads.
//!
//! `cargo bench --bench feed [-- MILLISECONDS]`; 50 if no other number is given.

use std::time::{Duration, Instant};

use ocellus::config::Config;
use ocellus::data::{Images, batches::train_batches};
use ocellus::error::Result;
use ocellus::train::feed::{Batch, Device, Labelled, Variation, feed};
use ocellus::train::history::EpochSums;

const IMAGES: usize = 640;
const EPOCHS: u64 = 4;

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

/// The share of an epoch that the device waited, and its steps a second.
fn epoch(data: &Labelled, config: &Config, epoch: u64, step: Duration, ahead: bool) -> (f64, f64) {
    let order = train_batches(config.seed, epoch, IMAGES, config.batch);
    let variation = Variation::Random { ranges: &config.augmentation, seed: config.seed, epoch };
    let mut device = Simulated { step, busy_until: Instant::now(), memory: Vec::new(), sums: EpochSums::default() };
    let started = Instant::now();
    std::thread::scope(|scope| match ahead {
        true => feed(&mut device, data.batches(scope, &order, variation)),
        false => feed(&mut device, order.iter().map(|indices| data.batch(indices, variation))),
    })
    .expect("nothing fails");
    device.sums.seconds = started.elapsed().as_secs_f64();
    (device.sums.data_wait(), device.sums.steps as f64 / device.sums.seconds)
}

fn main() {
    // Cargo adds options of its own.
    let milliseconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(50.0);
    let (config, step) = (Config::default(), Duration::from_secs_f64(milliseconds / 1e3));
    let size = config.image_size;
    let pixels = (0..IMAGES * size * size * 3).map(|index| (index % 251) as u8).collect();
    let data = Labelled { images: Images { size, count: IMAGES, pixels }, labels: vec![0; IMAGES] };
    println!(
        "{size} x {size}, batch {}, a step of {milliseconds} ms, {} steps an epoch",
        config.batch,
        IMAGES / config.batch
    );
    for (how, ahead) in [("put together ahead, on a thread", true), ("put together by the loop", false)] {
        for number in 1..=EPOCHS {
            let (wait, rate) = epoch(&data, &config, number, step, ahead);
            println!("{how}: epoch {number}: data wait {:.2} %, {rate:.1} steps/s", 100.0 * wait);
        }
    }
}
