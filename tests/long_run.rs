//! A thousand steps: what a run holds on to must not grow with them.
#![cfg(target_os = "linux")]

mod common;

use crate::common::steps::{device, train_step, write_batch};
use ocellus::app::data::Images;
use ocellus::app::train::feed::Labelled;
use ocellus::engine::numbers::uniform;
use ocellus::engine::plan::names;
use ocellus::network::compile as plans;
use ocellus::network::tutorial;
use ocellus::network::weights;

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
    1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
}

#[test]
fn memory_stays_flat() {
    let (network, batch) = (tutorial(32, 0.03, 3), 3);
    let mut engine = device();
    let program = engine.load(plans::training(&network, batch, &engine.target())).unwrap();
    weights::upload(&mut engine, program, &network, &weights::initial(&network, 1));
    engine.write(program, names::CLASS_WEIGHT, &[1.0; 3]);
    let pixels = uniform(1, batch * 32 * 32 * 3).into_iter().map(|number| ((number + 1.0) * 127.5) as u8).collect();
    let data = Labelled::new(Images { size: 32.into(), count: batch, pixels }, vec![0, 1, 2]);
    let mut after_50 = 0;
    for step in 1..=1000 {
        write_batch(&mut engine, program, &data);
        assert!(train_step(&mut engine, program, step).is_finite());
        if step == 50 {
            after_50 = resident();
        }
    }
    let growth = resident() as f64 / after_50 as f64 - 1.0;
    println!("{} MiB after 50 steps, {:+.3} % after 1,000", after_50 >> 20, 100.0 * growth);
    assert!(growth < 0.01, "resident memory grew by {:.1} %", 100.0 * growth);
}
