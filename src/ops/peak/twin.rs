//! f64 twins of the probes.

use super::CHAINS;

/// `CHAINS` times what `v = v * x + x` comes to after so many iterations from `v = x`.
pub fn arithmetic(x: &[f64], iterations: usize) -> Vec<f64> {
    x.iter().map(|x| CHAINS as f64 * (0..iterations).fold(*x, |v, _| v * x + x)).collect()
}

pub fn copy(x: &[f64]) -> Vec<f64> {
    x.to_vec()
}
