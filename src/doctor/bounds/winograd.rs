//! Bounds of Winograd convolution: those of sums, behind whose terms stand the numbers of the transforms too.

use super::{FLUSHED, NEAREST, Uncertainties, Uncertainty, sum};
use crate::doctor::operation::Operation;
use crate::ops::winograd::cpu::{self, Matrices};
use crate::ops::winograd::{Problem, Tile};
use crate::ops::{absolute, squares};
use crate::shape::padded;

/// Roundings on the way of one number besides those of the sum: two transforms along two axes of each factor, and two
/// back, none of more than six terms.
const TRANSFORM_ROUNDINGS: f64 = 3.0 * 2.0 * 6.0;

/// How many of them have results of the size of all terms together: along each axis the last product and the last sum.
const TRANSFORM_VARIANCES: f64 = 3.0 * 2.0 * 2.0;

/// One pass of a convolution: the tensor that it computes, how many products make a sum of it, and numbers of its shape.
struct Pass {
    output: &'static str,
    terms: usize,
    numbers: Vec<f64>,
}

/// Forward, or one of the gradients, or both.
pub fn convolution(op: &Operation) -> Uncertainties {
    let of = |(magnitudes, squares): (Pass, Pass)| {
        let terms = magnitudes.terms as f64;
        let both = magnitudes.numbers.into_iter().zip(squares.numbers);
        let elements = both.map(|(magnitude, square)| uncertainty(op.independent, terms, magnitude, square));
        (op.id(magnitudes.output), elements.collect())
    };
    passes(op, absolute).into_iter().zip(passes(op, squares)).map(of).collect()
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

/// The passes that the node has, on inputs and by transforms whose numbers `change` has changed.
fn passes(op: &Operation, change: fn(&[f64]) -> Vec<f64>) -> Vec<Pass> {
    let tile = Tile::ALL.into_iter().find(|tile| op.uses(tile.library())).expect("one of its tiles");
    let matrices = Matrices::of(tile).map(change);
    let image = if op.binds("x") { op.shape("x") } else { op.shape("grad_y") };
    let &[batch, height, width, _] = image else { panic!("images are [batch, height, width, channels]") };
    let weights = op.read();
    let &[_, _, cin, cout] = &op.plan.tensor(weights).shape[..] else { panic!("weights are [3, 3, cin, cout]") };
    let (p, channels) = (Problem { tile, height, width, cin: padded(cin), cout: padded(cout) }, [cin, cout]);
    let changed = |name: &str| change(op.input(name));
    let w = change(op.input_of(weights));
    if op.binds("y") {
        let mut y = cpu::forward(&p, &matrices, &changed("x"), &w, channels);
        y.iter_mut().zip(changed("bias").iter().cycle()).for_each(|(y, bias)| *y += bias);
        return vec![Pass { output: "y", terms: cin + 1, numbers: y }];
    }
    let dy = changed("grad_y");
    let mut passes = Vec::new();
    if op.binds("grad_w") {
        let numbers = cpu::weight_gradient(&p, &matrices, &changed("x"), &dy, channels);
        passes.push(Pass { output: "grad_w", terms: batch * p.tiles(), numbers });
    }
    if op.binds("grad_x") {
        let numbers = cpu::data_gradient(&p, &matrices, &dy, &w, channels);
        passes.push(Pass { output: "grad_x", terms: cout, numbers });
    }
    passes
}
