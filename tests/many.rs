//! `predict` and `evaluate` on more photographs than fit in memory, some of which cannot be read.

use std::path::Path;
use std::process::Output;

use crate::common::program::{device, files_in, messages, ocellus, text};
use ocellus::app::checkpoint::{self, Metadata};
use ocellus::app::data::synthetic;
use ocellus::network::tutorial;
use ocellus::network::weights;
use tempfile::TempDir;

/// Fresh weights in `net.safetensors`, and links to a few drawn photographs as `data/img/00000.jpg`
/// and so on, with a `data/test.csv` of them: half of the rows have the label b.
fn folder_of(count: usize, size: usize) -> TempDir {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let classes: Vec<String> = ["a", "b"].map(String::from).to_vec();
    let metadata = Metadata {
        classes,
        network: Default::default(),
        image_size: size.into(),
        width: 0.03,
        epoch: 0,
        val_loss: f64::NAN,
        operation: Default::default(),
        training: None,
    };
    let network = tutorial(size, metadata.width, 2);
    checkpoint::save(&folder.join("net.safetensors"), &weights::initial(&network, 1), &metadata).unwrap();

    let drawn = folder.join("drawn");
    synthetic::write(&drawn, &synthetic::Options { images: 64, size: size.into(), seed: 1 }, |_, _| ()).unwrap();
    let drawn = drawn.join("img");
    let names = files_in(&drawn);
    std::fs::create_dir_all(folder.join("data/img")).unwrap();
    let mut table = String::from("filename,id,label\n");
    for number in 0..count {
        let name = format!("{number:05}.jpg");
        std::fs::hard_link(drawn.join(&names[number % names.len()]), folder.join("data/img").join(&name)).unwrap();
        table += &format!("{name},{number},{}\n", ["a", "b"][number % 2]);
    }
    std::fs::write(folder.join("data/test.csv"), table).unwrap();
    temporary
}

fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = ocellus(folder).args(arguments).output().unwrap();
    (status.code(), text(&stdout), messages(&stderr))
}

fn predict<'a>(device: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["predict", "net.safetensors", "data/img", "--device", device, "--format"], more].concat()
}

/// Cuts a photograph short, without touching the others that are links to the same file.
fn damage(folder: &Path, number: usize) {
    let path = folder.join(format!("data/img/{number:05}.jpg"));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
}

/// A chunk of 256 x 256 pixels has 64 photographs in batches of 32.
#[test]
fn what_cannot_be_read_is_refused_or_left_out() {
    let (temporary, device) = (folder_of(150, 256), device());
    let folder = temporary.path();
    let predict = |more: &[&str]| run(folder, &predict(&device, more));
    let (status, whole, stderr) = predict(&["csv"]);
    assert_eq!((status, whole.lines().count()), (Some(0), 151), "{stderr}");
    let rows: Vec<&str> = whole.lines().collect();
    // Links to one file are one photograph: the chunk that it comes in makes no difference.
    let numbers = |row: &str| row.split_once(',').unwrap().1.to_string();
    assert!((0..150 - 64).all(|number| numbers(rows[1 + number]) == numbers(rows[1 + number + 64])));

    // In the second chunk: the rows of the first are there.
    damage(folder, 100);
    let (status, stdout, stderr) = predict(&["csv"]);
    assert_eq!(status, Some(2), "{stderr}");
    assert!(stderr.contains("error: data/img/00100.jpg: ") && stderr.contains("--keep-going"), "{stderr}");
    assert_eq!(stdout.lines().collect::<Vec<_>>(), rows[..1 + 64]);
    for format in ["json", "table"] {
        let (status, stdout, stderr) = predict(&[format]);
        assert!(status == Some(2) && stdout.is_empty() && stderr.contains("00100.jpg"), "{stderr}");
    }
    // In the first: nothing is printed, and no device opened.
    damage(folder, 7);
    let (status, stdout, stderr) = predict(&["csv"]);
    assert!(status == Some(2) && stdout.is_empty() && !stderr.contains("Device:"), "{stderr}");
    assert!(stderr.contains("error: data/img/00007.jpg: ") && !stderr.contains("00100"), "{stderr}");

    let kept: Vec<&str> =
        rows.iter().enumerate().filter(|(row, _)| ![8, 101].contains(row)).map(|(_, row)| *row).collect();
    let (status, stdout, stderr) = predict(&["csv", "--keep-going"]);
    assert_eq!((status, stdout.lines().collect::<Vec<_>>()), (Some(1), kept), "{stderr}");
    let end = stderr.split("error: 2 of 150 photographs were left out:\n").nth(1).unwrap();
    let listed: Vec<&str> = end.lines().collect();
    assert_eq!(listed.len(), 2, "{stderr}");
    assert!(listed[0].contains("data/img/00007.jpg: ") && listed[1].contains("data/img/00100.jpg: "), "{stderr}");
    let (status, stdout, _) = predict(&["json", "--keep-going", "--cam", "maps"]);
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((status, json.as_array().unwrap().len(), files_in(&folder.join("maps")).len()), (Some(1), 148, 148));

    evaluated(folder, &device);
}

fn evaluated(folder: &Path, device: &str) {
    let evaluate = |more: &[&str]| {
        run(folder, &[&["evaluate", "net.safetensors", "--data", "data", "--device", device], more].concat())
    };
    let (status, stdout, stderr) = evaluate(&["--out", "report"]);
    assert!(status == Some(2) && stdout.is_empty() && stderr.contains("error: data/test.csv:9: "), "{stderr}");
    assert!(!folder.join("report").exists());
    // A row without a photograph is left out as well.
    std::fs::remove_file(folder.join("data/img/00020.jpg")).unwrap();
    let (status, _, stderr) = evaluate(&[]);
    assert!(status == Some(2) && stderr.contains("data/test.csv:22: column `filename`: no image file"), "{stderr}");
    let (status, stdout, stderr) = evaluate(&["--keep-going", "--out", "report"]);
    assert_eq!(status, Some(1), "{stderr}");
    assert!(stdout.lines().any(|line| line.starts_with("weighted avg") && line.ends_with(" 147")), "{stdout}");
    let end = stderr.split("error: 3 of 150 photographs were left out:\n").nth(1).unwrap();
    assert!([":22: ", ":9: ", ":102: "].iter().all(|line| end.contains(&format!("data/test.csv{line}"))), "{stderr}");
    let page = std::fs::read_to_string(folder.join("report/report.html")).unwrap();
    assert_eq!(page.matches("<figcaption>").count(), 12, "the most confident mistakes");

    // Nothing that can be read.
    for name in files_in(&folder.join("data/img")) {
        std::fs::remove_file(folder.join("data/img").join(&name)).unwrap();
        std::fs::write(folder.join("data/img").join(&name), "x").unwrap();
    }
    let (status, stdout, stderr) = evaluate(&["--keep-going"]);
    assert!(
        status == Some(1) && stdout.is_empty() && stderr.contains("error: 150 of 150 photographs were left out"),
        "{stderr}"
    );
    let (status, stdout, stderr) = run(folder, &predict(device, &["csv", "--keep-going"]));
    assert_eq!((status, &stdout[..]), (Some(1), "filename,predicted,a,b\n"), "{stderr}");
    assert!(stderr.contains("error: 149 of 149 photographs were left out"), "{stderr}");
}

/// A photograph that is named and is not there is told at once.
#[test]
fn photographs_that_are_not_there_are_refused_first() {
    let temporary = folder_of(2, 32);
    let arguments = ["predict", "net.safetensors", "data/img/00000.jpg", "nowhere.jpg", "--device", "cpu"];
    let (status, stdout, stderr) = run(temporary.path(), &arguments);
    assert!(status == Some(2) && stdout.is_empty() && stderr.contains("error: nowhere.jpg: "), "{stderr}");
    let (status, stdout, stderr) = run(temporary.path(), &[&arguments[..], &["--keep-going"]].concat());
    assert!(status == Some(1) && stdout.contains("00000.jpg"), "{stderr}");
    assert!(stderr.contains("1 of 2 photographs were left out:\n  nowhere.jpg: "), "{stderr}");
}

/// The largest resident memory of a process while it ran, in MiB.
#[cfg(target_os = "linux")]
fn peak_mib(folder: &Path, arguments: &[&str]) -> u64 {
    use std::process::{Command, Stdio};
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("ocellus"));
    let mut child = command.current_dir(folder).args(arguments).stdout(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.map_or(peak, |line| line.trim().trim_end_matches(" kB").parse().unwrap());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(child.wait().unwrap().success() && peak > 0);
    peak >> 10
}

/// 8,000 photographs would be 1.2 GB of pixels. What 32 of them take is the program, the driver,
/// weights and plan.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "takes minutes"]
fn memory_does_not_grow_with_the_photographs() {
    const MOST: u64 = 300;
    let (few, many, device) = (folder_of(32, 224), folder_of(8000, 224), device());
    let evaluate = ["evaluate", "net.safetensors", "--data", "data", "--no-cache", "--out", "out", "--device", &device];
    for arguments in [
        [&predict(&device, &["csv"])[..], &["--no-cache"]].concat(),
        [&predict(&device, &["json"])[..], &["--no-cache"]].concat(),
        evaluate.to_vec(),
    ] {
        let [few, many] = [&few, &many].map(|folder| peak_mib(folder.path(), &arguments));
        println!("{}: {few} MiB for 32 photographs, {many} MiB for 8,000", arguments[0]);
        assert!(many - few < MOST, "{arguments:?}: {few} and {many} MiB");
    }
}
