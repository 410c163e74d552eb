//! Plans that fit a budget of memory: with smaller windows of the batch, else with fewer textures.

use super::memory::{Total, total_of};
use super::{Plan, Target};
use crate::error::{Error, Result};
use crate::variant::Variant;

const MIB: f64 = (1 << 20) as f64;

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

/// What takes ever less memory and ever more time: smaller windows; these with textures that are copied anew whenever
/// they are needed; with reads from buffers alone.
fn candidates(target: &Target, batch: usize) -> Vec<Target> {
    let mut sizes: Vec<usize> = (2..=batch).map(|windows| batch.div_ceil(windows)).collect();
    sizes.dedup();
    sizes.retain(|&size| size < target.window_images);
    let brief = Target { idle_textures: 1, ..target.clone() };
    let buffers = Target { variant: Variant { texel_reads: None, ..target.variant.clone() }, ..target.clone() };
    let cut = |target: &Target| {
        let windowed = |&window_images: &usize| Target { window_images, ..target.clone() };
        [target.clone()].into_iter().chain(sizes.iter().map(windowed)).collect::<Vec<_>>()
    };
    [target, &brief, &buffers].into_iter().flat_map(cut).collect()
}
