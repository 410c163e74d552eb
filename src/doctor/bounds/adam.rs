//! Bounds of Adam's step.

use super::{Bounds, DIVISION, FLUSHED, SQUARE_ROOT, ULP};
use crate::doctor::operation::Operation;
use crate::ops::adam::{BETA_1, BETA_2, EPSILON};

/// Each bound follows the formula, operation by operation, with the sizes of its intermediate results; `4.0 * ULP`
/// covers the up to four roundings of each moment, those of the constants included.
pub fn step(op: &Operation) -> Bounds {
    let [g, m, v] = ["gradient", "m", "v"].map(|name| op.input(name));
    let [parameter, new_m, new_v, vhat] = ["parameter", "m", "v", "vhat"].map(|name| op.output(name));
    let alpha = op.input("gate")[0];
    let all = |bound: &dyn Fn(usize) -> f64| (0..g.len()).map(bound).collect::<Vec<f64>>();
    let m_bound = all(&|i| 4.0 * ULP * ((1.0 - BETA_1) * (g[i].abs() + m[i].abs()) + new_m[i].abs()) + FLUSHED);
    let v_bound = all(&|i| 4.0 * ULP * ((1.0 - BETA_2) * (g[i] * g[i] + v[i]) + new_v[i]) + 2.0 * FLUSHED);
    let parameter_bound = all(&|i| {
        let root = vhat[i].sqrt() + EPSILON;
        let update = alpha * new_m[i].abs() / root;
        // What an error of the radicand makes of the root: half of it, but near 0 no more than its own root.
        let of_root = (v_bound[i] / (2.0 * vhat[i].sqrt())).min(v_bound[i].sqrt());
        let relative = of_root / root + SQUARE_ROOT + DIVISION + 3.0 * ULP;
        alpha * m_bound[i] / root + update * relative + ULP * parameter[i].abs() + FLUSHED
    });
    [
        (op.id("m"), m_bound),
        // The larger of two numbers strays no more than they do.
        (op.id("vhat"), v_bound.clone()),
        (op.id("v"), v_bound),
        (op.id("parameter"), parameter_bound),
    ]
    .into()
}
