//! What a run does when something breaks under it: nothing saved is lost, and the message says why.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::common::steps::{device, device_lost_after};
use crate::common::training::{assert_same_state, config, photographs, trainer};
use ocellus::app::train::{Data, files};
use ocellus::engine::gpu::session::Session;
use ocellus::engine::run::Engine;
use ocellus::error::{Error, Result};
use ocellus::ops::relu;

static NEVER: AtomicBool = AtomicBool::new(false);
const EPOCHS: usize = 2;

fn run(engine: Engine, data: &Data, folder: &Path) -> Result<()> {
    trainer(engine, &config(EPOCHS), data).run(folder, &NEVER)
}

/// Training steps and validation batches of a run; every one of them may be the one at which a device is lost.
fn runs_of(data: &Data) -> usize {
    let batch = config(EPOCHS).batch;
    EPOCHS * (data.train.labels.len().div_ceil(batch) + data.val.labels.len() / batch)
}

/// A device is lost at each of some steps; the run ends with the bits of one that was not.
#[test]
fn a_lost_device_costs_nothing_but_time() {
    let data = photographs();
    let straight = tempfile::tempdir().unwrap();
    run(device(), &data, straight.path()).unwrap();
    let runs = runs_of(&data);
    for lost_at in [0, 1, runs / 3, runs / 2, 2 * runs / 3, runs - 1] {
        let folder = tempfile::tempdir().unwrap();
        run(device_lost_after(&[lost_at], false), &data, folder.path()).unwrap();
        assert_same_state(straight.path(), folder.path());
    }
}

/// What a driver refuses is an error of its own; the device goes on with what it takes.
#[test]
fn a_refused_kernel_leaves_the_device_usable() {
    let mut session = Session::new(crate::common::device::device().clone());
    let plan = |threads: Option<usize>| {
        let mut plan = crate::common::device::plan(session.device.target(), 1, 1);
        let [x, y] = ["x", "y"].map(|name| plan.kept_activation(name, &[1, 4, 4]));
        relu::steps::forward(&mut plan, "relu", x, y);
        if let Some(threads) = threads {
            plan.steps[0].constants.push(("WORKGROUP", threads.into()));
        }
        (plan, x, y)
    };
    let ((refused, ..), (good, x, y)) = (plan(Some(1 << 20)), plan(None));
    let error = session.load(refused).unwrap_err();
    assert!(matches!(&error, Error::Device(message) if message.contains("relu")), "{error:?}");
    let program = session.load(good).unwrap();
    session.write(program, x, &[-1.0; 16].map(|x: f32| -x));
    session.start(program);
    assert_eq!(session.read(program, y).unwrap(), [1.0; 16]);
}

/// Every device is lost in its fifth run: after the third the run ends, and its state is the last saved one.
#[test]
fn a_device_that_is_lost_again_and_again_ends_the_run() {
    let data = photographs();
    let folder = tempfile::tempdir().unwrap();
    let error = run(device_lost_after(&[4; 3], false), &data, folder.path()).unwrap_err();
    assert!(matches!(error, Error::DeviceLost(_)) && error.exit_status() == 1, "{error:?}");
    let message = error.to_string();
    for word in ["lost 3 times", "watchdog", "memory", "driver", "--max-dispatch-ms", files::STATE, "--resume"] {
        assert!(message.contains(word), "no {word} in {message}");
    }

    let config = config(EPOCHS);
    let mut resumed = trainer(device(), &config, &data);
    resumed.restore(&folder.path().join(files::STATE)).unwrap();
    resumed.run(folder.path(), &NEVER).unwrap();
    let straight = tempfile::tempdir().unwrap();
    run(device(), &data, straight.path()).unwrap();
    assert_same_state(straight.path(), folder.path());
}
