//! Bounds of Winograd convolution: bounds of sums whose terms are transformed values, themselves
//! sums.

use super::Problem;
use super::twin::{self, Matrices};
use super::{Backward, Forward};
use crate::engine::bound::{FLUSHED, Given, NEAREST, Uncertainties, Uncertainty, sum};
use crate::engine::numbers::{absolute, squares};
use crate::engine::tensor::TensorId;
use crate::ops::conv2d;

/// Roundings on the way of one number besides those of the sum: two transforms along two axes of each factor, and two
/// back, none of more than six terms.
const TRANSFORM_ROUNDINGS: f64 = 3.0 * 2.0 * 6.0;

/// How many of them have results of the size of all terms together: along each axis the last product and the last sum.
const TRANSFORM_VARIANCES: f64 = 3.0 * 2.0 * 2.0;

/// One tensor that a convolution computes: how many products make a sum of it, and numbers of its shape.
struct Output {
    id: TensorId,
    terms: usize,
    numbers: Vec<f64>,
}

/// Of forward, of the convolution `whole`.
pub fn forward(given: &Given, whole: &conv2d::Problem, p: &Problem, t: &Forward) -> Uncertainties {
    of(given, |change| {
        let changed = |id| change(given.input(id));
        let matrices = Matrices::of(p.tile).map(change);
        let mut y = twin::forward(p, &matrices, &changed(t.x), &changed(t.w), [whole.cin, whole.cout]);
        y.iter_mut().zip(changed(t.bias).iter().cycle()).for_each(|(y, bias)| *y += bias);
        vec![Output { id: t.y, terms: whole.cin + 1, numbers: y }]
    })
}

/// Of one of the gradients, or both.
pub fn backward(given: &Given, whole: &conv2d::Problem, p: &Problem, t: &Backward) -> Uncertainties {
    let channels = [whole.cin, whole.cout];
    of(given, |change| {
        let changed = |id| change(given.input(id));
        let (matrices, dy) = (Matrices::of(p.tile).map(change), changed(t.dy));
        let dw = t.dw.map(|id| {
            let numbers = twin::weight_gradient(p, &matrices, &changed(t.x), &dy, channels);
            Output { id, terms: whole.batch * p.tiles(), numbers }
        });
        let dx = t.dx.map(|id| {
            let numbers = twin::data_gradient(p, &matrices, &dy, &changed(t.w), channels);
            Output { id, terms: whole.cout, numbers }
        });
        dw.into_iter().chain(dx).collect()
    })
}

/// From the outputs on absolute inputs and on squares, by transforms whose numbers are changed too.
fn of(given: &Given, outputs: impl Fn(fn(&[f64]) -> Vec<f64>) -> Vec<Output>) -> Uncertainties {
    let bound = |(magnitudes, squares): (Output, Output)| {
        let terms = magnitudes.terms as f64;
        let both = magnitudes.numbers.into_iter().zip(squares.numbers);
        let elements = both.map(|(magnitude, square)| uncertainty(given.independent, terms, magnitude, square));
        (magnitudes.id, elements.collect())
    };
    outputs(absolute).into_iter().zip(outputs(squares)).map(bound).collect()
}

/// Of a sum of so many products, of which `magnitude` is the sum of the absolute values with all transforms multiplied out,
/// and `square` the sum of the squares. Where terms do not depend on each other, partial sum k of n has `k / n` of the
/// squares on average, and all partial sums together `n / 2` times the squares.
fn uncertainty(independent: bool, terms: f64, magnitude: f64, square: f64) -> Uncertainty {
    let variance = match independent {
        true => (terms / 2.0 + TRANSFORM_VARIANCES) * square,
        false => (terms + TRANSFORM_VARIANCES) * magnitude * magnitude,
    };
    let roundings = terms + TRANSFORM_ROUNDINGS;
    Uncertainty { most: sum(roundings) * magnitude, variance: NEAREST * variance, allowed: 0.0 }
        .within(roundings * FLUSHED)
}
