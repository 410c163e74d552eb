//! A tensor's numbers between the host, which has no padding, and the device.

use std::ops::Range;

use crate::engine::tensor::Tensor;

/// Copies rows of `from_row` numbers into rows of `to_row`, and groups of `from_rows` rows into groups of `to_rows`.
fn relayout<T: Copy + Default>(
    values: &[T],
    [from_rows, from_row]: [usize; 2],
    [to_rows, to_row]: [usize; 2],
) -> Vec<T> {
    let groups = values.len() / (from_rows * from_row);
    let mut out = vec![T::default(); groups * to_rows * to_row];
    for group in 0..groups {
        for row in 0..from_rows.min(to_rows) {
            let from = (group * from_rows + row) * from_row;
            let to = (group * to_rows + row) * to_row;
            let count = from_row.min(to_row);
            out[to..to + count].copy_from_slice(&values[from..from + count]);
        }
    }
    out
}

/// The last two axes of a shape; one row of a shape that has one axis.
fn last_two(shape: &[usize]) -> [usize; 2] {
    match *shape {
        [.., rows, columns] => [rows, columns],
        [columns] => [1, columns],
        [] => [1, 1],
    }
}

/// A tensor's numbers as they lie in memory.
pub fn pad<T: Copy + Default>(tensor: &Tensor, values: &[T]) -> Vec<T> {
    relayout(values, last_two(&tensor.shape), last_two(&tensor.stored_shape()))
}

/// Removes the padding; the inverse of [`pad`].
pub fn unpad<T: Copy + Default>(tensor: &Tensor, stored: &[T]) -> Vec<T> {
    relayout(stored, last_two(&tensor.stored_shape()), last_two(&tensor.shape))
}

/// A run of a tensor's numbers as they lie in memory.
pub fn run_of<T: Copy + Default>(tensor: &Tensor, values: &[T], run: &Range<usize>) -> Vec<T> {
    pad(tensor, values)[run.clone()].to_vec()
}

/// A tensor's numbers with others in a run of memory that begins at `first`.
pub fn with_run<T: Copy + Default>(tensor: &Tensor, values: &[T], first: usize, run: &[T]) -> Vec<T> {
    let mut stored = pad(tensor, values);
    stored[first..first + run.len()].copy_from_slice(run);
    unpad(tensor, &stored)
}
