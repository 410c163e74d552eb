//! f64 twins of the convolution kernels. One task computes whole rows of its output in one fixed order, so that the
//! sums do not depend on the number of threads.

use rayon::prelude::*;

use super::Problem;
use crate::engine::shape::Axis;
use crate::ops::{add_scaled, offset, size};

/// `y[n,oy,ox,co] = bias[co] + sum over ky,kx,ci of x[n,iy,ix,ci] * w[ky,kx,ci,co]`, where
/// `iy = oy * stride + ky - before` and likewise `ix`; x is 0 outside the image (Keras `Conv2D`).
pub fn forward(p: &Problem, x: &[f64], w: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
    assert_eq!((x.len(), w.len()), (size(p.input_shape()), size(p.weight_shape())));
    let positions = p.batch * p.rows.output * p.columns.output;
    let mut y = match bias {
        Some(bias) => bias.repeat(positions),
        None => vec![0.0; positions * p.cout],
    };
    assert_eq!(y.len(), size(p.output_shape()));
    y.par_chunks_mut(p.columns.output * p.cout).enumerate().for_each(|(row, y)| {
        let (image, oy) = (row / p.rows.output, row % p.rows.output);
        for ky in 0..p.rows.kernel {
            let Some(iy) = input_under(&p.rows, oy, ky) else { continue };
            for kx in 0..p.columns.kernel {
                for ci in 0..p.cin {
                    let w = &w[offset(p.weight_shape(), [ky, kx, ci, 0])..][..p.cout];
                    for (ox, y) in y.chunks_exact_mut(p.cout).enumerate() {
                        let Some(ix) = input_under(&p.columns, ox, kx) else { continue };
                        add_scaled(y, x[offset(p.input_shape(), [image, iy, ix, ci])], w);
                    }
                }
            }
        }
    });
    y
}

/// `dx[n,iy,ix,ci] = sum over ky,kx,co of dy[n,oy,ox,co] * w[ky,kx,ci,co]`, over the windows `oy`, `ox` whose tap
/// `ky`, `kx` lies on `iy`, `ix`.
pub fn data_gradient(p: &Problem, dy: &[f64], w: &[f64]) -> Vec<f64> {
    assert_eq!((dy.len(), w.len()), (size(p.output_shape()), size(p.weight_shape())));
    let w = with_cin_last(p, w);
    let [kernel_h, kernel_w, cin, cout] = p.weight_shape();
    let mut dx = vec![0.0; size(p.input_shape())];
    dx.par_chunks_mut(p.columns.input * cin).enumerate().for_each(|(row, dx)| {
        let (image, iy) = (row / p.rows.input, row % p.rows.input);
        for ky in 0..kernel_h {
            let Some(oy) = window_over(&p.rows, iy, ky) else { continue };
            for kx in 0..kernel_w {
                for co in 0..cout {
                    let w = &w[offset([kernel_h, kernel_w, cout, cin], [ky, kx, co, 0])..][..cin];
                    for (ix, dx) in dx.chunks_exact_mut(cin).enumerate() {
                        let Some(ox) = window_over(&p.columns, ix, kx) else { continue };
                        add_scaled(dx, dy[offset(p.output_shape(), [image, oy, ox, co])], w);
                    }
                }
            }
        }
    });
    dx
}

/// `dw[ky,kx,ci,co] = sum over n,oy,ox of x[n,iy,ix,ci] * dy[n,oy,ox,co]`, with `iy`, `ix` as in [`forward`].
pub fn weight_gradient(p: &Problem, x: &[f64], dy: &[f64]) -> Vec<f64> {
    assert_eq!((x.len(), dy.len()), (size(p.input_shape()), size(p.output_shape())));
    let mut dw = vec![0.0; size(p.weight_shape())];
    dw.par_chunks_mut(p.cout).enumerate().for_each(|(row, dw)| {
        let (tap, ci) = (row / p.cin, row % p.cin);
        let (ky, kx) = (tap / p.columns.kernel, tap % p.columns.kernel);
        for image in 0..p.batch {
            for oy in 0..p.rows.output {
                let Some(iy) = input_under(&p.rows, oy, ky) else { continue };
                for ox in 0..p.columns.output {
                    let Some(ix) = input_under(&p.columns, ox, kx) else { continue };
                    let dy = &dy[offset(p.output_shape(), [image, oy, ox, 0])..][..p.cout];
                    add_scaled(dw, x[offset(p.input_shape(), [image, iy, ix, ci])], dy);
                }
            }
        }
    });
    dw
}

/// The input position under tap `tap` of window `window`; none in the padding.
fn input_under(axis: &Axis, window: usize, tap: usize) -> Option<usize> {
    (window * axis.stride + tap).checked_sub(axis.before).filter(|&input| input < axis.input)
}

/// The window whose tap `tap` lies on position `input`: the inverse of [`input_under`].
fn window_over(axis: &Axis, input: usize, tap: usize) -> Option<usize> {
    let start = (input + axis.before).checked_sub(tap)?;
    (start % axis.stride == 0 && start / axis.stride < axis.output).then_some(start / axis.stride)
}

/// `w [kernel_h, kernel_w, cin, cout]` as `[kernel_h, kernel_w, cout, cin]`, so that the innermost loop of the data
/// gradient is contiguous.
fn with_cin_last(p: &Problem, w: &[f64]) -> Vec<f64> {
    let mut turned = Vec::with_capacity(w.len());
    for tap in w.chunks_exact(p.cin * p.cout) {
        for co in 0..p.cout {
            turned.extend(tap.iter().skip(co).step_by(p.cout));
        }
    }
    turned
}
