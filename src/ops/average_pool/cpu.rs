//! f64 twins of the average pooling kernels.

use super::Problem;
use crate::ops::{offset, size};
use crate::shape::Axis;

/// Positions of the image that window number `window` covers.
fn inside(axis: &Axis, window: usize) -> std::ops::Range<usize> {
    let start = window * axis.stride;
    start.saturating_sub(axis.before)..(start + axis.kernel - axis.before).min(axis.input)
}

/// Calls `visit(output, input, pixels)` for each pixel of each window, with flat positions and the window's pixels.
fn each_pixel(p: &Problem, mut visit: impl FnMut(usize, usize, f64)) {
    for image in 0..p.batch {
        for (oy, ox) in (0..p.rows.output).flat_map(|oy| (0..p.columns.output).map(move |ox| (oy, ox))) {
            let (rows, columns) = (inside(&p.rows, oy), inside(&p.columns, ox));
            let pixels = (rows.len() * columns.len()) as f64;
            for (iy, ix) in rows.flat_map(|iy| columns.clone().map(move |ix| (iy, ix))) {
                for c in 0..p.channels {
                    let output = offset(p.output_shape(), [image, oy, ox, c]);
                    visit(output, offset(p.input_shape(), [image, iy, ix, c]), pixels);
                }
            }
        }
    }
}

/// `y[n,oy,ox,c]` = the sum over the window of `x[n,iy,ix,c]`, divided by its pixels.
pub fn forward(p: &Problem, x: &[f64]) -> Vec<f64> {
    assert_eq!(x.len(), size(p.input_shape()));
    let mut y = vec![0.0; size(p.output_shape())];
    each_pixel(p, |output, input, pixels| y[output] += x[input] / pixels);
    y
}

/// `dx[n,iy,ix,c]` = the sum over the windows that hold the pixel of `dy[n,oy,ox,c]`, each divided by its pixels.
pub fn backward(p: &Problem, dy: &[f64]) -> Vec<f64> {
    assert_eq!(dy.len(), size(p.output_shape()));
    let mut dx = vec![0.0; size(p.input_shape())];
    each_pixel(p, |output, input, pixels| dx[input] += dy[output] / pixels);
    dx
}
