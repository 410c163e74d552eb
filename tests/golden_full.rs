//! The tutorial's network at its full width, 224 x 224, batch 2, against Keras: logits, activations, gradients, and the
//! losses of three steps.

use crate::common::golden::{check, places};

#[test]
fn on_the_device() {
    for place in places() {
        check("full", &place);
    }
}
