//! f64 twins of the max pooling kernels.

use rayon::prelude::*;

use super::Problem;
use crate::ops::{offset, size};

/// `y[n,oy,ox,c]` = the largest `x[n, oy * stride + ky, ox * stride + kx, c]` over the window's `ky`, `kx`.
pub fn forward(p: &Problem, x: &[f64]) -> Vec<f64> {
    assert_eq!(x.len(), size(p.input_shape()));
    let mut y = vec![0.0; size(p.output_shape())];
    y.par_chunks_mut(p.columns.output * p.channels).enumerate().for_each(|(row, y)| {
        let (image, oy) = (row / p.rows.output, row % p.rows.output);
        for (ox, y) in y.chunks_exact_mut(p.channels).enumerate() {
            for (c, y) in y.iter_mut().enumerate() {
                *y = x[winner(p, x, [image, oy, ox, c])];
            }
        }
    });
    y
}

/// Each `dy` goes whole to the first maximum of its window; entries under several windows add up, and entries under
/// none (an odd last row or column) get 0.
pub fn backward(p: &Problem, x: &[f64], dy: &[f64]) -> Vec<f64> {
    assert_eq!((x.len(), dy.len()), (size(p.input_shape()), size(p.output_shape())));
    let image_size = size([1, p.rows.input, p.columns.input, p.channels]);
    let mut dx = vec![0.0; x.len()];
    dx.par_chunks_mut(image_size).enumerate().for_each(|(image, dx)| {
        for oy in 0..p.rows.output {
            for ox in 0..p.columns.output {
                for c in 0..p.channels {
                    let output = [image, oy, ox, c];
                    dx[winner(p, x, output) - image * image_size] += dy[offset(p.output_shape(), output)];
                }
            }
        }
    });
    dx
}

/// Where in `x` the first maximum (row-major) of the window of output `[n,oy,ox,c]` lies. A NaN wins, so that it is
/// seen at the end.
fn winner(p: &Problem, x: &[f64], [image, oy, ox, c]: [usize; 4]) -> usize {
    let (top, left) = (oy * p.rows.stride, ox * p.columns.stride);
    let mut best = offset(p.input_shape(), [image, top, left, c]);
    for ky in 0..p.rows.kernel {
        for kx in 0..p.columns.kernel {
            let candidate = offset(p.input_shape(), [image, top + ky, left + kx, c]);
            if x[candidate] > x[best] || x[candidate].is_nan() {
                best = candidate;
            }
        }
    }
    best
}
