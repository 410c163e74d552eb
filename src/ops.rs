//! The operations. Each has a folder: `<op>.rs` states the problem and its cost, `<op>/gpu.rs` builds the steps that
//! run its kernels (`shaders/<op>/*.wgsl`), `<op>/cpu.rs` is the f64 twin of each kernel.

pub mod adam;
pub mod augment;
pub mod batch_norm;
pub mod bias;
pub mod columns;
pub mod conv2d;
pub mod dense;
pub mod gemm;
pub mod global_average_pool;
pub mod guard;
pub mod max_pool;
pub mod peak;
pub mod receipt;
pub mod relu;
pub mod softmax_cross_entropy;
pub mod sum;
pub mod winograd;

/// Every entry without its sign. Each matrix product here is linear in each argument, so a twin run on absolute values
/// returns the sum of `|a * b|` behind each output: what a bound on the rounding error of an f32 kernel is made of.
pub fn absolute(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value.abs()).collect()
}

/// `out += factor * row`, the innermost loop of the twins' matrix products: contiguous, so the compiler vectorises it.
fn add_scaled(out: &mut [f64], factor: f64, row: &[f64]) {
    for (out, value) in out.iter_mut().zip(row) {
        *out += factor * value;
    }
}

/// Where an entry of a tensor of four axes lies in its flat slice (C order).
fn offset(shape: [usize; 4], index: [usize; 4]) -> usize {
    ((index[0] * shape[1] + index[1]) * shape[2] + index[2]) * shape[3] + index[3]
}

/// Number of entries of a tensor of four axes.
fn size(shape: [usize; 4]) -> usize {
    shape.iter().product()
}
