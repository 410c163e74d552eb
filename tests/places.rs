//! Places that are not a local disk of one's own: read-only data, drives without locks, folders
//! that move, full disks.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::program::{CACHE, SMALL, files_in, ocellus, photographs, refuse, succeed, text};
use crate::common::training::assert_same_state;
use ocellus::app::config::Config;
use ocellus::app::data::split::SPLITS;
use ocellus::app::train::files;
use ocellus::files::LOCK;
use tempfile::TempDir;

const CPU: [&str; 2] = ["--device", "cpu"];
const TINY: [&str; 6] = ["--width", "0.03", "--image-size", "32", "--batch", "6"];

fn begin<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "--data", "data", "--out", out], &CPU[..], &TINY, more].concat()
}

fn resume<'a>(run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "--resume", run, "--device", "cpu"], more].concat()
}

fn status(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), text(&stdout) + &text(&stderr))
}

/// Shows the command's output if it fails.
#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let (status, printed) = status(command);
    assert_eq!(status, Some(0), "{printed}");
    printed
}

fn splits(folder: &Path) -> Vec<Vec<u8>> {
    SPLITS.iter().map(|(name, _)| std::fs::read(folder.join(format!("{name}.csv"))).unwrap()).collect()
}

fn is_writable(folder: &Path) -> bool {
    tempfile::tempfile_in(folder).is_ok()
}

/// Takes every right to write to the folder away.
fn make_read_only(folder: &Path) {
    assert!(Command::new("chmod").arg("-R").arg("a-w").arg(folder).status().unwrap().success());
}

/// A program that the rights of files hold for: for root they do not, so it is another user in a
/// namespace there. None where that cannot be.
fn as_user(folder: &Path, arguments: &[&str]) -> Option<Command> {
    let program = assert_cmd::cargo::cargo_bin!("ocellus");
    let unshare = ["--user", "--map-user=1000", "--map-group=1000"];
    let mut command = match is_writable(&folder.join("data")) {
        false => Command::new(program),
        true if Command::new("unshare").args(unshare).arg("true").status().is_ok_and(|status| status.success()) => {
            let mut command = Command::new("unshare");
            command.args(unshare).arg(program);
            command
        }
        true => {
            eprintln!("skipped: root may write everywhere, and there is no unshare");
            return None;
        }
    };
    command.current_dir(folder).env("OCELLUS_CACHE", CACHE).args(arguments);
    Some(command)
}

/// A set that may be read only, as Kaggle's /kaggle/input or a mounted archive: its tables go to
/// the run's folder, and the run finds them there again.
#[test]
fn data_that_are_read_only() {
    let temporary = photographs();
    let folder = temporary.path();
    // What the tables would be in the folder itself.
    let twin = photographs();
    succeed(twin.path(), &["prepare", "data"]);
    let wanted = splits(&twin.path().join("data"));

    make_read_only(&folder.join("data"));
    let Some(mut train) = as_user(folder, &begin("run", &["--epochs", "1"])) else { return };
    let printed = succeeds(&mut train);
    assert!(printed.contains("data: nothing can be written there (Permission denied"), "{printed}");
    assert!(printed.contains("the splits go to run/tables"), "{printed}");
    let run = folder.join("run");
    assert_eq!(splits(&run.join("tables")), wanted);
    assert_eq!(files_in(&run.join("tables")), ["dataset.csv", "test.csv", "train.csv", "val.csv"]);
    assert_eq!(files_in(&folder.join("data")), ["data.csv", "img"]);

    let goes_on = |run: &str, more: &[&str]| succeeds(&mut as_user(folder, &resume(run, more)).unwrap());
    goes_on("run", &["--epochs", "2"]);
    let evaluate = |run: &str| {
        let printed = succeeds(&mut as_user(folder, &["evaluate", run, "--data", "data", "--device", "cpu"]).unwrap());
        assert!(printed.contains("weighted avg") && printed.contains(&format!("{run}/tables/test.csv")), "{printed}");
    };
    evaluate("run");
    // They move with the run.
    std::fs::rename(&run, folder.join("moved")).unwrap();
    goes_on("moved", &["--epochs", "3"]);
    evaluate("moved");

    let refused = |arguments: &[&str], words: &[&str]| {
        let (status, printed) = status(&mut as_user(folder, arguments).unwrap());
        assert_eq!(status, Some(2), "{printed}");
        assert!(words.iter().all(|word| printed.contains(word)), "{printed}");
    };
    refused(&["prepare", "data"], &["data: the splits are missing", "Permission denied", "--out DIR"]);
    succeeds(&mut as_user(folder, &["prepare", "data", "--out", "tables"]).unwrap());
    assert_eq!(splits(&folder.join("tables")), wanted);
    succeeds(&mut as_user(folder, &["check-data", "data", "--tables", "tables"]).unwrap());
    let printed = succeeds(&mut as_user(folder, &begin("second", &["--epochs", "3", "--tables", "tables"])).unwrap());
    assert!(!printed.contains("Made"), "{printed}");
    assert!(!folder.join("second/tables").exists());
    assert_same_state(&folder.join("second"), &folder.join("moved"));
    goes_on("second", &["--epochs", "4"]);
    refused(&begin("third", &["--tables", "nowhere"]), &["nowhere", "--tables"]);
    // A run that cannot begin leaves no tables either.
    refused(
        &begin("third", &["--batch", "100"])[..],
        &["the argument '--batch <BATCH>' cannot be used multiple times"],
    );
    let too_many: Vec<&str> =
        begin("third", &[]).into_iter().map(|word| if word == "6" { "100" } else { word }).collect();
    refused(&too_many, &["fewer than a batch of 100"]);
    assert!(!folder.join("third").exists());
    assert_eq!(files_in(&folder.join("data")), ["data.csv", "img"]);
}

/// Kaggle's competitions have a train.csv of their own: without the others it is not read past.
#[test]
fn tables_of_ones_own_for_data_that_are_read_only() {
    let temporary = photographs();
    let folder = temporary.path();
    succeed(folder, &["prepare", "data"]);
    std::fs::create_dir(folder.join("mine")).unwrap();
    std::fs::rename(folder.join("data/dataset.csv"), folder.join("mine/dataset.csv")).unwrap();
    std::fs::remove_file(folder.join("data/val.csv")).unwrap();
    std::fs::remove_file(folder.join("data/test.csv")).unwrap();
    make_read_only(&folder.join("data"));
    let Some(mut train) = as_user(folder, &begin("run", &["--epochs", "1"])) else { return };
    let (status, printed) = status(&mut train);
    assert_eq!(status, Some(2), "{printed}");
    assert!(printed.contains("data: train.csv without val.csv and test.csv"), "{printed}");
    succeeds(&mut as_user(folder, &begin("run", &["--epochs", "1", "--tables", "mine"])).unwrap());
    assert_eq!(files_in(&folder.join("mine")), ["dataset.csv", "test.csv", "train.csv", "val.csv"]);
}

/// What stands between a program and its files: calls that fail as on the drives that people have.
#[cfg(target_os = "linux")]
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

int flock(int file, int operation) {
    const char *fails = getenv("SHIM_FLOCK");
    if (fails) { errno = atoi(fails); return -1; }
    return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(file, operation);
}

int fsync(int file) {
    const char *fails = getenv("SHIM_FSYNC");
    struct stat status;
    if (fails && !fstat(file, &status) && S_ISDIR(status.st_mode)) { errno = atoi(fails); return -1; }
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file);
}
"#;

#[cfg(target_os = "linux")]
fn shim(folder: &Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("shim.c"), folder.join("shim.so"));
    std::fs::write(&source, SHIM).unwrap();
    match Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl").status() {
        Err(_) => {
            eprintln!("skipped: there is no C compiler");
            None
        }
        Ok(status) => {
            assert!(status.success(), "the compiler runs");
            Some(library)
        }
    }
}

/// Network and FUSE drives without locks (ENOLCK 37, ENOSYS 38, EOPNOTSUPP 95): a warning. Without
/// fsync of folders (EINVAL 22): nothing. A disk that fails to sync a folder (EIO 5) is an error,
/// and so is a lock that fails for it.
#[cfg(target_os = "linux")]
#[test]
fn drives_without_locks_or_syncs_of_folders() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(library) = shim(scratch.path()) else { return };
    let with = |folder: &Path, call: &str, error: &str, arguments: &[&str]| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("ocellus"));
        command.current_dir(folder).env("OCELLUS_CACHE", CACHE).env("LD_PRELOAD", &library).env(call, error);
        status(command.args(arguments))
    };
    for (call, error, warned) in [
        ("SHIM_FLOCK", "37", true),
        ("SHIM_FLOCK", "38", true),
        ("SHIM_FLOCK", "95", true),
        ("SHIM_FSYNC", "22", false),
    ] {
        let folder = photographs();
        let (status, printed) = with(folder.path(), call, error, &["prepare", "data"]);
        assert_eq!((status, printed.contains("warning: data: no locks here")), (Some(0), warned), "{printed}");
        assert_eq!(splits(&folder.path().join("data")).len(), 3);
        let (status, printed) = with(folder.path(), call, error, &begin("run", &["--epochs", "1"]));
        assert_eq!((status, printed.contains("warning: run: no locks here")), (Some(0), warned), "{printed}");
        let (status, printed) = with(folder.path(), call, error, &resume("run", &["--epochs", "2"]));
        assert_eq!(status, Some(0), "{printed}");
    }
    for (call, error) in [("SHIM_FLOCK", "5"), ("SHIM_FSYNC", "5"), ("SHIM_FSYNC", "28")] {
        let folder = photographs();
        for arguments in [&["prepare", "data"][..], &begin("run", &[])] {
            let (status, printed) = with(folder.path(), call, error, arguments);
            assert_eq!(status, Some(2), "{call} {error}: {printed}");
        }
        // Nothing is left half made, and without the fault the same commands work.
        assert!(!folder.path().join("data/test.csv").exists() && !folder.path().join("run").exists());
        succeed(folder.path(), &["prepare", "data"]);
        succeed(folder.path(), &begin("run", &["--epochs", "1"]));
    }
}

/// Runs the program with a limit on the size of files, in KiB, which stands for a full disk.
fn limited(folder: &Path, kib: usize, arguments: &[&str]) -> (Option<i32>, String) {
    let line = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$@\"");
    let mut command = Command::new("bash");
    command.current_dir(folder).env("OCELLUS_CACHE", CACHE).args(["-c", &line, "bash"]);
    status(command.arg(assert_cmd::cargo::cargo_bin!("ocellus")).args(arguments))
}

/// What cannot begin leaves nothing that looks as if it had, and the same command works once there
/// is room.
#[test]
fn a_disk_that_is_full_at_the_start() {
    let temporary = drawn(96, 1);
    let folder = temporary.path();
    // The tables: those of test and validation fit, that of training does not.
    succeed(folder, &["prepare", "data"]);
    let wanted = splits(&folder.join("data"));
    for (name, _) in SPLITS {
        std::fs::remove_file(folder.join(format!("data/{name}.csv"))).unwrap();
    }
    assert!(wanted[0].len() > 1024 && wanted[1].len() < 1024 && wanted[2].len() < 1024);
    for arguments in [&["prepare", "data"][..], &begin("run", &[])] {
        let (status, printed) = limited(folder, 1, arguments);
        assert!(status == Some(2) && printed.contains("data/train.csv: File too large"), "{printed}");
        assert_eq!(files_in(&folder.join("data")), ["data.csv", "dataset.csv", "img"]);
    }
    succeed(folder, &["prepare", "data"]);
    assert_eq!(splits(&folder.join("data")), wanted);

    // The run: the config fits, the state does not.
    let (status, printed) = limited(folder, 4, &begin("run", &["--epochs", "1"]));
    assert!(status == Some(2) && printed.contains("run/state.safetensors: File too large"), "{printed}");
    assert!(!folder.join("run").exists());
    let (status, printed) = limited(folder, 4, &[&["train", "--data", "data"], &CPU[..], &TINY].concat());
    assert!(status == Some(2) && printed.contains("runs/1/state.safetensors: File too large"), "{printed}");
    assert!(files_in(&folder.join("runs")).is_empty());
    // In a folder that was there, only the lock is left.
    std::fs::create_dir(folder.join("run")).unwrap();
    assert_eq!(limited(folder, 4, &begin("run", &["--epochs", "1"])).0, Some(2));
    assert_eq!(files_in(&folder.join("run")), [LOCK]);
    refuse(folder, &resume("run", &[]), &["nothing to resume"]);
    succeed(folder, &begin("run", &["--epochs", "1"]));
    succeed(folder, &resume("run", &["--epochs", "2"]));
}

/// The built-in photographs are drawn first: those of a run that cannot begin are removed as well.
#[test]
fn a_disk_that_is_full_while_the_built_in_set_is_drawn() {
    let temporary = tempfile::tempdir().unwrap();
    let train = ["train", "--out", "run", "--device", "cpu", "--width", "0.03", "--fast-dev-run"];
    for kib in [1, 16] {
        let (status, printed) = limited(temporary.path(), kib, &train);
        assert!(status == Some(2) && printed.contains("File too large"), "{printed}");
        assert!(files_in(temporary.path()).is_empty(), "{kib}");
    }
    succeed(temporary.path(), &train);
}

/// A run that was killed before it had a state is begun anew; a config of the user's own is not
/// replaced.
#[test]
fn a_config_alone_is_no_run() {
    let temporary = photographs();
    let folder = temporary.path();
    succeed(folder, &begin("run", &["--epochs", "1"]));
    let config = folder.join("run").join(files::CONFIG);
    let recorded = std::fs::read(&config).unwrap();
    let only = |bytes: &[u8]| {
        std::fs::remove_dir_all(folder.join("run")).unwrap();
        std::fs::create_dir(folder.join("run")).unwrap();
        std::fs::write(&config, bytes).unwrap();
    };
    only(&recorded);
    succeed(folder, &begin("run", &["--epochs", "1"]));
    only(b"epochs = 1 # mine\n");
    refuse(folder, &begin("run", &["--epochs", "1"]), &["run/config.toml", "--out"]);
    assert_eq!(std::fs::read(&config).unwrap(), b"epochs = 1 # mine\n");
}

#[test]
fn data_that_moved_are_named_to_a_run_that_goes_on() {
    let temporary = photographs();
    let folder = temporary.path();
    for out in ["run", "straight"] {
        succeed(folder, &begin(out, &["--epochs", "1"]));
    }
    std::fs::rename(folder.join("data"), folder.join("elsewhere")).unwrap();
    refuse(folder, &resume("run", &[]), &["data: there is no such folder", "ocellus train --resume run --data DIR"]);
    refuse(folder, &resume("run", &["--data", "nowhere"]), &["nowhere", "--resume run --data DIR"]);
    let other = drawn(48, 2);
    let place = other.path().join("data").display().to_string();
    refuse(folder, &resume("run", &["--data", &place, "--epochs", "2"]), &["the run began with other data"]);
    succeed(folder, &resume("run", &["--data", "elsewhere", "--epochs", "2"]));
    let recorded = Config::load(&folder.join("run").join(files::CONFIG)).unwrap().data.unwrap();
    assert!(recorded.is_absolute() && recorded.ends_with("elsewhere"), "{recorded:?}");
    succeed(folder, &resume("run", &["--epochs", "3"]));
    std::fs::rename(folder.join("elsewhere"), folder.join("data")).unwrap();
    succeed(folder, &resume("straight", &["--epochs", "3"]));
    assert_same_state(&folder.join("straight"), &folder.join("run"));
}

fn drawn(images: usize, seed: u64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let options = ocellus::app::data::synthetic::Options { images, size: 32.into(), seed };
    ocellus::app::data::synthetic::write(&folder.path().join("data"), &options, |_, _| ()).unwrap();
    folder
}

/// That no two processes ever take one folder: `claim.rs`. Here that both train to the end.
#[test]
fn runs_that_begin_at_once_take_a_folder_each() {
    let temporary = photographs();
    let folder = temporary.path();
    succeed(folder, &["prepare", "data"]);
    const AT_ONCE: usize = 3;
    for round in 1..=3 {
        let start = |_| {
            let mut command = Command::new(assert_cmd::cargo::cargo_bin!("ocellus"));
            command.current_dir(folder).env("OCELLUS_CACHE", CACHE).args(["train", "--data", "data", "--epochs", "1"]);
            command.args(CPU).args(TINY).stdout(std::process::Stdio::null()).spawn().unwrap()
        };
        let children: Vec<_> = (0..AT_ONCE).map(start).collect();
        for mut child in children {
            assert_eq!(child.wait().unwrap().code(), Some(0));
        }
        let runs = files_in(&folder.join("runs"));
        assert_eq!(runs, (1..=round * AT_ONCE).map(|number| number.to_string()).collect::<Vec<_>>());
    }
    for run in files_in(&folder.join("runs")) {
        let run = folder.join("runs").join(run);
        assert!([files::CONFIG, files::STATE, files::BEST, files::REPORT].iter().all(|file| run.join(file).is_file()));
    }
}

/// No tables are asked for where there is nothing to train on.
#[test]
fn a_folder_for_tables_does_not_stand_for_photographs() {
    let temporary = photographs();
    let folder = temporary.path();
    succeed(folder, &["prepare", "data", "--out", "tables"]);
    assert_eq!(files_in(&folder.join("data")), ["data.csv", "img"]);
    let train = [&["train", "--data", "tables", "--out", "run", "--device", "cpu"][..], &SMALL].concat();
    refuse(folder, &train, &["tables/train.csv:2", "no image file"]);
    let output = ocellus(folder).args(["evaluate", "run", "--data", "data"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
