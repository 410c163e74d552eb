//! Layers that are proved as a whole, forward and backward, on their own examples.

use crate::common::device::prove;
use ocellus::ops::{Layer, examples};
use ocellus::proof::doctor::gradients;

#[test]
fn add() {
    prove("add/forward");
}

#[test]
fn average_pool() {
    prove("average_pool/forward");
}

#[test]
fn every_layer_has_examples_and_its_gradients_are_compared() {
    let rows = gradients::run();
    for layer in Layer::TYPES {
        assert!(examples().iter().any(|example| example.layer.type_name() == *layer), "{layer} has no example");
        let row = rows.iter().find(|row| row.kernel == layer.replace('_', " "));
        assert!(row.is_some_and(|row| row.findings.passed()), "{layer}");
    }
}
