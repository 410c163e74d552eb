//! Bounds of clipping.

use super::twin;
use crate::engine::bound::{FLUSHED, Given, Terms, Uncertainties, Uncertainty};
use crate::engine::tensor::TensorId;

/// The factor is a quotient by the root of a sum of squares; each gradient is multiplied by it.
pub fn clip(given: &Given, gradients: &[TensorId], limit: f64) -> Uncertainties {
    let all = || gradients.iter().flat_map(|&id| given.input(id));
    let (norm, count) = (twin::norm(gradients.iter().map(|&id| given.input(id))), all().count() as f64);
    let sum = norm * norm;
    let squares = all().map(|number| number.powi(4)).sum();
    // A square may be flushed, each by itself.
    let of_sum = Terms { count, sum, squares, magnitude: sum }.uncertainty(given.independent);
    let of_norm = of_sum.root(sum);
    if sum.is_nan() || sum > f64::from(f32::MAX) {
        return gradients.iter().map(|&id| (id, vec![Uncertainty::NONE; given.input(id).len()])).collect();
    }
    // A norm as near to the limit as this may be on the other side of it.
    let clips = norm > limit - of_norm.most;
    let factor = if norm > limit { limit / norm } else { 1.0 };
    let of_factor = of_norm.times(limit / sum).divided(factor);
    let of = |&number: &f64| {
        let product = factor * number;
        if clips { of_factor.times(number).rounded(product).within(FLUSHED) } else { Uncertainty::NONE }
    };
    gradients.iter().map(|&id| (id, given.input(id).iter().map(of).collect())).collect()
}
