//! f64 twins of the global average pooling kernels.

use super::Problem;
use crate::ops::add_scaled;

/// `y[n,c] = sum over positions of x[n,position,c] / positions`.
pub fn forward(p: &Problem, x: &[f64]) -> Vec<f64> {
    assert_eq!(x.len(), p.batch * p.positions * p.channels);
    let mut y = vec![0.0; p.batch * p.channels];
    for (y, image) in y.chunks_exact_mut(p.channels).zip(x.chunks_exact(p.positions * p.channels)) {
        for row in image.chunks_exact(p.channels) {
            add_scaled(y, 1.0 / p.positions as f64, row);
        }
    }
    y
}

/// `dx[n,position,c] = dy[n,c] / positions`.
pub fn backward(p: &Problem, dy: &[f64]) -> Vec<f64> {
    assert_eq!(dy.len(), p.batch * p.channels);
    let share: Vec<f64> = dy.iter().map(|dy| dy / p.positions as f64).collect();
    share.chunks_exact(p.channels).flat_map(|image| image.repeat(p.positions)).collect()
}
