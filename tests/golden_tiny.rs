//! Training steps of the tutorial's network, made narrow, against Keras's.

use crate::common::golden::{check, check_in, folder, places, twins};

/// Six steps at an eighth of the width, by `train_on_batch`.
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

/// Steps at a 32nd of the width on images that are not square. `scripts/make_golden.py` made them with `--small --only tiny
/// --classes 3 --width 0.03125 --seed 2` and `--size 72x56 --batch 5 --steps 3 --only augment`, or `--size 33x95 --batch 4
/// --steps 2`.
#[test]
fn images_that_are_not_square() {
    for (size, steps) in [("72x56", 3), ("33x95", 2)] {
        // As above; each step's state is there, so parameters follow from their moments as often as there are steps.
        let states = steps * (28 + 8 + 84 + 16) + (steps + 5) * 36;
        for place in places().iter().chain([&twins()]) {
            let compared = check_in(&folder().join(size), "tiny", place).findings.compared;
            assert_eq!(compared, 3 + 33 + 28 + states + 4, "{size}");
        }
    }
}
