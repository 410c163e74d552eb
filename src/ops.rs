//! The operations. Each has a folder: `<op>.rs` states the problem and its cost, `<op>/gpu.rs` builds the steps that
//! run its kernels (`shaders/<op>/*.wgsl`), `<op>/cpu.rs` is the f64 twin of each kernel.

pub mod adam;
pub mod augment;
pub mod batch_norm;
pub mod bias;
pub mod conv2d;
pub mod dense;
pub mod global_average_pool;
pub mod max_pool;
pub mod relu;
pub mod softmax_cross_entropy;

/// What a twin computed: each sum, and the sum of the magnitudes of its terms. The second is what a bound on the
/// rounding error of an f32 kernel is made of.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    pub value: Vec<f64>,
    pub magnitude: Vec<f64>,
}
