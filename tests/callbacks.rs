//! Keras's own traces of its three callbacks, epoch by epoch.

mod common;

use common::golden::{check, twins};
use ocellus::train::callbacks::{CallbackOptions, Callbacks, EarlyStopping, Monitor};

#[test]
fn keras_traces() {
    assert_eq!(check("callbacks", &twins()).findings.compared, 10);
}

#[test]
fn a_callback_can_watch_the_other_loss() {
    let early_stopping = EarlyStopping { monitor: Monitor::ValLoss, patience: 2, min_delta: 0.5 };
    let mut callbacks = Callbacks::new(CallbackOptions { early_stopping, ..Default::default() });
    // The loss falls all the time; the validation loss never by more than min_delta.
    let stops: Vec<bool> = [(3.0, 1.0), (2.0, 0.5), (1.0, 0.75)]
        .map(|(loss, val_loss)| callbacks.epoch_end(loss, val_loss, 1e-3).stop)
        .to_vec();
    assert_eq!(stops, [false, false, true]);
    assert_eq!(callbacks.best(), 0.5);
}
