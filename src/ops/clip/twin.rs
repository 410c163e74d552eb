//! f64 twin of clipping.

/// Multiplies all gradients by `limit / norm` where the norm, the root of the sum of all their squares, is greater than
/// `limit`; returns the norm. Where the sum of squares is beyond f32 nothing changes: the guard stops such a step.
pub fn clip(gradients: &mut [Vec<f64>], limit: f64) -> f64 {
    let norm = norm(gradients.iter().map(|numbers| &numbers[..]));
    if norm * norm <= f64::from(f32::MAX) && norm > limit {
        gradients.iter_mut().flatten().for_each(|number| *number *= limit / norm);
    }
    norm
}

/// The root of the sum of all squares.
pub fn norm<'a>(gradients: impl Iterator<Item = &'a [f64]>) -> f64 {
    gradients.flatten().map(|number| number * number).sum::<f64>().sqrt()
}
