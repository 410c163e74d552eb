//! Compares one kernel with its f64 twin on the device, in every variant, as `ocellus doctor` does.
//!
//! `cargo run --release --example kernel [conv2d/forward]`

use ocellus::engine::gpu::{Choice, Device, Options};
use ocellus::error::{Error, Result};
use ocellus::ops;
use ocellus::proof::doctor;

fn main() -> Result<()> {
    let kernel = std::env::args().nth(1).unwrap_or("relu/forward".into());
    let device = Device::open(&Choice::Auto, Options::default())?;
    let cases: Vec<_> = ops::cases().into_iter().filter(|case| case.kernel == kernel).collect();
    if cases.is_empty() {
        return Err(Error::Input(format!("no case of a kernel {kernel}")));
    }
    // The second argument may change each plan first, to see a fault found.
    for row in doctor::run_cases(&device, &cases, |_| ())? {
        let (worst, rms) = (row.findings.worst.0, row.findings.worst_rms.0);
        println!("{} {}: {} cases", row.kernel, row.variant, row.cases);
        println!("  as shares of their bounds: largest error {worst:.3}, root mean square {rms:.3}");
        row.findings.faults.iter().for_each(|fault| println!("  {fault}"));
    }
    Ok(())
}
