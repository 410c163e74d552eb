//! What commands say of data that are odd, but no fault: warnings, and a status that they do not
//! change.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::common::program::{ocellus, photographs, refuse, succeed, text};
use ocellus::app::config::Config;
use tempfile::TempDir;

/// On the reference, which starts in no time.
const TINY: [&str; 10] = ["--width", "0.03", "--image-size", "32", "--batch", "6", "--device", "cpu", "--epochs", "1"];

/// Photographs whose names begin alike, and a table of them without persons, in `data/`.
fn idrid() -> TempDir {
    let folder = photographs();
    let data = folder.path().join("data");
    let mut names: Vec<_> = fs::read_dir(data.join("img")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut table = "filename,label\n".to_string();
    for (number, path) in names.iter().enumerate() {
        let name = format!("IDRiD_{number:03}.{}", path.extension().unwrap().to_str().unwrap());
        fs::rename(path, data.join("img").join(&name)).unwrap();
        table += &format!("{name},{}\n", ["DR", "Normal"][number % 2]);
    }
    fs::remove_file(data.join("data.csv")).unwrap();
    fs::write(data.join("dataset.csv"), table).unwrap();
    folder
}

/// The lines of standard error that are warnings.
fn warnings(output: &Output) -> Vec<String> {
    text(&output.stderr).lines().filter(|line| line.starts_with("warning: ")).map(String::from).collect()
}

fn train(folder: &Path, out: &str, more: &[&str]) -> Output {
    succeed(folder, &[&["train", "--data", "data", "--out", out], &TINY[..], more].concat())
}

#[test]
fn photographs_as_persons_are_a_run_s_setting() {
    let folder = idrid();
    let folder = folder.path();
    let words = ["too few people", "without a column `id`", "--id-column none"];
    refuse(folder, &["prepare", "data"], &words);
    refuse(folder, &[&["train", "--data", "data"], &TINY[..]].concat(), &words);

    let none = ["--id-column", "none"];
    train(folder, "run", &none);
    let config = Config::load(&folder.join("run/config.toml")).unwrap();
    assert_eq!(config.columns.id.as_deref(), Some("none"));
    succeed(folder, &["train", "--resume", "run", "--epochs", "2", "--device", "cpu"]);
    succeed(folder, &["evaluate", "run", "--data", "data", "--device", "cpu"]);
    let checked = succeed(folder, &[&["check-data", "data"], &none[..]].concat());
    assert_eq!(text(&checked.stdout), "No fault found\n");
    // The option is not in the tables.
    refuse(folder, &["check-data", "data"], &["2 faults"]);
    refuse(
        folder,
        &[&["train", "--data", "data", "--out", "b"], &TINY[..]].concat(),
        &["person IDRiD", "--id-column none"],
    );
}

#[test]
fn warnings_are_listed_and_change_no_status() {
    let folder = photographs();
    let (folder, data) = (folder.path(), folder.path().join("data"));
    succeed(folder, &["prepare", "data"]);
    // It would be compared with dataset.csv, too.
    fs::remove_file(data.join("data.csv")).unwrap();
    assert_eq!(text(&succeed(folder, &["check-data", "data"]).stdout), "No fault found\n");
    assert!(warnings(&train(folder, "clean", &[])).iter().all(|warning| !warning.contains("csv")));

    // A photograph of the training split under another name in the validation split, and a row that
    // is in no split.
    let first = fs::read_to_string(data.join("train.csv")).unwrap().lines().nth(1).unwrap().to_string();
    let (name, label) = (first.split(',').next().unwrap(), first.rsplit(',').next().unwrap());
    fs::copy(data.join("img").join(name), data.join("img/999_0.png")).unwrap();
    let append = |table: &str, row: String| {
        let text = fs::read_to_string(data.join(table)).unwrap();
        fs::write(data.join(table), text + &row).unwrap();
    };
    append("val.csv", format!("999_0.png,999,{label}\n"));
    append("dataset.csv", format!("999_0.png,999,{label}\n998_0.png,998,{label}\n"));
    let copy = |warning: &str| {
        warning.contains("val.csv:")
            && warning.contains("999_0.png has the same bytes as")
            && warning.contains("in another split")
    };
    let stale = |warning: &str| {
        warning.contains("no longer follow from ")
            && warning.contains("1 row in no split")
            && warning.contains("998_0.png")
    };
    let checked = succeed(folder, &["check-data", "data"]);
    let lines: Vec<String> = text(&checked.stdout).lines().map(String::from).collect();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[0].starts_with("warning: ") && stale(&lines[0]), "{lines:#?}");
    assert!(lines[1].starts_with("warning: ") && copy(&lines[1]), "{lines:#?}");
    assert_eq!(lines[2], "No fault found, but 2 warnings");
    let said = warnings(&train(folder, "odd", &[]));
    assert_eq!(said.iter().filter(|line| copy(line)).count(), 1, "{said:#?}");
    assert_eq!(said.iter().filter(|line| stale(line)).count(), 1, "{said:#?}");
    let said = warnings(&succeed(folder, &["prepare", "data"]));
    assert!(said.len() == 1 && stale(&said[0]), "{said:#?}");

    // Faults are listed beside warnings.
    fs::write(data.join("img/999_0.png"), "no photograph").unwrap();
    let output = ocellus(folder).args(["check-data", "data"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let (listed, message) = (text(&output.stdout), text(&output.stderr));
    assert!(
        listed.lines().count() == 2 && listed.starts_with("warning: ") && listed.contains("999_0.png: "),
        "{listed}"
    );
    assert!(message.contains("error: data: 1 fault, 1 warning"), "{message}");
}

/// What is written into the splits for good has to be the text that was meant, or be said.
#[test]
fn a_guessed_encoding_is_said_by_each_command_that_reads_the_table() {
    let folder = photographs();
    let (folder, data) = (folder.path(), folder.path().join("data"));
    succeed(folder, &["prepare", "data"]);
    // It would be compared with dataset.csv, too.
    fs::remove_file(data.join("data.csv")).unwrap();
    for split in ["train.csv", "val.csv", "test.csv"] {
        fs::remove_file(data.join(split)).unwrap();
    }
    let table = fs::read_to_string(data.join("dataset.csv")).unwrap().replace(",Gla\n", ",L\u{e4}sion\n");
    let bytes: Vec<u8> = table.chars().map(|character| character as u8).collect();
    fs::write(data.join("dataset.csv"), bytes).unwrap();
    let is_it = |line: &String| line.contains("not UTF-8: read as cp1252") && line.contains("\"Läsion\"");
    let checked = text(&succeed(folder, &["check-data", "data"]).stdout);
    assert!(checked.lines().any(|line| is_it(&line.to_string())) && checked.ends_with("but 1 warning\n"), "{checked}");
    for _ in 0..2 {
        let said = warnings(&succeed(folder, &["prepare", "data"]));
        assert!(said.len() == 1 && is_it(&said[0]), "{said:?}");
        assert!(fs::read_to_string(data.join("train.csv")).unwrap().contains(",Läsion\n"));
    }
    assert_eq!(warnings(&train(folder, "run", &[])).iter().filter(|line| is_it(line)).count(), 1);
}
