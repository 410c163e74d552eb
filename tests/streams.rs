//! Every command while nobody reads what it prints: the stream is closed, its disk is full, its
//! reader has left.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::program::{CACHE, photographs, succeed, text};
use tempfile::TempDir;

const TINY: [&str; 6] = ["--width", "0.03", "--image-size", "32", "--batch", "6"];

/// The commands, as the program's own help lists them.
fn commands(folder: &Path) -> Vec<String> {
    let help = text(&succeed(folder, &["--help"]).stdout);
    let (_, listed) = help.split_once("Commands:\n").expect("a list of commands");
    let names = listed.lines().take_while(|line| !line.is_empty());
    // A description that goes on in the next line is indented further.
    let names = names.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    names.map(|line| line.split(' ').next().unwrap().to_string()).collect()
}

/// What each command is asked for; `{new}` is a name that is not taken yet.
fn arguments(command: &str) -> &'static str {
    match command {
        "train" => "--data data --out {new} --epochs 1 --device cpu",
        "prepare" => "data",
        "evaluate" => "run --data data --device cpu --out {new}",
        "calibrate" => "run --data data --device cpu",
        "predict" => "run data/img --device cpu --format csv",
        "export" => "run --format onnx --out {new}.onnx",
        "check-data" => "data",
        "synth" => "{new} --images 32 --size 16",
        // Without an operation it lists them, which needs no device.
        "devices" | "summary" | "plan" | "study" | "cache" | "help" => "",
        "completions" => "bash",
        "man" => "--out {new}",
        "doctor" => "--gradients",
        "profile" => "--classes 3",
        // It would take minutes; a refusal prints as well.
        "tune" | "report-device" => "--device cpu",
        "atlas" => "--out {new}.html",
        "shaders" => "--out {new} --classes 3",
        other => panic!("this test does not know how to call `ocellus {other}`: add its arguments"),
    }
}

/// A folder with photographs in `data/`, and a run in `run/`.
fn with_a_run() -> TempDir {
    let folder = photographs();
    let train = ["train", "--data", "data", "--out", "run", "--epochs", "1", "--device", "cpu"];
    succeed(folder.path(), &[&train[..], &TINY].concat());
    folder
}

/// The exit status of a command whose streams a shell sets up, and what it printed to those that
/// are left.
fn status(folder: &Path, line: &[String], streams: &str) -> (Option<i32>, String) {
    let mut command = Command::new("sh");
    command.current_dir(folder).env("OCELLUS_CACHE", CACHE).args(["-c", &format!("\"$@\" {streams}"), "sh"]);
    let output = command.arg(assert_cmd::cargo::cargo_bin!("ocellus")).args(line).output().unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// The same with both streams read by nobody.
fn status_without_reader(folder: &Path, line: &[String]) -> Option<i32> {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("ocellus"));
    command.current_dir(folder).env("OCELLUS_CACHE", CACHE).args(line);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    child.wait().unwrap().code()
}

#[test]
fn no_command_hangs_on_who_reads_it() {
    let temporary = with_a_run();
    let folder = temporary.path();
    let commands = commands(folder);
    assert!(commands.len() >= 15 && commands.contains(&"train".to_string()), "{commands:?}");
    let mut new = 0;
    for command in commands {
        let sized = ["train", "profile", "shaders"].contains(&&*command);
        let mut line = || {
            new += 1;
            let words = format!("{command} {}", arguments(&command)).replace("{new}", &format!("new{new}"));
            let sizes = if sized { &TINY[..] } else { &[] };
            words.split_whitespace().chain(sizes.iter().copied()).map(String::from).collect::<Vec<_>>()
        };
        let (usual, printed) = status(folder, &line(), "");
        assert!(matches!(usual, Some(0 | 2)) && !printed.contains("panicked"), "{command}: {usual:?}: {printed}");
        for streams in ["2>/dev/full", "2>&-", ">&-", "2>&- >&-"] {
            assert_eq!(status(folder, &line(), streams).0, usual, "{command} {streams}");
        }
        assert_eq!(status_without_reader(folder, &line()), usual, "{command}, whose reader has left");
        // What cannot be printed is an error only where it is all that the command makes.
        let (full, printed) = status(folder, &line(), ">/dev/full");
        const MAKE_FILES: [&str; 10] =
            ["train", "prepare", "evaluate", "calibrate", "export", "synth", "shaders", "atlas", "man", "help"];
        let makes_files = MAKE_FILES.contains(&&*command);
        let wanted = if makes_files { usual } else { Some(2) };
        assert_eq!(full, wanted, "{command} >/dev/full: {printed}");
        assert!(
            command == "help" || usual != Some(0) || printed.contains("standard output: No space left"),
            "{printed}"
        );
        assert!(matches!(status(folder, &line(), ">/dev/full 2>&1").0, Some(0 | 2)), "{command}");
    }
    let words = |line: &str| line.split(' ').map(String::from).collect::<Vec<_>>();
    for (line, wanted) in
        [("nonsense", 2), ("train --epochs many", 2), ("--version", 0), ("predict run nowhere.jpg", 2)]
    {
        for streams in ["2>/dev/full", ">/dev/full", "2>&-", ">/dev/full 2>/dev/full"] {
            assert_eq!(status(folder, &words(line), streams).0, Some(wanted), "{line} {streams}");
        }
    }
}

/// A run whose reader leaves in the middle, as `grep -m1` does, trains to its end.
#[test]
fn a_run_whose_reader_leaves_goes_on() {
    use std::io::{BufRead, BufReader};

    let temporary = with_a_run();
    let folder = temporary.path();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("ocellus"));
    command.current_dir(folder).env("OCELLUS_CACHE", CACHE);
    command.args(["train", "--data", "data", "--out", "left", "--epochs", "5", "--device", "cpu"]).args(TINY);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    lines.find(|line| line.starts_with("Epoch 1/")).expect("the first epoch");
    drop(lines);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let history = std::fs::read_to_string(folder.join("left").join(ocellus::app::train::files::HISTORY)).unwrap();
    assert_eq!(history.lines().count(), 1 + 5);
    assert!(folder.join("left").join(ocellus::app::train::files::REPORT).is_file());
}
