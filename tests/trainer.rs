//! The training loop: a run that is stopped and resumed ends with the same bits as one that is not.

use approx::assert_relative_eq;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::steps::{device, twins};
use crate::common::training::{BATCH, assert_same_state, config, network, photographs, state, trainer};
use ocellus::app::checkpoint::{self, Metadata};
use ocellus::app::config::Config;
use ocellus::app::train::callbacks::Monitor;
use ocellus::app::train::{Data, Trainer, files};
use ocellus::engine::plan::Cut;
use ocellus::engine::run::Engine;
use ocellus::error::{Error, Result};

static NEVER: AtomicBool = AtomicBool::new(false);

/// Trains to the last epoch of `config` in one go, from the state in `folder` if there is one.
fn train(engine: Engine, config: &Config, data: &Data, folder: &Path) {
    let mut trainer = trainer(engine, config, data);
    let state = folder.join(files::STATE);
    if state.exists() {
        trainer.restore(&state).unwrap();
    }
    trainer.run(folder, &NEVER).unwrap();
    assert_eq!(trainer.history().len(), config.epochs);
}

#[test]
fn four_epochs_are_two_and_two_more() {
    let data = photographs();
    let [straight, stopped] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    train(device(), &config(4), &data, straight.path());
    train(device(), &config(2), &data, stopped.path());
    train(device(), &config(4), &data, stopped.path());
    assert_same_state(straight.path(), stopped.path());
    // The best weights may come from any epoch, the same one in both.
    let best = |folder: &Path| std::fs::read(folder.join(files::BEST)).unwrap();
    assert!(best(straight.path()) == best(stopped.path()), "the best weights differ");

    // Its other half: two epochs more do change the state.
    let half = tempfile::tempdir().unwrap();
    train(device(), &config(2), &data, half.path());
    assert_ne!(state(half.path()).0, state(straight.path()).0);
}

/// Steps of the epoch under way when the run stopped; `None` if it came to its end before.
fn interrupt_after(delay: Duration, config: &Config, data: &Data, folder: &Path) -> Option<usize> {
    let mut trainer = trainer(device(), config, data);
    let interrupted = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(delay);
            interrupted.store(true, Ordering::Relaxed);
        });
        trainer.run(folder, &interrupted)
    });
    match result {
        Ok(()) => None,
        Err(Error::Interrupted) => Some(state(folder).1.training.unwrap().sums.steps),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_run_interrupted_in_mid_epoch_goes_on_where_it_stopped() {
    let data = photographs();
    let (config, straight) = (config(2), tempfile::tempdir().unwrap());
    let started = std::time::Instant::now();
    train(device(), &config, &data, straight.path());
    let mut delay = started.elapsed() / 2;
    // When a step ends is up to the machine: try until one run stops between two steps of an epoch.
    for _ in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        match interrupt_after(delay, &config, &data, folder.path()) {
            Some(steps) if steps > 0 => {
                println!("interrupted after step {steps} of an epoch");
                train(device(), &config, &data, folder.path());
                assert_same_state(straight.path(), folder.path());
                return;
            }
            Some(_) => delay = delay * 5 / 4,
            None => delay /= 2,
        }
    }
    panic!("no run was interrupted in mid-epoch");
}

#[test]
fn a_run_interrupted_before_its_first_step_can_be_resumed() {
    let data = photographs();
    let (config, [straight, stopped]) = (config(1), [(); 2].map(|()| tempfile::tempdir().unwrap()));
    train(device(), &config, &data, straight.path());
    let result = trainer(device(), &config, &data).run(stopped.path(), &AtomicBool::new(true));
    assert!(matches!(result, Err(Error::Interrupted)));
    train(device(), &config, &data, stopped.path());
    assert_same_state(straight.path(), stopped.path());
}

/// A run that its callbacks stopped is over, whatever happens before its test is done; more patience takes it further.
#[test]
fn a_run_that_was_stopped_early_stays_stopped() {
    let data = photographs();
    let (folder, mut config) = (tempfile::tempdir().unwrap(), config(4));
    let early_stopping = &mut config.callbacks.early_stopping;
    // Nothing is an improvement after the first epoch.
    (early_stopping.patience, early_stopping.min_delta) = (1, 1000.0);
    let epochs = |config: &Config| {
        let mut trainer = trainer(device(), config, &data);
        let state = folder.path().join(files::STATE);
        if state.exists() {
            trainer.restore(&state).unwrap();
        }
        trainer.run(folder.path(), &NEVER).unwrap();
        trainer.history().len()
    };
    assert_eq!(epochs(&config), 2);
    let stopped = state(folder.path());
    assert_eq!(epochs(&config), 2);
    assert!(state(folder.path()) == stopped, "nothing was trained");
    config.callbacks.early_stopping.patience = 2;
    assert_eq!(epochs(&config), 3);
}

/// A device that is slower today, or that binds more, cuts a run as it was when it began.
#[test]
fn a_run_is_cut_as_it_began() {
    let data = photographs();
    let windows = |cut: Option<Cut>| {
        let config = Config { cut, ..config(1) };
        let trainer = trainer(device(), &config, &data);
        trainer.engine.plan(trainer.inference_program()).windows.len()
    };
    let own = device().target().cut();
    assert_eq!((windows(None), windows(Some(own))), (1, 1));
    assert_eq!(windows(Some(Cut { dispatch_flops: Some(1), ..own })), BATCH, "a window an image");
    assert_eq!(windows(Some(Cut { binding_bytes: u64::MAX, ..own })), 1, "no more than the device binds");
}

/// What `restore` says of a state from a run with other settings or other data.
fn refusal(config: &Config, data: &Data, path: &Path) -> String {
    match trainer(twins(), config, data).restore(path) {
        Err(Error::Input(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn states_of_other_runs_are_refused() {
    let data = photographs();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(files::STATE);
    trainer(twins(), &config(1), &data).save_state(folder.path()).unwrap();
    let whole: Result<()> = trainer(twins(), &config(1), &data).restore(&path);
    whole.expect("its own state");

    let wider = Config { width: 0.25, ..config(1) };
    let message = refusal(&wider, &data, &path);
    assert!(message.contains("made by another network") && message.contains("conv1.kernel"), "{message}");

    let other = Data { fingerprint: "47 drawn photographs".into(), ..photographs() };
    let message = refusal(&config(1), &other, &path);
    assert!(message.contains("48 drawn photographs") && message.contains("47 drawn photographs"), "{message}");

    let mut renamed = photographs();
    renamed.classes[0] = "Renamed".into();
    let message = refusal(&config(1), &renamed, &path);
    assert!(message.contains("Renamed"), "{message}");

    let message = refusal(&Config { seed: 6, ..config(1) }, &data, &path);
    assert!(message.contains("began with seed 5, not 6"), "{message}");

    let mut other_monitor = config(1);
    other_monitor.callbacks.reduce_lr.monitor = Monitor::ValLoss;
    let message = refusal(&other_monitor, &data, &path);
    assert!(message.contains("callbacks.reduce_lr.monitor loss, and cannot go on with val_loss"), "{message}");

    let weights_only = folder.path().join(files::BEST);
    let (tensors, metadata) = checkpoint::load(&path).unwrap();
    checkpoint::save(&weights_only, &tensors, &Metadata { training: None, ..metadata }).unwrap();
    let message = refusal(&config(1), &data, &weights_only);
    assert!(message.contains("no state of training"), "{message}");

    let mut in_mid_epoch = checkpoint::load(&path).unwrap().1;
    in_mid_epoch.training.as_mut().unwrap().sums.steps = 4;
    checkpoint::save(&path, &tensors, &in_mid_epoch).unwrap();
    let message = refusal(&Config { batch: 12, ..config(1) }, &data, &path);
    assert!(message.contains("has 4 steps of an epoch that has 2"), "{message}");
}

/// The f64 reference trains too; its first epoch is the device's but for rounding.
#[test]
fn the_reference_trains_an_epoch() {
    let data = photographs();
    let [on_device, on_twins] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    train(device(), &config(1), &data, on_device.path());
    train(twins(), &config(1), &data, on_twins.path());
    let loss = |folder: &Path| state(folder).1.training.unwrap().history[0].loss;
    let (device, twins) = (loss(on_device.path()), loss(on_twins.path()));
    println!("loss of an epoch: {device} on the device, {twins} on the twins");
    // Rounding grows from step to step: Adam makes full steps of gradients that are next to nothing.
    assert_relative_eq!(device, twins, max_relative = 1e-3);
}

#[test]
fn fewer_images_than_a_batch_are_refused() {
    let data = photographs();
    let config = Config { batch: 100, ..config(1) };
    let result = Trainer::new(twins(), &config, network(&config, &data), &data);
    let message = result.map(drop).unwrap_err().to_string();
    assert!(message.contains("fewer than a batch of 100"), "{message}");
}
