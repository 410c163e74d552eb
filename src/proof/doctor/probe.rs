//! Probes of what a driver does silently.

use super::trial::Trial;
use crate::engine::gpu::Device;
use crate::error::Result;
use crate::ops::probe::loop_limit;

/// A loop that runs this long is taken to have no limit.
const ENOUGH: u32 = 1 << 20;

/// After how many iterations this device ends a loop; none if it ran a long one to its end.
pub fn iterations(device: &Device) -> Result<Option<u32>> {
    let mut trial = Trial::load(device, loop_limit(&device.target()))?;
    trial.write_integers("iterations", &[ENOUGH]);
    trial.start()?;
    let counted = trial.read("counted")?[0] as u32;
    Ok((counted < ENOUGH).then_some(counted))
}
