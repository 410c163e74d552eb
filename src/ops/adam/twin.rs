//! f64 twin of the Adam kernel.

use super::{BETA_1, BETA_2, EPSILON};
use crate::ops::guard::twin::unusable;

/// One step with amsgrad (Reddi et al. 2018) as Keras does it; [`super::alpha`] gives `alpha`:
/// `m += (g - m) * (1 - b1)`, `v += (g^2 - v) * (1 - b2)`, `vhat = max(vhat, v)`,
/// `parameter -= alpha * m / (sqrt(vhat) + eps)`. All slices have one length; `m`, `v`, `vhat` start at 0.
/// What has an unusable gradient stays as it is.
pub fn step(parameter: &mut [f64], gradient: &[f64], m: &mut [f64], v: &mut [f64], vhat: &mut [f64], alpha: f64) {
    let n = parameter.len();
    assert_eq!((gradient.len(), m.len(), v.len(), vhat.len()), (n, n, n, n));
    for i in 0..n {
        let g = gradient[i];
        if unusable(&[g]) {
            continue;
        }
        m[i] += (g - m[i]) * (1.0 - BETA_1);
        v[i] += (g * g - v[i]) * (1.0 - BETA_2);
        vhat[i] = vhat[i].max(v[i]);
        parameter[i] -= alpha * m[i] / (vhat[i].sqrt() + EPSILON);
    }
}
