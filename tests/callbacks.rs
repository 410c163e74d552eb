//! Keras's own traces of its three callbacks, epoch by epoch.

use ocellus::train::callbacks::{CallbackOptions, Callbacks, EarlyStopping, Monitor};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    loss: Vec<Number>,
    val_loss: Vec<Number>,
    lr_used: Vec<f32>,
    lr_after: Vec<f32>,
    /// Epochs count from 0 here.
    epochs_saved: Vec<usize>,
    stop_after_epoch: Option<usize>,
    epochs_run: usize,
}

/// JSON has no NaN or infinity; the file writes them as strings.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Other(#[serde(deserialize_with = "from_text")] f64),
}

fn from_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

impl Number {
    fn value(self) -> f64 {
        match self {
            Number::Finite(value) | Number::Other(value) => value,
        }
    }
}

fn golden() -> Vec<Case> {
    let golden: Golden = serde_json::from_str(include_str!("golden/callbacks.json")).unwrap();
    golden.cases
}

#[derive(Debug, Default, PartialEq)]
struct Trace {
    lr_used: Vec<f32>,
    lr_after: Vec<f32>,
    epochs_saved: Vec<usize>,
    stop_after_epoch: Option<usize>,
}

/// Plays a case; `between_epochs` stands for what a run may do there, such as being stopped and resumed.
fn play(case: &Case, between_epochs: impl Fn(Callbacks) -> Callbacks) -> Trace {
    let mut trace = Trace::default();
    let mut callbacks = Callbacks::new(CallbackOptions::default());
    let mut lr = 1e-3_f32;
    for (epoch, (loss, val_loss)) in case.loss.iter().zip(&case.val_loss).enumerate() {
        trace.lr_used.push(lr);
        let end = callbacks.epoch_end(loss.value(), val_loss.value(), lr);
        lr = end.lr;
        trace.lr_after.push(lr);
        if end.save_best {
            trace.epochs_saved.push(epoch);
        }
        if end.stop {
            trace.stop_after_epoch = Some(epoch);
            break;
        }
        callbacks = between_epochs(callbacks);
    }
    trace
}

fn expected(case: &Case) -> Trace {
    assert_eq!(case.lr_used.len(), case.epochs_run);
    Trace {
        lr_used: case.lr_used.clone(),
        lr_after: case.lr_after.clone(),
        epochs_saved: case.epochs_saved.clone(),
        stop_after_epoch: case.stop_after_epoch,
    }
}

#[test]
fn keras_traces() {
    let cases = golden();
    assert_eq!(cases.len(), 10);
    for case in &cases {
        assert_eq!(play(case, |callbacks| callbacks), expected(case), "{}", case.name);
    }
}

#[test]
fn state_survives_being_saved_after_every_epoch() {
    for case in &golden() {
        let resumed = play(case, |callbacks| {
            let saved = serde_json::to_string(&callbacks).unwrap();
            let loaded: Callbacks = serde_json::from_str(&saved).unwrap();
            assert_eq!(loaded, callbacks);
            loaded
        });
        assert_eq!(resumed, expected(case), "{}", case.name);
    }
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
