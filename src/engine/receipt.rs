//! The receipt of a run: `receipt [4]` holds the number that the host gave the run, the marks of the submissions that
//! the device has done, and what the guard found.

/// Where each number stands in the receipt.
pub const RUN: usize = 0;
pub const MARKS: usize = 1;
/// One more than the index of the guard's first flag that was set, else 0.
pub const FAULT: usize = 2;
pub const LENGTH: usize = 4;

/// A receipt before its run.
pub fn fresh<F: From<f32>>(run: F) -> [F; LENGTH] {
    [run, F::from(0.0), F::from(0.0), F::from(0.0)]
}

/// Clears what ranks of one step may have each for themselves in their `numbers`, which end with a receipt: the number of
/// the run, and how often the device was handed work.
pub fn clear_own(numbers: &mut [f32]) {
    let own = numbers.len() - LENGTH;
    for at in [RUN, MARKS] {
        numbers[own + at] = 0.0;
    }
}
