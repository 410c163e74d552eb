//! Bounds of Adam's step.

use super::{Uncertainties, Uncertainty};
use crate::doctor::operation::Operation;
use crate::ops::adam::{BETA_1, BETA_2, EPSILON};

/// Each bound follows the formula, operation by operation, with the sizes of its intermediate results.
pub fn step(op: &Operation) -> Uncertainties {
    let [g, before_m, before_v] = ["gradient", "m", "v"].map(|name| op.input(name));
    let [parameter, m, v, vhat] = ["parameter", "m", "v", "vhat"].map(|name| op.output(name));
    let alpha = op.input("gate")[0];
    let all = |of: &dyn Fn(usize) -> Uncertainty| (0..g.len()).map(of).collect::<Vec<_>>();
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
    [(op.id("m"), of_m), (op.id("vhat"), of_vhat), (op.id("v"), of_v), (op.id("parameter"), of_parameter)].into()
}

/// `before + (value - before) * share`, of which the share is rounded too.
fn moment(of_value: Uncertainty, value: f64, before: f64, share: f64, after: f64) -> Uncertainty {
    let change = (value - before) * share;
    of_value.rounded(value - before).times(share).rounded(change).rounded(change).rounded(after)
}
