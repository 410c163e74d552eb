//! Bounds of Adam's step.

use super::{BETA_1, BETA_2, EPSILON, Run, Update};
use crate::engine::bound::{Given, Uncertainties, Uncertainty};
use crate::engine::tensor::TensorId;
use crate::ops::guard::twin::unusable;

/// Each bound follows the formula, operation by operation, with the sizes of its intermediate results.
pub(super) fn step(given: &Given, gate: TensorId, update: &Update) -> Uncertainties {
    let Update { of: t, parameter: of_weights, gradient, moments: [first, second, largest] } = update;
    let g = gradient.of(given.input(t.gradient));
    let [before_m, m] = [given.input(t.m), given.output(t.m)].map(|numbers| first.of(numbers));
    let [before_v, v] = [given.input(t.v), given.output(t.v)].map(|numbers| second.of(numbers));
    let vhat = largest.of(given.output(t.vhat));
    let parameter = of_weights.of(given.output(t.parameter));
    let alpha = given.input(gate)[0];
    // What has an unusable gradient stays as it is.
    let one = |of: &dyn Fn(usize) -> Uncertainty, i| if unusable(&g[i..=i]) { Uncertainty::NONE } else { of(i) };
    let all = |of: &dyn Fn(usize) -> Uncertainty| (0..g.len()).map(|i| one(of, i)).collect::<Vec<_>>();
    let of_m = all(&|i| moment(Uncertainty::NONE, g[i], before_m[i], 1.0 - BETA_1, m[i]).flushed());
    let of_v = all(&|i| {
        let square = Uncertainty::NONE.rounded(g[i] * g[i]);
        moment(square, g[i] * g[i], before_v[i], 1.0 - BETA_2, v[i]).flushed().flushed()
    });
    // The larger of two numbers strays no more than they do.
    let of_vhat = of_v.clone();
    let of_parameter = all(&|i| {
        let root = vhat[i].sqrt() + EPSILON;
        let update = alpha * m[i] / root;
        let of_root = of_vhat[i].root(vhat[i]).rounded(root).rounded(EPSILON);
        let of_update = of_m[i].times(alpha).rounded(alpha * m[i]).times(1.0 / root) + of_root.times(update / root);
        of_update.divided(update).rounded(parameter[i]).flushed()
    });
    // What is not updated is exact.
    let all = |id: TensorId, run: &Run, of: Vec<Uncertainty>| {
        (id, run.put(&vec![Uncertainty::NONE; given.output(id).len()], &of))
    };
    let of_weights = all(t.parameter, of_weights, of_parameter);
    [all(t.m, first, of_m), all(t.vhat, largest, of_vhat), all(t.v, second, of_v), of_weights].into()
}

/// `before + (value - before) * share`, of which the share is rounded too.
fn moment(of_value: Uncertainty, value: f64, before: f64, share: f64, after: f64) -> Uncertainty {
    let change = (value - before) * share;
    of_value.rounded(value - before).times(share).rounded(change).rounded(change).rounded(after)
}
