//! Plans that fit a budget of memory: by computing things again, by smaller windows of the batch, else by fewer textures.

use super::memory::{Total, total_of};
use super::{Plan, Recompute, Target};
use crate::engine::variant::Variant;
use crate::error::{Error, Result};

/// Bytes of a MiB.
pub const MIB: f64 = (1 << 20) as f64;

/// The target for which the plans of one session (of batches up to `batch`) take no more than `budget` bytes of the
/// device: the one given, if it does; else the first of those that take ever more time.
///
/// # Errors
/// `Error::Input` with the least that would do, where nothing fits.
pub fn fit(target: Target, budget: u64, batch: usize, plans: impl Fn(&Target) -> Vec<Plan>) -> Result<Target> {
    let mut least: Option<Total> = None;
    for target in candidates(&target, batch) {
        let total = total_of(&plans(&target));
        if total.bytes() <= budget {
            return Ok(target);
        }
        least = least.filter(|least| least.bytes() <= total.bytes()).or(Some(total));
    }
    let least = least.expect("a batch has an image");
    Err(Error::Input(format!(
        "a memory budget of {:.0} MiB is too small: {:.0} MiB is the least ({:.0} of it weights and optimiser); raise --memory-budget, \
         or lower --batch, --image-size or --width",
        budget as f64 / MIB,
        (least.bytes() as f64 / MIB).ceil(),
        least.persistent as f64 / MIB,
    )))
}

/// Fits a target to a budget in MiB, where there is one.
///
/// # Errors
/// As [`fit`].
pub fn fit_mib(
    target: Target,
    budget: Option<u64>,
    batch: usize,
    plans: impl Fn(&Target) -> Vec<Plan>,
) -> Result<Target> {
    match budget {
        Some(mib) => fit(target, mib << 20, batch, plans),
        None => Ok(target),
    }
}

/// Ways to take less memory at the cost of time, cheapest first: recompute tensors, which changes
/// no bit; cut the batch into smaller windows, which changes rounding; copy textures anew whenever
/// they are needed; read from buffers instead.
fn candidates(target: &Target, batch: usize) -> Vec<Target> {
    let mut sizes: Vec<usize> = (2..=batch).map(|windows| batch.div_ceil(windows)).collect();
    sizes.dedup();
    sizes.retain(|&size| size < target.window_images);
    sizes.insert(0, target.window_images);
    let brief = Target { brief_textures: true, ..target.clone() };
    let buffers = Target { variant: Variant { texel_reads: None, ..target.variant.clone() }, ..target.clone() };
    let mut candidates = Vec::new();
    for target in [target, &brief, &buffers] {
        for &window_images in &sizes {
            candidates.extend(Recompute::ALL.map(|recompute| Target { window_images, recompute, ..target.clone() }));
        }
    }
    candidates
}
