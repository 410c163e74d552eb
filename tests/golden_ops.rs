//! The kernels and the twins against Keras's own numbers: 46 cases, forward and gradients, on the default core and the
//! device's own.

mod common;

use common::golden::{check, place, place_of, twins};
use ocellus::plan::Target;
use ocellus::variant::Variant;

#[test]
fn kernels_compute_what_keras_computes() {
    check("ops", &place());
    let plain = Variant::default();
    if place().target.variant != plain {
        check("ops", &place_of(Target { variant: plain, ..place().target }));
    }
}

#[test]
fn twins_compute_what_keras_computes() {
    check("ops", &twins());
}
