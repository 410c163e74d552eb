//! What `ocellus train` can be asked for: callbacks, quick looks, event files; and what `ocellus summary` prints.

use std::path::Path;

use crate::common::program::{SMALL, device, files_in, ocellus, photographs, refuse, succeed, text, train};
use ocellus::app::checkpoint::{self, Metadata};
use ocellus::app::config::Config;
use ocellus::app::train::callbacks::{CallbackOptions, Monitor};
use ocellus::app::train::files;

fn config(run: &Path) -> Config {
    Config::load(&run.join(files::CONFIG)).unwrap()
}

fn state(run: &Path) -> Metadata {
    checkpoint::load(&run.join(files::STATE)).unwrap().1
}

fn options_of(run: &Path) -> CallbackOptions {
    state(run).training.unwrap().callbacks.options
}

#[test]
fn callbacks_are_settings_of_the_run_and_of_its_state() {
    let temporary = photographs();
    let (folder, run) = (temporary.path(), temporary.path().join("run"));
    let cpu = ["--device", "cpu", "--width", "0.03"];
    let given = "--monitor val_accuracy --patience 7 --stop-monitor val_loss --stop-min-delta 0.25 --lr-monitor accuracy \
                 --lr-patience 2 --lr-factor 0.5 --lr-min-delta 0.125 --lr-cooldown 1 --lr-min 0.0001";
    let mut options = CallbackOptions::default();
    options.best_checkpoint.monitor = Monitor::ValAccuracy;
    (options.early_stopping.monitor, options.early_stopping.patience) = (Monitor::ValLoss, 7);
    options.early_stopping.min_delta = 0.25;
    (options.reduce_lr.monitor, options.reduce_lr.patience) = (Monitor::Accuracy, 2);
    (options.reduce_lr.factor, options.reduce_lr.min_delta) = (0.5, 0.125);
    (options.reduce_lr.cooldown, options.reduce_lr.min_lr) = (1, 1e-4);
    let small = ["train", "--data", "data", "--out", "run", "--image-size", "32", "--batch", "6", "--epochs", "1"];
    let given: Vec<&str> = given.split_whitespace().collect();
    let output = text(&succeed(folder, &[&small[..], &cpu, &given].concat()).stdout);
    assert!(output.contains("of epoch 1, which had the best val_accuracy"), "{output}");
    assert_eq!((config(&run).callbacks, options_of(&run)), (options, options));

    // A resumed run takes other values, but what it remembers are values of one monitor.
    let resume = |more: &[&'static str]| [&["train", "--resume", "run", "--device", "cpu"], more].concat();
    let before = std::fs::read(run.join(files::STATE)).unwrap();
    refuse(folder, &resume(&["--monitor", "loss"]), &["best_checkpoint.monitor val_accuracy", "go on with loss"]);
    refuse(folder, &resume(&["--batch", "5"]), &["run", "batch 6", "go on with 5"]);
    refuse(folder, &resume(&["--lr", "0.5"]), &["run", "lr 0.001", "go on with 0.5"]);
    refuse(folder, &resume(&["--no-augment"]), &["run", "augment true", "go on with false"]);
    assert!(std::fs::read(run.join(files::STATE)).unwrap() == before);
    assert_eq!(config(&run).callbacks, options);
    succeed(folder, &resume(&["--patience", "9", "--epochs", "2"]));
    options.early_stopping.patience = 9;
    assert_eq!((config(&run).callbacks, options_of(&run), state(&run).epoch), (options, options, 2));
}

#[test]
fn callbacks_that_cannot_be_used_are_refused() {
    let folder = photographs();
    for (option, words) in [
        (["--monitor", "f1"], ["f1", "val_accuracy"]),
        (["--patience", "0"], ["early_stopping.patience is 0", "at least 1"]),
        (["--lr-patience", "0"], ["reduce_lr.patience is 0", "at least 1"]),
        (["--lr-factor", "2"], ["reduce_lr.factor is 2", "to 1"]),
        (["--lr-min", "nan"], ["reduce_lr.min_lr is NaN", "at least 0"]),
        (["--lr-min-delta=-1", "--no-cache"], ["reduce_lr.min_delta is -1", "at least 0"]),
    ] {
        refuse(folder.path(), &train(&option), &words);
    }
    assert_eq!(files_in(folder.path()), ["data"]);
}

/// A patience of one epoch with a threshold that nothing passes: the run stops after the second.
#[test]
fn patience_stops_a_run() {
    let folder = photographs();
    let more = ["--device", "cpu", "--epochs", "9", "--patience", "1", "--stop-min-delta", "1000", "--width", "0.03"];
    let arguments =
        [&["train", "--data", "data", "--out", "run", "--image-size", "32", "--batch", "6"], &more[..]].concat();
    let output = succeed(folder.path(), &arguments);
    assert_eq!(state(&folder.path().join("run")).epoch, 2);
    assert!(text(&output.stderr).contains("loss has not improved for 1 epochs: stopping early"));
}

/// One definition of each default: the help says what an empty config file means.
#[test]
fn the_help_names_the_tutorials_values() {
    let folder = tempfile::tempdir().unwrap();
    let help = text(&succeed(folder.path(), &["train", "--help"]).stdout);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for (option, default) in [
        ("--epochs", "[default: 300; built-in set: 8]"),
        ("--batch", "[default: 32; built-in set: 16]"),
        ("--image-size", "[default: 224; built-in set: 32]"),
        ("--lr ", "[default: 0.001; built-in set: 0.00006]"),
        ("--monitor", "[default: val_loss]"),
        ("--stop-monitor", "[default: loss]"),
        ("--patience", "[default: 5]"),
        ("--lr-patience", "[default: 3]"),
        ("--lr-factor", "[default: 0.2]"),
        ("--lr-min-delta", "[default: 0.0001]"),
    ] {
        let rest = &help[help.find(&format!(" {option}")).expect(option)..];
        let next = rest[1..].find("[default").map(|at| &rest[1 + at..]).expect(option);
        assert!(next.starts_with(default), "{option}: {}", &next[..default.len().min(next.len())]);
    }
}

#[test]
fn a_fast_dev_run_is_one_batch_of_everything() {
    let (temporary, device) = (photographs(), device());
    let (folder, run) = (temporary.path(), temporary.path().join("run"));
    let output = succeed(folder, &train(&["--fast-dev-run", "--device", &device]));
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(stderr.matches("the figures mean nothing").count() == 2, "{stderr}");
    assert!(stderr.contains("Epoch 1/1: 1 step\n"), "{stderr}");
    for file in [files::BEST, files::STATE, files::HISTORY_PLOT, files::CONFUSION_PLOT, files::PAGE] {
        assert!(run.join(file).is_file(), "{file}");
    }
    let training = state(&run).training.unwrap();
    assert_eq!((training.step, training.history.len()), (1, 1));
    assert!(
        training.data_fingerprint.starts_with("6 training and 6 validation images"),
        "{}",
        training.data_fingerprint
    );
    // The report is of one batch, too.
    let weighted = stdout.lines().find(|line| line.contains("weighted avg")).unwrap();
    assert!(weighted.trim_end().ends_with(" 6"), "{weighted}");
    // It cannot be taken for a run of the whole data.
    refuse(
        folder,
        &["train", "--resume", "run", "--epochs", "2", "--device", "cpu"],
        &["began with other data", "6 training"],
    );
}

#[test]
fn a_few_images_are_overfitted_or_the_program_says_that_they_are_not() {
    let (temporary, device) = (photographs(), device());
    let folder = temporary.path();
    let overfit = |images, more: &[&'static str]| {
        [&["train", "--data", "data", "--overfit", images, "--device", &device], &SMALL[..], more].concat().join(" ")
    };
    let split = |arguments: &str| arguments.split(' ').map(String::from).collect::<Vec<_>>();
    let run = |arguments: &str| ocellus(folder).args(split(arguments)).output().unwrap();

    let passed = run(&overfit("6", &[]));
    let (stdout, stderr) = (text(&passed.stdout), text(&passed.stderr));
    assert_eq!(passed.status.code(), Some(0), "{stderr}");
    let line = stdout.lines().last().unwrap();
    assert!(line.starts_with("Overfit passed: 6 images after "), "{line}");
    let loss: f64 = line.split("loss ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert!(loss <= 0.01, "{line}");

    let failed = run(&overfit("6", &["--epochs", "2"]));
    let stderr = text(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("overfit failed: 6 images after 2 epochs: loss "), "{stderr}");

    let arguments = overfit("1000", &[]);
    refuse(folder, &arguments.split(' ').collect::<Vec<_>>(), &["--overfit 1000", "the training split has"]);
    assert_eq!(files_in(folder), ["data"], "no run is left behind");
}

#[test]
fn a_run_is_resumed_from_another_folder() {
    let (temporary, elsewhere) = (photographs(), tempfile::tempdir().unwrap());
    let (folder, run) = (temporary.path(), temporary.path().join("run"));
    succeed(folder, &train(&["--device", "cpu", "--epochs", "1", "--tensorboard", "logs"]));
    let resume = ["train", "--resume", run.to_str().unwrap(), "--epochs", "2", "--device", "cpu"];
    succeed(elsewhere.path(), &resume);
    assert_eq!((state(&run).epoch, files_in(&folder.join("logs")).len()), (2, 2));
    assert!(files_in(elsewhere.path()).is_empty());
}

#[test]
fn a_run_does_not_go_on_with_other_photographs() {
    let temporary = photographs();
    let folder = temporary.path();
    succeed(folder, &train(&["--device", "cpu", "--epochs", "1"]));
    let table = std::fs::read_to_string(folder.join("data/train.csv")).unwrap();
    let names: Vec<&str> = table.lines().skip(1).map(|row| row.split(',').next().unwrap()).collect();
    let image = |name: &str| folder.join("data/img").join(name);
    std::fs::copy(image(names[1]), image(names[0])).unwrap();
    refuse(folder, &["train", "--resume", "run", "--epochs", "2", "--device", "cpu"], &["began with other data"]);
}

#[test]
fn event_files_for_tensorboard() {
    let temporary = photographs();
    let folder = temporary.path();
    let more = ["--device", "cpu", "--epochs", "1", "--tensorboard", "logs"];
    succeed(folder, &train(&more));
    let files = files_in(&folder.join("logs"));
    assert!(files.len() == 1 && files[0].starts_with("events.out.tfevents."), "{files:?}");
    let bytes = std::fs::read(folder.join("logs").join(&files[0])).unwrap();
    assert!(bytes.windows(12).any(|window| window == b"val_accuracy"));
    // A resumed run goes on in a file of its own, in the same folder.
    succeed(folder, &["train", "--resume", "run", "--epochs", "2", "--device", "cpu"]);
    assert_eq!(files_in(&folder.join("logs")).len(), 2);

    let second = photographs();
    std::fs::write(second.path().join("logs"), "a file").unwrap();
    refuse(second.path(), &train(&more), &["logs"]);
    assert_eq!(files_in(second.path()), ["data", "logs"]);
}

/// The text itself is held to Keras's: src/network/summary.rs.
#[test]
fn the_summary_is_of_the_network_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let summary = |arguments: &[&str]| text(&succeed(folder.path(), &[&["summary"], arguments].concat()).stdout);
    assert!(summary(&[]).contains("\nTotal params: 18364872 (70.06 MB)\nTrainable params: 18357768 (70.03 MB)\n"));
    let small = summary(&["--image-size", "32", "--width", "0.125", "--classes", "3"]);
    assert!(small.contains(" conv8 (Conv2D)              (None, 1, 1, 128)         147584    \n"), "{small}");
    refuse(folder.path(), &["summary", "nowhere"], &["nowhere", "no such file"]);
}

/// A run records the shader files that it began with, and goes on with no others.
#[test]
fn a_run_keeps_to_its_shaders() {
    let temporary = photographs();
    let (folder, run) = (temporary.path(), temporary.path().join("run"));
    let file = folder.join("kernels/relu/forward.wgsl");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders/relu/forward.wgsl"), &file).unwrap();
    let small = ["train", "--data", "data", "--image-size", "32", "--batch", "6", "--epochs", "1", "--width", "0.03"];
    let device = ["--device", &device()];
    let output = succeed(folder, &[&small[..], &device, &["--out", "run", "--shaders", "kernels"]].concat());
    assert!(text(&output.stderr).contains("Shaders: relu/forward.wgsl of kernels (hash "));
    let recorded = config(&run).shaders.unwrap();
    assert_eq!(recorded.files, ["relu/forward.wgsl"]);
    assert!(recorded.folder.is_absolute() && recorded.hash.is_some_and(|hash| hash.len() == 16));

    let evaluated = succeed(folder, &[&["evaluate", "run", "--data", "data"], &device[..]].concat());
    assert!(text(&evaluated.stderr).contains("trained with the shaders of "), "{}", text(&evaluated.stderr));
    let resume = ["train", "--resume", "run", "--epochs", "2"];
    succeed(folder, &[&resume[..], &device].concat());
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + "\n").unwrap();
    refuse(folder, &[&resume[..], &device].concat(), &["the run began with shaders of hash"]);

    succeed(folder, &[&small[..], &device, &["--out", "plain"]].concat());
    assert_eq!(config(&folder.join("plain")).shaders, None);
    let words = ["the run began with the built-in shaders"];
    refuse(folder, &[&["train", "--resume", "plain", "--shaders", "kernels"], &device[..]].concat(), &words);
}

/// A kernel that is wrong in every variant ends a run before it begins; the twins run no shaders.
#[test]
fn a_run_with_a_wrong_kernel_does_not_begin() {
    let device = device();
    if device == "cpu" {
        return;
    }
    let temporary = photographs();
    let folder = temporary.path();
    let file = folder.join("kernels/conv2d/forward.wgsl");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders/conv2d/forward.wgsl")).unwrap();
    let broken = text.replacen("bias[n4]", "(bias[n4] + 1.0)", 1);
    assert_ne!(broken, text);
    std::fs::write(&file, broken).unwrap();
    let output = ocellus(folder).args(train(&["--device", &device, "--shaders", "kernels"])).output().unwrap();
    let said = crate::common::program::text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: the shaders of --shaders give wrong results"), "{said}");
    assert_eq!(files_in(folder), ["data", "kernels"]);
}

/// A run on several devices records its cut; it goes on, and is repeated, on one. The twins stand for devices here.
#[test]
fn a_run_on_several_devices_goes_on_with_one() {
    let temporary = photographs();
    let (folder, run) = (temporary.path(), temporary.path().join("run"));
    let small = ["train", "--data", "data", "--image-size", "32", "--width", "0.03"];
    let on = |devices: &'static str, more: &[&'static str]| [&small[..], &["--devices", devices], more].concat();
    refuse(folder, &on("cpu,cpu", &["--batch", "5"]), &["--batch 5", "2 equal shares", "a multiple of 2"]);
    refuse(folder, &on("cpu,", &[]), &["--devices cpu,: a name is empty"]);
    refuse(folder, &on("cpu,99", &["--batch", "6"]), &["there is no device 99"]);
    let both = [&on("cpu,cpu", &[])[..], &["--device", "cpu"]].concat();
    let refused = ocellus(folder).args(both).output().unwrap();
    assert!(text(&refused.stderr).contains("cannot be used with"), "{}", text(&refused.stderr));
    assert_eq!(files_in(folder), ["data"]);

    let begun = succeed(folder, &on("cpu,cpu", &["--batch", "6", "--epochs", "1", "--out", "run"]));
    assert!(text(&begun.stderr).contains("Device 1 of 2: the f64 CPU reference"), "{}", text(&begun.stderr));
    let recorded = config(&run);
    assert_eq!((recorded.devices.as_deref(), recorded.cut.unwrap().shares), (Some("cpu,cpu"), Some(2)));
    refuse(
        folder,
        &["train", "--resume", "run", "--devices", "cpu,cpu,cpu", "--epochs", "2"],
        &["2 share(s)", "3 devices cannot hold equally"],
    );
    succeed(folder, &["train", "--resume", "run", "--device", "cpu", "--epochs", "2"]);
    assert_eq!((state(&run).epoch, config(&run).devices, config(&run).cut.unwrap().shares), (2, None, Some(2)));
}

/// A launcher of MPI starts the same program several times: without the feature each would train for itself.
#[cfg(not(feature = "mpi"))]
#[test]
fn a_program_without_mpi_refuses_a_launcher_of_several_processes() {
    let folder = photographs();
    let started = |count: &str| {
        let mut program = ocellus(folder.path());
        program.args(train(&["--device", "cpu", "--fast-dev-run"]));
        program.env("OMPI_COMM_WORLD_SIZE", count).output().unwrap()
    };
    let refused = started("2");
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("started 2 processes") && said.contains("--features mpi"), "{said}");
    assert_eq!(files_in(folder.path()), ["data"]);
    let alone = started("1");
    assert!(alone.status.success(), "{}", text(&alone.stderr));
}
