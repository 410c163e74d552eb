//! Figures with 95 % intervals of 100,000 predictions of 8 classes: `cargo bench --bench metrics`.

use std::time::Instant;

use ocellus::app::metrics::Predictions;
use ocellus::engine::numbers::{median, uniform};

const SAMPLES: usize = 100_000;
const CLASSES: usize = 8;
const RESAMPLES: usize = 2000;
const RUNS: u64 = 3;

fn main() {
    let numbers = uniform(1, SAMPLES * CLASSES);
    let row = |(sample, numbers): (usize, &[f32])| {
        let label = sample * 7 % CLASSES;
        let mut powers: Vec<f32> = numbers.iter().map(|number| number.exp()).collect();
        powers[label] *= 2.0;
        let sum: f32 = powers.iter().sum();
        powers.into_iter().map(move |power| power / sum).collect::<Vec<f32>>()
    };
    let predictions = Predictions {
        classes: (0..CLASSES).map(|class| class.to_string()).collect(),
        labels: (0..SAMPLES).map(|sample| sample * 7 % CLASSES).collect(),
        persons: (0..SAMPLES as u32).map(|sample| sample / 2).collect(),
        probabilities: numbers.chunks_exact(CLASSES).enumerate().flat_map(row).collect(),
    };
    let time = |seed| {
        let started = Instant::now();
        let figures = predictions.figures(seed, RESAMPLES);
        assert!(figures.overall.iter().all(|figure| figure.interval.is_some()));
        started.elapsed().as_secs_f64()
    };
    let seconds: Vec<f64> = (0..RUNS).map(time).collect();
    let threads = rayon::current_num_threads();
    println!(
        "{SAMPLES} predictions of {CLASSES} classes, {RESAMPLES} resamples of the persons, {threads} threads: {:.1} s, the \
         median of {RUNS}",
        median(&seconds)
    );
}
