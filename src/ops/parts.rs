//! Host side of `shaders/lib/parts.wgsl`: partial results merged as a tree.

use crate::engine::plan::Plan;
use crate::engine::shader::{Constants, Kernel, Work};

/// The most parts that a thread merges one after the other, of up to 1,024: each waits for a load.
pub const MOST_PARTS: usize = 16;

/// More threads do not pay where each has fewer parts than this.
const LEAST_PARTS: usize = 4;

/// How many threads share a vec4 of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes {
    lanes: usize,
    count4: usize,
    /// Threads of a workgroup, and so the most that share a result.
    threads: usize,
}

impl Lanes {
    /// Lanes of a kernel for `count4` results of `parts` parts each: no thread merges more than [`MOST_PARTS`], and the device is
    /// busy, as far as there are parts enough.
    pub fn new(plan: &Plan, kernel: Kernel, parts: usize, count4: usize) -> Lanes {
        let threads = plan.target.shaders.threads(kernel);
        let busy = plan.target.variant.sizes.parallel_groups * threads;
        let mut lanes = parts.div_ceil(MOST_PARTS).next_power_of_two().min(threads);
        while lanes < threads && lanes * count4 < busy && parts >= 2 * lanes * LEAST_PARTS {
            lanes *= 2;
        }
        Lanes { lanes, count4, threads }
    }

    pub fn constants(&self) -> Constants {
        vec![("LANES", self.lanes.into())]
    }

    pub fn work(&self) -> Work {
        Work::Groups((self.count4 * self.lanes).div_ceil(self.threads) as u64)
    }
}
