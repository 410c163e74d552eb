//! Bounds of Winograd convolution: those of sums, behind whose terms stand the absolute numbers of the transforms too.

use super::{Bounds, FLUSHED, sum};
use crate::doctor::operation::Operation;
use crate::ops::absolute;
use crate::ops::winograd::cpu::{self, Matrices};
use crate::ops::winograd::{Problem, Tile};
use crate::shape::padded;

/// Roundings on the way of one number besides those of the sum: two transforms along two axes of each factor, and two
/// back, none of more than six terms.
const TRANSFORM_ROUNDINGS: f64 = 3.0 * 2.0 * 6.0;

/// Forward, or one of the gradients, or both.
pub fn convolution(op: &Operation) -> Bounds {
    let tile = Tile::ALL.into_iter().find(|tile| op.uses(tile.library())).expect("one of its tiles");
    let matrices = Matrices::of(tile).absolute();
    let image = if op.binds("x") { op.shape("x") } else { op.shape("grad_y") };
    let &[batch, height, width, _] = image else { panic!("images are [batch, height, width, channels]") };
    let weights = op.read();
    let &[_, _, cin, cout] = &op.plan.tensor(weights).shape[..] else { panic!("weights are [3, 3, cin, cout]") };
    let (p, channels) = (Problem { tile, height, width, cin: padded(cin), cout: padded(cout) }, [cin, cout]);
    let magnitude_of = |name: &str| absolute(op.input(name));
    let bounds = |terms: usize, magnitude: Vec<f64>| -> Vec<f64> {
        let terms = terms as f64 + TRANSFORM_ROUNDINGS;
        magnitude.into_iter().map(|magnitude| sum(terms) * magnitude + terms * FLUSHED).collect()
    };
    let w = absolute(op.input_of(weights));
    if op.binds("y") {
        let mut y = cpu::forward(&p, &matrices, &magnitude_of("x"), &w, channels);
        y.iter_mut().zip(magnitude_of("bias").iter().cycle()).for_each(|(y, bias)| *y += bias);
        return [(op.id("y"), bounds(cin + 1, y))].into();
    }
    let dy = magnitude_of("grad_y");
    let mut all = Bounds::new();
    if op.binds("grad_w") {
        let dw = cpu::weight_gradient(&p, &matrices, &magnitude_of("x"), &dy, channels);
        all.insert(op.id("grad_w"), bounds(batch * p.tiles(), dw));
    }
    if op.binds("grad_x") {
        all.insert(op.id("grad_x"), bounds(cout, cpu::data_gradient(&p, &matrices, &dy, &w, channels)));
    }
    all
}
