//! The program while the system lets it down: killed, interrupted, out of disk, without its data. Whatever was saved is
//! still there, and a run that goes on ends with the bits of one that nothing happened to.
//!
//! On the f64 reference, which starts in no time: what is tested is what happens to files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::common::program::device;
use crate::common::training::assert_same_state;
use ocellus::app::checkpoint;
use ocellus::app::data::synthetic;
use ocellus::app::train::files;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

const SETTINGS: [&str; 8] = ["--width", "0.03", "--image-size", "32", "--batch", "6", "--device", "cpu"];
const EPOCHS: &str = "3";

/// A folder with prepared photographs in `data/`.
fn photographs() -> TempDir {
    photographs_of(48)
}

fn photographs_of(images: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let options = synthetic::Options { images, size: 32.into(), seed: 1 };
    synthetic::write(&folder.path().join("data"), &options, |_, _| ()).unwrap();
    assert!(ocellus(folder.path(), &["prepare", "data"]).status().unwrap().success());
    folder
}

fn ocellus(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("ocellus"));
    command.current_dir(folder).args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A fresh run in `out`, or one that goes on.
fn train(folder: &Path, out: &str, epochs: &str) -> Command {
    train_with(folder, out, epochs, &SETTINGS)
}

fn train_with(folder: &Path, out: &str, epochs: &str, settings: &[&str]) -> Command {
    let begin = ["train", "--data", "data", "--out", out, "--epochs", epochs];
    let resume = ["train", "--resume", out, "--epochs", epochs];
    let which = if folder.join(out).join(files::STATE).exists() { &resume[..] } else { &begin[..] };
    ocellus(folder, &[which, settings].concat())
}

fn stderr(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("panicked"), "{text}");
    text
}

#[track_caller]
fn succeed(mut command: Command) -> Duration {
    let started = Instant::now();
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    started.elapsed()
}

/// It must end with this status and a message that has all of `words`.
#[track_caller]
fn fail(mut command: Command, status: i32, words: &[&str]) {
    let output = command.output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(status), "{message}");
    for word in words {
        assert!(message.contains(word), "no {word:?} in {message}");
    }
}

fn send(signal: &str, process: &Child) {
    // One that has ended meanwhile is no fault.
    let _ = Command::new("kill").args([signal, &process.id().to_string()]).stderr(Stdio::null()).status().unwrap();
}

fn wait_for(path: &Path) {
    let started = Instant::now();
    while !path.exists() {
        assert!(started.elapsed() < Duration::from_secs(300), "{} does not appear", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Stops a run `times` times, each at a random moment (while it starts, in an epoch, in validation, while it saves), by
/// `kill -9` and by Ctrl-C in turn, and resumes it each time from whatever is there.
fn stop_and_go_on(times: usize, seed: u64) {
    let temporary = photographs();
    let folder = temporary.path();
    let whole = succeed(train(folder, "straight", EPOCHS));
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut stopped, mut runs) = (0, 0);
    while stopped < times {
        let out = format!("run {runs}");
        runs += 1;
        loop {
            let mut child = train(folder, &out, EPOCHS).spawn().unwrap();
            std::thread::sleep(whole.mul_f64(random.random_range(0.0..1.1)));
            let signal = if stopped % 2 == 0 { "-KILL" } else { "-INT" };
            send(signal, &child);
            let status = child.wait().unwrap();
            match status.code() {
                Some(0) => break,
                // Killed; or interrupted, by the handler or before there was one.
                None | Some(130) => stopped += 1,
                other => panic!("{signal}: {other:?}"),
            }
            if stopped >= times {
                succeed(train(folder, &out, EPOCHS));
                break;
            }
        }
        assert_same_state(&folder.join("straight"), &folder.join(&out));
        let left: Vec<PathBuf> = std::fs::read_dir(folder.join(&out)).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(!left.iter().any(|path| path.to_string_lossy().ends_with("-tmp")), "{left:?}");
    }
    println!("{stopped} times stopped in {runs} runs, each of which ended with the same bits");
}

#[test]
fn stopped_runs_go_on_to_the_same_bits() {
    stop_and_go_on(6, 1);
}

#[test]
#[ignore = "takes minutes"]
fn stopped_a_hundred_times() {
    stop_and_go_on(100, 2);
}

/// The columns of history.csv that do not depend on the clock.
fn history(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(files::HISTORY)).unwrap();
    let clockless = |row: &str| row.split(',').take(6).collect::<Vec<_>>().join(",");
    text.lines().map(clockless).collect()
}

/// Four epochs are two, `kill -9` in the third, and two more: every weight, moving statistic and moment, the best weights
/// and the history. On a device, if there is one.
#[test]
fn four_epochs_are_two_then_a_kill_then_two_more() {
    let temporary = photographs();
    let folder = temporary.path();
    // Small batches, so that an epoch takes longer than it takes to kill.
    let settings = ["--width", "0.125", "--image-size", "32", "--batch", "3", "--device", &device()];
    let train = |out, epochs| train_with(folder, out, epochs, &settings);
    succeed(train("straight", "4"));

    let mut child = train("killed", "4").spawn().unwrap();
    let state = folder.join("killed").join(files::STATE);
    wait_for(&state);
    let epoch = || checkpoint::load(&state).unwrap().1.epoch;
    while epoch() < 2 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "killed, not ended");
    assert_eq!(epoch(), 2);
    // The history is written after the state; the run that goes on writes what the kill left out.
    assert!(history(&folder.join("killed")).len() <= 1 + 2);

    succeed(train("killed", "4"));
    let [straight, killed] = ["straight", "killed"].map(|out| folder.join(out));
    assert_same_state(&straight, &killed);
    assert_eq!(history(&straight), history(&killed));
    assert_eq!(history(&straight).len(), 1 + 4);
    let best = |run: &Path| std::fs::read(run.join(files::BEST)).unwrap();
    assert!(best(&straight) == best(&killed), "the best weights differ");
}

/// Ctrl-C, and the status that a run ends with for it.
const CTRL_C: (&[&str], &[i32]) = (&["-INT"], &[130]);

/// Starts runs and sends these signals when `moment` has come, until one has not ended before; it
/// ends with this status. Resumed, it ends as one that ran straight on.
fn interrupted(folder: &Path, (signals, statuses): (&[&str], &[i32]), moment: impl Fn(&Path)) {
    succeed(train(folder, "straight", EPOCHS));
    for attempt in 0..50 {
        let out = format!("run {attempt}");
        let child = train(folder, &out, EPOCHS).spawn().unwrap();
        wait_for(&folder.join(&out).join(files::STATE));
        moment(&folder.join(&out));
        signals.iter().for_each(|signal| send(signal, &child));
        let output = child.wait_with_output().unwrap();
        let message = stderr(&output);
        if output.status.code().is_some_and(|status| statuses.contains(&status)) {
            assert!(message.contains("saving the state"), "{message}");
            succeed(train(folder, &out, EPOCHS));
            return assert_same_state(&folder.join("straight"), &folder.join(&out));
        }
        assert!(output.status.success(), "{message}");
    }
    panic!("every run ended before {signals:?} came");
}

/// The first epoch's line of the history is written once it was validated; then there are two steps and a long validation.
#[test]
fn ctrl_c_in_validation() {
    let temporary = photographs_of(300);
    let data = temporary.path().join("data");
    let table = std::fs::read_to_string(data.join("train.csv")).unwrap();
    let (head, rows) = table.split_once('\n').unwrap();
    let cell = |row: &str, column: usize| row.split(',').nth(column).unwrap().to_string();
    // One person of each class to train on, all others to validate with.
    let mut persons = BTreeMap::new();
    for row in rows.lines() {
        persons.entry(cell(row, 2)).or_insert(cell(row, 1));
    }
    let trained_on = |row: &&str| persons.values().any(|person| *person == cell(row, 1));
    let (few, many): (Vec<&str>, Vec<&str>) = rows.lines().partition(trained_on);
    assert!(many.len() > 6 * few.len(), "validation takes the most of an epoch");
    for (name, rows) in [("train.csv", few), ("val.csv", many)] {
        std::fs::write(data.join(name), format!("{head}\n{}\n", rows.join("\n"))).unwrap();
    }
    interrupted(temporary.path(), CTRL_C, |run| {
        wait_for(&run.join(files::HISTORY));
        std::thread::sleep(Duration::from_millis(15));
    });
}

/// A file that is being written stands beside its place until it is renamed.
#[test]
fn ctrl_c_while_it_saves() {
    let temporary = photographs();
    interrupted(temporary.path(), CTRL_C, |run| {
        let started = Instant::now();
        let saving = || std::fs::read_dir(run).unwrap().any(|e| e.unwrap().path().to_string_lossy().ends_with("-tmp"));
        while !saving() && started.elapsed() < Duration::from_secs(60) {}
    });
}

/// So that no run ends by itself.
fn train_on(folder: &Path, out: &str, epochs: &str) -> Command {
    train_with(folder, out, epochs, &[&SETTINGS[..], &["--patience", "1000"]].concat())
}

/// As schedulers stop a job. `timeout` and shells whose terminal was closed send their signal
/// twice.
#[test]
fn other_signals_save_as_ctrl_c_does() {
    // Of two signals that wait, a kernel may hand over either first.
    let each: [(_, &[i32]); 3] =
        [(["-TERM", "-TERM"], &[143]), (["-HUP", "-HUP"], &[129]), (["-TERM", "-HUP"], &[143, 129])];
    for (signals, statuses) in each {
        let temporary = photographs();
        interrupted(temporary.path(), (&signals, statuses), |run| wait_for(&run.join(files::HISTORY)));
    }
}

/// `nohup` and `disown` are asked for a run that outlives its terminal.
#[test]
fn an_ignored_hangup_stays_ignored() {
    let temporary = photographs();
    let folder = temporary.path();
    let plain = train_on(folder, "run", "20");
    let mut ignoring = Command::new("nohup");
    ignoring.current_dir(folder).arg(plain.get_program()).args(plain.get_args());
    let child = ignoring.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&folder.join("run").join(files::HISTORY));
    send("-HUP", &child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(history(&folder.join("run")).len(), 1 + 20);
}

#[test]
fn one_process_writes_to_a_folder() {
    let temporary = photographs();
    let folder = temporary.path();
    let mut first = train(folder, "run", "1000").spawn().unwrap();
    wait_for(&folder.join("run").join(files::STATE));
    fail(train(folder, "run", EPOCHS), 2, &["run", "another process is writing"]);
    send("-INT", &first);
    assert_eq!(first.wait().unwrap().code(), Some(130));
    succeed(train(folder, "run", EPOCHS));
}

/// The photographs are read before the first step.
#[test]
fn a_data_folder_that_vanishes() {
    let temporary = photographs();
    let folder = temporary.path();
    let child = train(folder, "run", EPOCHS).spawn().unwrap();
    wait_for(&folder.join("run").join(files::STATE));
    std::fs::remove_dir_all(folder.join("data")).unwrap();
    let output = child.wait_with_output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{message}");
    // All splits were read at the start; only the page's pictures of mistakes are made from the files.
    assert!(message.contains("warning: data/img") && message.contains("as the network saw it"), "{message}");
    for file in [files::BEST, files::STATE, files::HISTORY, files::REPORT, files::CONFUSION_PLOT, files::PAGE] {
        assert!(folder.join("run").join(file).is_file(), "{file}");
    }
}

/// A limit on the size of files stands for a disk that is full when the next epoch is saved.
#[test]
fn a_file_that_cannot_be_written() {
    let temporary = photographs();
    let folder = temporary.path();
    succeed(train(folder, "run", "1"));
    let state = folder.join("run").join(files::STATE);
    let before = std::fs::read(&state).unwrap();

    let program = assert_cmd::cargo::cargo_bin!("ocellus").display().to_string();
    let line = format!("trap '' XFSZ; ulimit -f 8; exec '{program}' train --resume run --epochs 2 --device cpu");
    let mut limited = Command::new("sh");
    limited.current_dir(folder).args(["-c", &line]);
    fail(limited, 2, &["run/", "File too large"]);
    assert!(std::fs::read(&state).unwrap() == before, "the old state is still there");

    succeed(train(folder, "run", EPOCHS));
    succeed(train(folder, "straight", EPOCHS));
    assert_same_state(&folder.join("straight"), &folder.join("run"));
}

/// Where nothing can be written, nothing is begun.
#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_cannot_be_written() {
    let temporary = photographs();
    fail(train(temporary.path(), "/proc/ocellus", EPOCHS), 2, &["/proc/ocellus"]);
}

/// Runs a shell script in a mount namespace of its own.
fn with_mounts(folder: &Path, script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.current_dir(folder).args(["--map-root-user", "--mount", "sh", "-euc", script]);
    command
}

/// A real full disk: a file system of three megabytes fills up while the run saves.
#[test]
#[ignore = "needs Linux and user namespaces"]
fn a_full_disk() {
    let temporary = photographs();
    let program = assert_cmd::cargo::cargo_bin!("ocellus").display().to_string();
    let settings = SETTINGS.join(" ");
    let script = format!(
        "mkdir disk; mount -t tmpfs -o size=600k tmpfs disk
         '{program}' train --data data --out disk/run --epochs 1 {settings}
         cp disk/run/{state} before
         dd if=/dev/zero of=disk/filler bs=1k 2>/dev/null || true
         status=0; '{program}' train --resume disk/run --epochs 3 {settings} || status=$?
         cmp before disk/run/{state}
         rm disk/filler
         '{program}' train --resume disk/run --epochs 3 {settings}
         exit $status",
        state = files::STATE
    );
    fail(with_mounts(temporary.path(), &script), 2, &["disk/run/", "No space left on device"]);
}

/// The same file system is full at the start: nothing is left that looks like a run, and with room
/// the same command works.
#[test]
#[ignore = "needs Linux and user namespaces"]
fn a_disk_that_is_full_at_the_start() {
    let temporary = photographs();
    let program = assert_cmd::cargo::cargo_bin!("ocellus").display().to_string();
    let settings = SETTINGS.join(" ");
    let script = format!(
        "mkdir disk; mount -t tmpfs -o size=600k tmpfs disk
         dd if=/dev/zero of=disk/filler bs=1k count=584 2>/dev/null
         train() {{ '{program}' train --data data --out disk/run --epochs 1 {settings}; }}
         status=0; train || status=$?
         ls -A disk | grep -vx filler && exit 9
         rm disk/filler
         train
         '{program}' train --resume disk/run --epochs 2 {settings}
         exit $status"
    );
    fail(with_mounts(temporary.path(), &script), 2, &["disk/run/", "No space left on device"]);
}

#[test]
#[ignore = "needs Linux and user namespaces"]
fn a_run_folder_that_becomes_read_only() {
    let temporary = photographs();
    let program = assert_cmd::cargo::cargo_bin!("ocellus").display().to_string();
    let settings = SETTINGS.join(" ");
    let script = format!(
        "mkdir disk; mount -t tmpfs tmpfs disk
         '{program}' train --data data --out disk/run --epochs 1 {settings}
         mount -o remount,ro disk
         exec '{program}' train --resume disk/run --epochs 3 {settings}"
    );
    fail(with_mounts(temporary.path(), &script), 2, &["disk/run/", "Read-only file system"]);
}
