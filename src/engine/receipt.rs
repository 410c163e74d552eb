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

/// Has the ranks of one step agree on what the guard found: each tests its own slices of large gradients. `all` are the
/// numbers of each rank, which end with its receipt.
pub fn agree_on_fault(all: &mut [Vec<f32>]) {
    let fault = |numbers: &Vec<f32>| Some(numbers[numbers.len() - LENGTH + FAULT]).filter(|fault| *fault != 0.0);
    let first = all.iter().filter_map(fault).min_by(f32::total_cmp).unwrap_or(0.0);
    for numbers in all {
        let own = numbers.len() - LENGTH;
        numbers[own + FAULT] = first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_fault_of_any_rank_counts() {
        let of = |faults: [f32; 3]| {
            let mut all = faults.map(|fault| vec![7.0, 1.0, 2.0, fault, 0.0]).to_vec();
            agree_on_fault(&mut all);
            all
        };
        assert_eq!(of([0.0; 3]), [[7.0, 1.0, 2.0, 0.0, 0.0]; 3]);
        assert_eq!(of([0.0, 9.0, 4.0]), [[7.0, 1.0, 2.0, 4.0, 0.0]; 3]);
        assert_eq!(of([f32::NAN, 0.0, 0.0])[1][3].to_bits(), f32::NAN.to_bits());
    }
}
