//! What a training step costs by image size and batch: `cargo bench --bench scaling [-- SIZE/BATCH ...]`. Sizes are timed in
//! interleaved rounds, so that a machine that slows down slows down all; read the ratios. `SIZE/BATCH/LAYERS` times a step
//! in which these layers are frozen, as in `64/32/conv1..bn4`.
//!
//! `-- --each-line SIZE/BATCH` computes a step for each line that is read, and writes its seconds and loss (`peers/run.py`).
//!
//! The loss of each step is held to that of plain direct convolution; `kernels` proves every operation.

use std::io::stdin;
use std::time::Instant;

use ocellus::engine::gpu::{Choice, Options};
use ocellus::engine::numbers::median;
use ocellus::engine::plan::Target;
use ocellus::engine::run::Engine;
use ocellus::engine::variant::Algorithm;
use ocellus::engine::variant::Convolutions;
use ocellus::network::compile::training;
use ocellus::network::{Network, tutorial};
use ocellus::proof::doctor::open;
use ocellus::proof::tune::device::write_step;

const SIZES: [(usize, usize); 4] = [(64, 8), (64, 32), (224, 8), (224, 32)];
const ROUNDS: usize = 5;

struct Timed {
    size: usize,
    batch: usize,
    /// Of `train --freeze`; empty for a step that trains everything.
    frozen: String,
    engine: Engine,
    seconds: Vec<f64>,
}

fn main() {
    if std::env::args().any(|argument| argument == "--each-line") {
        return each_line();
    }
    let mut all: Vec<Timed> = sizes().into_iter().map(|(size, batch, frozen)| prepare(size, batch, frozen)).collect();
    for _ in 0..ROUNDS {
        for one in &mut all {
            let start = Instant::now();
            run(&mut one.engine);
            one.seconds.push(start.elapsed().as_secs_f64());
        }
    }
    println!(
        "{:>20} {:>10} {:>10} {:>10} {:>16} {:>8}",
        "size/batch", "ms", "least", "most", "ns an image pixel", "ratio"
    );
    let each = |one: &Timed| median(&one.seconds) / (one.size * one.size * one.batch) as f64;
    let first = all.first().map_or(f64::NAN, each);
    for one in &all {
        let of = |pick: fn(f64, f64) -> f64| 1e3 * one.seconds.iter().copied().reduce(pick).unwrap_or(f64::NAN);
        println!(
            "{:>20} {:>10.1} {:>10.1} {:>10.1} {:>16.1} {:>8.3}",
            [one.size.to_string(), one.batch.to_string(), one.frozen.clone()].join("/").trim_end_matches('/'),
            1e3 * median(&one.seconds),
            of(f64::min),
            of(f64::max),
            1e9 * each(one),
            each(one) / first
        );
    }
}

fn each_line() {
    let (size, batch, frozen) = sizes().swap_remove(0);
    let mut one = prepare(size, batch, frozen);
    for _ in stdin().lines() {
        let start = Instant::now();
        let loss = run(&mut one.engine);
        println!("{} {loss}", start.elapsed().as_secs_f64());
    }
}

/// Those that the command line names, else [`SIZES`].
fn sizes() -> Vec<(usize, usize, String)> {
    let named: Vec<(usize, usize, String)> = std::env::args()
        .filter_map(|argument| {
            let mut parts = argument.splitn(3, '/');
            let (size, batch) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            Some((size, batch, parts.next().unwrap_or_default().to_string()))
        })
        .collect();
    if named.is_empty() { SIZES.map(|(size, batch)| (size, batch, String::new())).to_vec() } else { named }
}

/// The device that OCELLUS_BENCH_DEVICE chooses as `--device` does.
fn open() -> Engine {
    let choice: Choice =
        std::env::var("OCELLUS_BENCH_DEVICE").unwrap_or("auto".into()).parse().expect("any text is one");
    open::open(&choice, Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// A step in an engine of its own, which has run once and computed what direct convolution computes.
fn prepare(size: usize, batch: usize, frozen: String) -> Timed {
    let mut network = tutorial(size, 1.0, 8);
    if !frozen.is_empty() {
        network.freeze(std::slice::from_ref(&frozen)).unwrap_or_else(|why| panic!("{why}"));
    }
    let (mut engine, mut direct) = (open(), open());
    let target = engine.target();
    let variant = target.variant.with(Convolutions::All(Algorithm::Direct));
    let want = place(&mut direct, &network, batch, &Target { variant, ..target.clone() });
    drop(direct);
    let loss = place(&mut engine, &network, batch, &target);
    assert!((loss / want - 1.0).abs() < 1e-5, "{size}/{batch}: a loss of {loss}, and {want} with direct convolution");
    Timed { size, batch, frozen, engine, seconds: Vec::new() }
}

fn place(engine: &mut Engine, network: &Network, batch: usize, target: &Target) -> f64 {
    engine.load(training(network, batch, target)).unwrap_or_else(|error| panic!("{error}"));
    write_step(engine, 0, network);
    run(engine)
}

fn run(engine: &mut Engine) -> f64 {
    let running = engine.start(0);
    engine.finish(running).unwrap_or_else(|error| panic!("{error}")).loss
}
