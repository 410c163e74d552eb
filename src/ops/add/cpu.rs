//! f64 twin of the addition.

/// `y = a + b`, any shape.
pub fn forward(a: &[f64], b: &[f64]) -> Vec<f64> {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}
