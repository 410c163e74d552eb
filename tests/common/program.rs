//! The program as its users start it.

use std::path::{MAIN_SEPARATOR, Path};
use std::process::Output;

use assert_cmd::Command;
use ocellus::app::data::synthetic;
use tempfile::TempDir;

/// Too small to learn anything, so that a run takes seconds.
pub const SMALL: [&str; 6] = ["--width", "0.125", "--image-size", "32", "--batch", "6"];

/// Only the tests that train need a device; `OCELLUS_TEST_DEVICE` chooses it as `--device` does.
pub fn device() -> String {
    std::env::var("OCELLUS_TEST_DEVICE").unwrap_or("auto".into())
}

/// Not the user's.
pub const CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/cache");

pub fn ocellus(folder: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("ocellus"));
    command.current_dir(folder).env("OCELLUS_CACHE", CACHE);
    command
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Text with messages in it, their paths written with `/` on every system.
pub fn messages(bytes: &[u8]) -> String {
    text(bytes).replace(MAIN_SEPARATOR, "/")
}

/// Runs the program in a folder; it must succeed.
#[track_caller]
pub fn succeed(folder: &Path, arguments: &[&str]) -> Output {
    let output = ocellus(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    output
}

/// Runs the program in a folder; it must end with status 2 and one message that has all of `words` in it, paths with `/`.
#[track_caller]
pub fn refuse(folder: &Path, arguments: &[&str], words: &[&str]) {
    let output = ocellus(folder).args(arguments).output().unwrap();
    let stderr = messages(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    let is_error = |line: &&str| line.starts_with("error: ");
    assert_eq!(stderr.lines().filter(is_error).count(), 1, "{arguments:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
    let message = &stderr[stderr.find("error: ").unwrap()..];
    for word in words {
        assert!(message.contains(word), "{arguments:?}: no {word:?} in {message}");
    }
}

/// A folder with drawn photographs in `data/` and nothing else.
pub fn photographs() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let options = synthetic::Options { images: 48, size: 32.into(), seed: 1 };
    synthetic::write(&folder.path().join("data"), &options, |_, _| ()).unwrap();
    folder
}

pub fn files_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// `ocellus train` on the photographs, as small as it gets.
pub fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "--data", "data", "--out", "run"], &SMALL[..], more].concat()
}
