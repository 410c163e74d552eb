//! How long work takes on a device, and how much of it is handed over at once: an operating system resets a GPU that
//! stays silent for about two seconds.

use std::ops::Range;

use crate::engine::plan::Cost;

/// Default limit of a dispatch's time, in milliseconds.
pub const DISPATCH_MS: u32 = 100;

/// A submission may take as long as this many dispatches.
const DISPATCHES: f64 = 5.0;

/// Where a device does this many operations of a matrix product, it moves a byte: the ratio of a GPU with slow memory.
const FLOPS_PER_BYTE: f64 = 16.0;

/// The measured speed of a device, and the longest dispatch that it may be given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    pub flops_per_second: f64,
    pub dispatch_seconds: f64,
}

impl Pace {
    /// An estimate, on the high side.
    pub fn seconds(&self, cost: Cost) -> f64 {
        (cost.flops as f64 + FLOPS_PER_BYTE * cost.bytes as f64) / self.flops_per_second
    }

    /// The most operations of one dispatch: a power of two, so that two measurements of a device mostly agree.
    pub fn dispatch_flops(&self) -> u64 {
        1 << ((self.flops_per_second * self.dispatch_seconds) as u64).max(1).ilog2()
    }

    /// Cuts steps of these costs into runs that are short enough, each of one step at least.
    pub fn submissions(&self, costs: impl Iterator<Item = Cost>) -> Vec<Range<usize>> {
        let most = DISPATCHES * self.dispatch_seconds;
        let mut submissions: Vec<Range<usize>> = Vec::new();
        let mut left = 0.0;
        for (index, cost) in costs.enumerate() {
            let seconds = self.seconds(cost);
            match submissions.last_mut() {
                Some(submission) if seconds <= left => submission.end = index + 1,
                _ => {
                    submissions.push(index..index + 1);
                    left = most;
                }
            }
            left -= seconds;
        }
        submissions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { flops_per_second: 1e9, dispatch_seconds: 0.1 };

    fn steps(seconds: &[f64]) -> Vec<Range<usize>> {
        PACE.submissions(seconds.iter().map(|seconds| Cost { flops: (seconds * 1e9) as u64, bytes: 0 }))
    }

    #[test]
    fn submissions_cover_the_steps_in_order_and_end_in_time() {
        assert_eq!(steps(&[0.1, 0.2, 0.1, 0.3]), [0..3, 3..4]);
        assert_eq!(steps(&[0.3, 0.1, 0.2, 0.3, 0.1]), [0..2, 2..4, 4..5]);
        assert_eq!(steps(&[2.0, 0.1, 2.0]), [0..1, 1..2, 2..3], "a step is never cut");
        assert_eq!(steps(&[]), []);
    }

    #[test]
    fn bytes_take_time_too() {
        let seconds = PACE.seconds(Cost { flops: 1_000_000_000, bytes: 1_000_000_000 });
        assert_eq!(seconds, 1.0 + FLOPS_PER_BYTE);
        assert_eq!(PACE.dispatch_flops(), 1 << 26, "of 100 million");
        assert_eq!(Pace { flops_per_second: 0.0, ..PACE }.dispatch_flops(), 1);
    }
}
