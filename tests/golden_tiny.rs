//! Six training steps of the tutorial's network at an eighth of its width, against Keras's `train_on_batch`.

use crate::common::golden::{check, places, twins};

#[test]
fn on_the_device() {
    // Losses and accuracies; 33 activations and 28 gradients; 28 parameters, 8 biases that stay, 84 moments and 16
    // statistics after each of three steps; of two, all 36 parameters follow from their moments, and five moments from
    // gradients and from each other; inference.
    let states = 3 * (28 + 8 + 84 + 16) + (2 + 5) * 36;
    for place in places() {
        assert_eq!(check("tiny", &place).findings.compared, 3 + 33 + 28 + states + 4);
    }
}

#[test]
fn on_the_twins() {
    check("tiny", &twins());
}
