//! f64 twins of the ReLU kernels.

/// `y = max(x, 0)`, and NaN stays NaN (`f64::max` would turn it into 0).
pub fn forward(x: &[f64]) -> Vec<f64> {
    x.iter().map(|&x| if x < 0.0 { 0.0 } else { x }).collect()
}

/// `dx = dy where y > 0, else 0`; `y` is the output of [`forward`].
pub fn backward(y: &[f64], dy: &[f64]) -> Vec<f64> {
    assert_eq!(y.len(), dy.len());
    y.iter().zip(dy).map(|(&y, &dy)| if y > 0.0 { dy } else { 0.0 }).collect()
}
