//! The kernels and the twins against Keras's own numbers: 46 cases, forward and gradients, on the default core and the
//! device's own.

use crate::common::golden::{check, places, twins};

#[test]
fn kernels_compute_what_keras_computes() {
    for place in places() {
        check("ops", &place);
    }
}

#[test]
fn twins_compute_what_keras_computes() {
    check("ops", &twins());
}
