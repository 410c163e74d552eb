//! f64 twins of the dense kernels.

use rayon::prelude::*;

use super::Problem;
use crate::ops::add_scaled;

/// `y[n,o] = bias[o] + sum over i of x[n,i] * w[i,o]`.
pub fn forward(p: &Problem, x: &[f64], w: &[f64], bias: &[f64]) -> Vec<f64> {
    assert_eq!((x.len(), w.len(), bias.len()), (p.batch * p.inputs, p.inputs * p.outputs, p.outputs));
    let mut y = bias.repeat(p.batch);
    y.par_chunks_mut(p.outputs).zip(x.par_chunks(p.inputs)).for_each(|(y, x)| {
        for (x, w) in x.iter().zip(w.chunks_exact(p.outputs)) {
            add_scaled(y, *x, w);
        }
    });
    y
}

/// `dx[n,i] = sum over o of dy[n,o] * w[i,o]`.
pub fn data_gradient(p: &Problem, dy: &[f64], w: &[f64]) -> Vec<f64> {
    assert_eq!((dy.len(), w.len()), (p.batch * p.outputs, p.inputs * p.outputs));
    let mut dx = vec![0.0; p.batch * p.inputs];
    dx.par_chunks_mut(p.inputs).zip(dy.par_chunks(p.outputs)).for_each(|(dx, dy)| {
        for (dx, w) in dx.iter_mut().zip(w.chunks_exact(p.outputs)) {
            *dx = dy.iter().zip(w).map(|(dy, w)| dy * w).sum();
        }
    });
    dx
}

/// `dw[i,o] = sum over n of x[n,i] * dy[n,o]`.
pub fn weight_gradient(p: &Problem, x: &[f64], dy: &[f64]) -> Vec<f64> {
    assert_eq!((x.len(), dy.len()), (p.batch * p.inputs, p.batch * p.outputs));
    let mut dw = vec![0.0; p.inputs * p.outputs];
    dw.par_chunks_mut(p.outputs).enumerate().for_each(|(i, dw)| {
        for (x, dy) in x.chunks_exact(p.inputs).zip(dy.chunks_exact(p.outputs)) {
            add_scaled(dw, x[i], dy);
        }
    });
    dw
}
