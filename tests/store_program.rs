//! Runs that fill and read one cache: killed, without room, with photographs that vanish.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::common::program::{files_in, messages};
use crate::common::training::assert_same_state;
use ocellus::app::data::stored::Opening;
use ocellus::app::data::{Cache, Columns, Faint, Pixels, Resampling, Split, dataset, decode, synthetic};
use ocellus::app::train::files;
use tempfile::TempDir;

const TINY: [&str; 8] = ["--width", "0.03", "--image-size", "32", "--batch", "6", "--device", "cpu"];

fn drawn(images: usize, size: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let options = synthetic::Options { images, size: size.into(), seed: 1 };
    synthetic::write(&folder.path().join("data"), &options, |_, _| ()).unwrap();
    folder
}

/// The program with a cache in the folder.
fn ocellus(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("ocellus"));
    command.current_dir(folder).env("OCELLUS_CACHE", folder.join("cache")).args(arguments);
    command
}

fn train(folder: &Path, out: &str, more: &[&str]) -> Command {
    ocellus(folder, &[&["train", "--data", "data", "--out", out], &TINY[..], more].concat())
}

#[track_caller]
fn ends(command: &mut Command, status: i32, words: &[&str]) -> String {
    let Output { status: ended, stdout, stderr } = command.output().unwrap();
    let printed = messages(&stdout) + &messages(&stderr);
    assert_eq!(ended.code(), Some(status), "{printed}");
    assert!(words.iter().all(|word| printed.contains(word)), "{printed}");
    printed
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn weights_depend_on_neither_threads_nor_where_pixels_are() {
    let temporary = drawn(48, 32);
    let folder = temporary.path();
    ends(&mut train(folder, "filled", &["--epochs", "3"]), 0, &[]);
    ends(&mut train(folder, "read", &["--epochs", "3"]), 0, &[]);
    ends(&mut train(folder, "without", &["--epochs", "3", "--no-cache"]), 0, &[]);
    ends(&mut train(folder, "verified", &["--epochs", "3", "--verify"]), 0, &[]);
    for threads in ["1", "5"] {
        let of_threads = |out: &str, more: &[&str]| {
            ends(train(folder, &format!("{out}{threads}"), more).env("RAYON_NUM_THREADS", threads), 0, &[]);
        };
        of_threads("stored", &["--epochs", "3"]);
        of_threads("streamed", &["--epochs", "3", "--stream"]);
    }
    for run in ["read", "without", "verified", "stored1", "stored5", "streamed1", "streamed5"] {
        assert_same_state(&folder.join("filled"), &folder.join(run));
    }
    // A run goes on as it began.
    ends(&mut ocellus(folder, &["train", "--resume", "streamed1", "--epochs", "4", "--device", "cpu"]), 0, &[]);
    ends(&mut ocellus(folder, &["train", "--resume", "read", "--epochs", "4", "--device", "cpu"]), 0, &[]);
    assert_same_state(&folder.join("streamed1"), &folder.join("read"));
    let config = std::fs::read_to_string(folder.join("streamed1").join(files::CONFIG)).unwrap();
    assert!(config.contains("stream = true"), "{config}");
}

/// Files that are as an earlier command found them are opened with `--verify` only. Bytes that are no picture, under the
/// same size and time, show it.
#[test]
fn evaluate_and_predict_open_no_file_twice() {
    let temporary = drawn(48, 32);
    let folder = temporary.path();
    let img = folder.join("data/img");
    let paths: Vec<PathBuf> = files_in(&img).iter().map(|name| img.join(name)).collect();
    let aged = SystemTime::now() - Duration::from_secs(3600);
    let age = |path: &PathBuf| File::options().write(true).open(path).unwrap().set_modified(aged).unwrap();
    paths.iter().for_each(age);
    ends(&mut train(folder, "run", &["--epochs", "1", "--no-cache"]), 0, &[]);
    let command =
        |words: &str| ocellus(folder, &[&words.split(' ').collect::<Vec<_>>()[..], &["--device", "cpu"]].concat());
    let commands = [
        "evaluate run",
        "evaluate run --data data --split val",
        "predict run data/img --format csv",
        &format!("predict run {}", paths[0].display()),
    ];
    // Each before any file is known, then after others have read it.
    let without: Vec<String> =
        commands.iter().map(|words| ends(&mut command(&format!("{words} --no-cache")), 0, &[])).collect();
    let first: Vec<String> = commands.iter().map(|words| ends(&mut command(words), 0, &[])).collect();
    assert_eq!(first, without);
    for path in &paths {
        std::fs::write(path, vec![7; std::fs::metadata(path).unwrap().len() as usize]).unwrap();
        age(path);
    }
    for (words, first) in commands.iter().zip(first) {
        assert_eq!(ends(&mut command(words), 0, &[]), first, "{words}");
        ends(&mut command(&format!("{words} --verify")), 2, &["not a JPEG"]);
        ends(&mut command(&format!("{words} --no-cache")), 2, &["not a JPEG"]);
    }
    // A run knows them as well, with the pixels that it asks for.
    ends(&mut train(folder, "second", &["--epochs", "1"]), 2, &["not a JPEG"]);
}

/// Two runs begin at once, and one is killed in the middle of writing; a batch that is too large ends the other one
/// when everything is decoded.
#[test]
fn a_run_that_is_killed_leaves_no_wrong_pixel() {
    const MOMENTS: u64 = 20;
    let temporary = drawn(240, 32);
    let folder = temporary.path();
    ends(&mut ocellus(folder, &["prepare", "data"]), 0, &[]);
    let dataset = dataset::open(&folder.join("data"), &Columns::default()).unwrap();
    let splits = [&dataset.train, &dataset.val];
    let (size, resampling) = (96.into(), Resampling::Nearest);
    let decoded = splits.map(|split| decode(split, size, resampling, &Faint::default(), |_, _| ()).unwrap());
    let fill = || {
        let arguments = ["train", "--data", "data", "--out", "run", "--image-size", "96", "--batch", "1000"];
        ocellus(folder, &[&arguments[..], &["--width", "0.03", "--device", "cpu"]].concat())
    };
    let kept =
        || -> u64 { Cache::new(folder.join("cache")).contents().sizes.iter().map(|size| size.photographs).sum() };
    let mut cut = 0;
    for moment in 0..MOMENTS {
        let _ = std::fs::remove_dir_all(folder.join("cache"));
        let mut quiet = fill();
        let mut killed = quiet.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut other = quiet.spawn().unwrap();
        // Both write what the first has not written yet, so there may be twice as many.
        let mut ended = false;
        wait_until("records", || kept() >= moment * 240 / MOMENTS);
        ended |= killed.try_wait().unwrap().is_some();
        killed.kill().unwrap();
        killed.wait().unwrap();
        cut += u64::from(!ended);
        assert_eq!(other.wait().unwrap().code(), Some(2), "a batch of 1,000");
        ends(&mut fill(), 2, &["fewer than a batch of 1000"]);
        let store = Cache::new(folder.join("cache")).store(size, resampling);
        let mut target = vec![0; size.rgb_bytes()];
        for (split, decoded) in splits.iter().zip(&decoded) {
            for (index, example) in split.examples.iter().enumerate() {
                let photograph = blake3::hash(&std::fs::read(&example.path).unwrap());
                assert!(store.read(&photograph, &mut target), "{}", example.path.display());
                assert!(target == decoded.image(index), "{}", example.path.display());
            }
        }
    }
    assert!(cut > MOMENTS / 2, "{cut} of {MOMENTS} were killed in time");
}

/// With `--stream` photographs are needed in each epoch. A run whose photograph is gone goes on once it is back, to the
/// same bits.
#[test]
fn a_photograph_that_vanishes_from_a_stream() {
    let temporary = drawn(48, 32);
    let folder = temporary.path();
    let mut command = train(folder, "run", &["--epochs", "1000", "--stream"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let history = folder.join("run").join(files::HISTORY);
    wait_until("an epoch", || history.exists());
    let table = std::fs::read_to_string(folder.join("data/train.csv")).unwrap();
    let name = table.lines().nth(3).unwrap().split(',').next().unwrap().to_string();
    let path = folder.join("data/img").join(&name);
    std::fs::rename(&path, folder.join("elsewhere")).unwrap();
    let output = child.wait_with_output().unwrap();
    let message = messages(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("train.csv:4: ") && message.contains(&name) && message.contains("--resume"), "{message}");
    // Another photograph under its name is none.
    std::fs::copy(folder.join("data/img").join(files_in(&folder.join("data/img"))[0].clone()), &path).unwrap();
    let resume = |epochs: &str| ocellus(folder, &["train", "--resume", "run", "--epochs", epochs, "--device", "cpu"]);
    ends(&mut resume("1000"), 2, &["the run began with other data"]);
    std::fs::rename(folder.join("elsewhere"), &path).unwrap();
    let epochs = (std::fs::read_to_string(&history).unwrap().lines().count()).to_string();
    ends(&mut resume(&epochs), 0, &[]);
    ends(&mut train(folder, "straight", &["--epochs", &epochs]), 0, &[]);
    assert_same_state(&folder.join("straight"), &folder.join("run"));
}

/// A limit on the size of files stands for a disk that others fill while photographs are decoded. Memory takes some of
/// the pixels, and not all of 600 MB.
#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_meanwhile() {
    let temporary = drawn(48, 32);
    let folder = temporary.path();
    let limited = |size: &str, batch: &str| {
        let mut command = Command::new("bash");
        command.current_dir(folder).env("OCELLUS_CACHE", folder.join("cache"));
        command.args(["-c", "trap '' XFSZ; ulimit -f 50000; exec \"$@\"", "bash"]);
        command.arg(assert_cmd::cargo::cargo_bin!("ocellus"));
        command.args(["train", "--data", "data", "--out", "run", "--width", "0.03", "--device", "cpu"]);
        command.args(["--image-size", size, "--batch", batch]);
        command
    };
    ends(&mut limited("2048", "400"), 2, &["File too large", "ocellus cache --keep-gib", "OCELLUS_CACHE", "--stream"]);
    assert!(!folder.join("run").exists());
    // 150 MB.
    ends(&mut limited("1024", "1000"), 2, &["fewer than a batch of 1000"]);
}

/// Temporary pixels of a run are no part of it.
#[test]
fn pixels_without_a_cache_go_with_the_run() {
    let temporary = drawn(48, 32);
    let folder = temporary.path();
    let dataset = {
        ends(&mut ocellus(folder, &["prepare", "data"]), 0, &[]);
        dataset::open(&folder.join("data"), &Columns::default()).unwrap()
    };
    let (size, resampling) = (2048.into(), Resampling::Nearest);
    let run = folder.join("run");
    std::fs::create_dir(&run).unwrap();
    let open = |size, cache: Option<&Cache>| {
        let splits = [(Arc::clone(&dataset.train), resampling), (Arc::clone(&dataset.val), resampling)];
        let scratch = || Ok(run.clone());
        let streamed = Opening { size, cache, stream: true, verify: false };
        assert!(streamed.open(&splits, &Faint::default(), scratch, |_| ()).is_ok(), "a stream needs no space");
        Opening { stream: false, ..streamed }.open(&splits, &Faint::default(), scratch, |_| ())
    };
    for cache in [None, Some(Cache::new(folder.join("data/data.csv/below a file")))] {
        let stored = open(size, cache.as_ref()).unwrap();
        assert_eq!(files_in(&run).len(), 1, "one folder of pixels");
        let mut few = Split::clone(&dataset.val);
        few.examples.truncate(2);
        let decoded = decode(&few, size, resampling, &Faint::default(), |_, _| ()).unwrap();
        let mut target = vec![0; size.rgb_bytes()];
        for index in 0..decoded.count {
            stored[1].read(index, &mut target).unwrap();
            assert!(target == decoded.image(index), "{index}");
        }
        drop(stored);
        assert!(files_in(&run).is_empty());
        // More than any disk has.
        let message = open(1_000_000.into(), cache.as_ref()).unwrap_err().to_string();
        let words = ["37 photographs of 1000000 pixels", "103376.806 GiB", "GiB are free", "--stream", "OCELLUS_CACHE"];
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        assert!(files_in(&run).is_empty());
    }
    let cache = Cache::new(folder.join("cache"));
    let message = open(1_000_000.into(), Some(&cache)).unwrap_err().to_string();
    assert!(message.contains("cache: ") && message.contains("--no-cache"), "{message}");
}
