//! f64 twin of the bias gradient.

use super::Problem;
use crate::ops::add_scaled;

/// `db[c] = sum over n,position of dy[n,position,c]`.
pub fn gradient(p: &Problem, dy: &[f64]) -> Vec<f64> {
    assert_eq!(dy.len(), p.batch * p.positions * p.channels);
    let mut db = vec![0.0; p.channels];
    for row in dy.chunks_exact(p.channels) {
        add_scaled(&mut db, 1.0, row);
    }
    db
}
