//! Keras's own traces of its three callbacks, epoch by epoch; and sequences worked by hand for what those do not vary.

use crate::common::golden::{check, twins};
use ocellus::app::train::callbacks::{
    BestCheckpoint, CallbackOptions, Callbacks, EarlyStopping, EpochEnd, Monitor, ReduceLrOnPlateau,
};
use ocellus::app::train::history::EpochRecord;

const NAN: f64 = f64::NAN;

#[test]
fn keras_traces() {
    assert_eq!(check("callbacks", &twins()).findings.compared, 10);
}

/// The epochs that the callbacks let happen when the monitored values are these and all others get worse all the time.
fn play(options: CallbackOptions, monitor: Monitor, values: &[f64]) -> Vec<EpochEnd> {
    let mut callbacks = Callbacks::new(options);
    let mut lr = 1e-3;
    let mut ends = Vec::new();
    for (index, &value) in values.iter().enumerate() {
        let worse = 1.0 + index as f64;
        let mut record = EpochRecord { epoch: index + 1, lr, loss: worse, val_loss: worse, ..EpochRecord::default() };
        (record.accuracy, record.val_accuracy) = (-worse, -worse);
        match monitor {
            Monitor::Loss => record.loss = value,
            Monitor::Accuracy => record.accuracy = value,
            Monitor::ValLoss => record.val_loss = value,
            Monitor::ValAccuracy => record.val_accuracy = value,
        }
        let end = callbacks.epoch_end(&record);
        lr = end.lr;
        ends.push(end);
        if end.stop {
            break;
        }
    }
    ends
}

fn rates(options: ReduceLrOnPlateau, values: &[f64]) -> Vec<f32> {
    let patient = EarlyStopping { patience: usize::MAX, ..EarlyStopping::default() };
    let all = CallbackOptions { reduce_lr: options, early_stopping: patient, ..CallbackOptions::default() };
    play(all, options.monitor, values).iter().map(|end| end.lr).collect()
}

/// The epoch, counted from 1, after which training stopped.
fn stopped(options: EarlyStopping, values: &[f64]) -> Option<usize> {
    let all = CallbackOptions { early_stopping: options, ..CallbackOptions::default() };
    let ends = play(all, options.monitor, values);
    ends.last().filter(|end| end.stop).map(|_| ends.len())
}

fn saved(monitor: Monitor, values: &[f64]) -> Vec<usize> {
    let best_checkpoint = BestCheckpoint { monitor };
    let patient = EarlyStopping { patience: usize::MAX, ..EarlyStopping::default() };
    let all = CallbackOptions { best_checkpoint, early_stopping: patient, ..CallbackOptions::default() };
    let ends = play(all, monitor, values);
    (1..=ends.len()).filter(|epoch| ends[epoch - 1].save_best).collect()
}

#[test]
fn the_best_of_a_loss_is_the_lowest_and_of_an_accuracy_the_highest() {
    let values = [0.5, 0.25, 0.25, NAN, 0.75, 0.125];
    for monitor in [Monitor::Loss, Monitor::ValLoss] {
        assert_eq!(saved(monitor, &values), [1, 2, 6], "{monitor}");
    }
    for monitor in [Monitor::Accuracy, Monitor::ValAccuracy] {
        assert_eq!(saved(monitor, &values), [1, 5], "{monitor}");
    }
    assert!(saved(Monitor::ValLoss, &[NAN, f64::INFINITY]).is_empty());
    assert!(saved(Monitor::ValAccuracy, &[NAN, f64::NEG_INFINITY]).is_empty());
}

/// 0.5625 is not more than min_delta above 0.5; 0.625 is, and then 0.75 above 0.625.
#[test]
fn a_plateau_of_an_accuracy() {
    let options = ReduceLrOnPlateau {
        monitor: Monitor::ValAccuracy,
        factor: 0.5,
        patience: 2,
        min_delta: 0.0625,
        ..Default::default()
    };
    let values = [0.5, 0.5625, 0.625, 0.625, 0.625, 0.75, 0.5, 0.5];
    assert_eq!(rates(options, &values), [1e-3, 1e-3, 1e-3, 1e-3, 5e-4, 5e-4, 5e-4, 2.5e-4]);
}

/// The cut after epoch 3 is followed by epoch 4, which the cooldown swallows, and by epoch 5, with which it is over.
#[test]
fn epochs_of_a_cooldown_do_not_count() {
    let options = ReduceLrOnPlateau { factor: 0.5, patience: 2, min_delta: 0.0, cooldown: 2, ..Default::default() };
    let expected = [1e-3, 1e-3, 5e-4, 5e-4, 5e-4, 2.5e-4, 2.5e-4, 2.5e-4, 1.25e-4, 1.25e-4];
    assert_eq!(rates(options, &[1.0; 10]), expected);
    // One in which it improves is a new lowest loss all the same.
    let options = ReduceLrOnPlateau { cooldown: 3, ..options };
    let values = [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5];
    assert_eq!(rates(options, &values), [1e-3, 1e-3, 5e-4, 5e-4, 5e-4, 5e-4, 2.5e-4, 2.5e-4]);
}

#[test]
fn the_rate_has_a_lower_bound() {
    let options = ReduceLrOnPlateau { factor: 0.1, patience: 1, min_delta: 0.0, min_lr: 5e-5, ..Default::default() };
    // A tenth of the f32 that is nearest to 0.001 is not the f32 that is nearest to 0.0001.
    assert_eq!(rates(options, &[1.0; 5]), [1e-3, 1.000_000_05e-4, 5e-5, 5e-5, 5e-5]);
}

#[test]
fn early_stopping_can_watch_any_of_the_four() {
    let falls_too_little = [1.0, 0.5, 0.75];
    let rises_too_little = [0.25, 0.375, 0.5, 0.5, 0.625, 0.75, 0.75];
    for monitor in [Monitor::Loss, Monitor::ValLoss] {
        let options = EarlyStopping { monitor, patience: 2, min_delta: 0.5 };
        assert_eq!(stopped(options, &falls_too_little), Some(3), "{monitor}");
    }
    for monitor in [Monitor::Accuracy, Monitor::ValAccuracy] {
        let options = EarlyStopping { monitor, patience: 2, min_delta: 0.125 };
        assert_eq!(stopped(options, &rises_too_little), Some(5), "{monitor}");
        assert_eq!(stopped(EarlyStopping { min_delta: 0.0, ..options }, &rises_too_little), None, "{monitor}");
    }
}

#[test]
fn nothing_stops_after_the_first_epoch() {
    let options = EarlyStopping { monitor: Monitor::ValLoss, patience: 1, min_delta: 0.0 };
    assert_eq!(stopped(options, &[NAN, 1.0, 2.0]), Some(3));
    assert_eq!(stopped(options, &[NAN, NAN, 2.0]), Some(2));
}

#[test]
fn a_run_goes_on_with_other_options_but_not_with_another_monitor() {
    let callbacks = Callbacks::new(CallbackOptions::default());
    let mut options = CallbackOptions::default();
    options.reduce_lr.patience = 7;
    assert_eq!(callbacks.clone().with(options).unwrap().options, options);
    options.early_stopping.monitor = Monitor::ValAccuracy;
    let message = callbacks.with(options).unwrap_err();
    assert_eq!(message, "the run began with callbacks.early_stopping.monitor loss, and cannot go on with val_accuracy");
}
