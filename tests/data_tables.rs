//! From data.csv to checked splits: the golden labelling, and every message on bad input. How even the split is:
//! tests/data_split.rs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use image::RgbImage;
use ocellus::app::data::records::{self, Record};
use ocellus::app::data::{Columns, Dataset, Findings, Prepared, Split, labels};
use ocellus::error::{Error, Result};
use tempfile::TempDir;

// The functions under test, with the names that columns have unless told otherwise.

fn prepare(dir: &Path, seed: u64) -> Result<Prepared> {
    ocellus::app::data::prepare(dir, &Columns::default(), seed)
}

fn open(dir: &Path) -> Result<Dataset> {
    ocellus::app::data::open(dir, &Columns::default())
}

fn check(dir: &Path, progress: impl Fn(usize, usize) + Sync) -> Result<Vec<Error>> {
    ocellus::app::data::check(dir, &Columns::default(), progress).map(|found| found.faults)
}

fn records_of(csv: &Path) -> Vec<Record> {
    let mut found = Findings::default();
    let records = records::read(csv, &Columns::default(), &mut found).unwrap();
    assert!(found.faults.is_empty(), "{:?}", found.faults);
    records.rows
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn golden() -> TempDir {
    folder(&[("data.csv", include_str!("golden/data.csv"))])
}

fn labels_of(data_csv: &str) -> std::result::Result<Vec<Record>, String> {
    let dir = folder(&[("data.csv", data_csv)]);
    labels_in(&dir.path().join("data.csv"))
}

/// The rows, or the first fault.
fn labels_in(data_csv: &Path) -> std::result::Result<Vec<Record>, String> {
    let mut found = Findings::default();
    let records = labels::read(data_csv, &Columns::default(), &mut found).map_err(|e| e.to_string())?;
    found.faults.first().map_or(Ok(records.rows), |fault| Err(fault.to_string()))
}

#[test]
fn labels_the_golden_table_byte_for_byte() {
    let dir = golden();
    prepare(dir.path(), 1).unwrap();
    assert!(fs::read_to_string(dir.path().join("dataset.csv")).unwrap() == include_str!("golden/dataset.csv"));
}

#[test]
fn columns_are_found_by_name() {
    let text = "\u{feff}DM,AO,RP,RD,DR, MH ,Gla,RVO,AMD,filename,note\r\n\
                1,0,0,0,1,0,0,0,0,7_a.jpg,x\r\n\r\n\
                0,0,0,0,0,1.0,2,,0,8.jpg,\"two\r\nlines\"\r\n\
                0,0,0,0,0,1,1,0,0,9.jpg,dropped\r\n\
                0,0,0,0,0,0,0,0,0,10.jpg,y\r\n";
    let found: Vec<_> = labels_of(text).unwrap().into_iter().map(|r| (r.id, r.label, r.line)).collect();
    let want = [("7", "DR_DM", 2), ("8", "MH", 4), ("10", "Normal", 7)];
    assert_eq!(found, want.map(|(id, label, line)| (id.to_string(), label.to_string(), line)));
}

/// Rows that the tutorial's rule drops are counted, the most frequent combinations by name.
#[test]
fn rows_without_a_label_are_counted() {
    let text = "filename,AMD,RVO,Gla,MH,DR,RD,RP,AO,DM\n1_0.jpg,1,0,0,0,0,0,0,0,0\n2_0.jpg,0,0,0,0,1,0,0,0,0\n\
                3_0.jpg,1,0,1,0,0,0,0,0,0\n4_0.jpg,1,0,1,0,0,0,0,0,0\n5_0.jpg,0,0,0,0,0,0,0,1,0\n6_0.jpg,0,0,0,0,0,0,0,0,1\n";
    let dir = folder(&[("data.csv", text)]);
    let mut found = Findings::default();
    assert_eq!(labels::read(&dir.path().join("data.csv"), &Columns::default(), &mut found).unwrap().rows.len(), 1);
    let [warning] = &found.warnings[..] else { panic!("{:?}", found.warnings) };
    let counted = "5 rows without a label left out (2 AMD+Gla, 1 AO, 1 DM, and others)";
    assert!(warning.contains("data.csv: ") && warning.contains(counted), "{warning}");
    assert!(
        warning.ends_with("one disease of AMD, RVO, Gla, MH, RD, RP, with DR and DM together, and with none (Normal)")
    );
}

#[test]
fn bad_rows_of_data_csv_are_named() {
    let header = "filename,AMD,RVO,Gla,MH,DR,RD,RP,AO,DM\n";
    let fault = |rows: &str| labels_of(&format!("{header}{rows}")).unwrap_err();
    let good = "1_0.jpg,0,0,0,0,0,0,0,0,0\n";
    for (rows, place, about) in [
        (format!("{good}\n2_0.jpg,0,0,yes,0,0,0,0,0,0\n"), "data.csv:4: ", "column `Gla`: \"yes\" is not a number"),
        (format!("{good}2_0.jpg,0,0\n"), "data.csv:3: ", "3 fields, but the header names 10"),
        (format!("{good}_0.jpg,0,0,0,0,0,0,0,0,0\n"), "data.csv:3: ", "column `filename`: no id"),
        (format!("{good}\"2_0.jpg,0,0,0,0,0,0,0,0,0\n{good}"), "data.csv:3: ", "a quotation mark opened in this row"),
        ("1_0.jpg,0,0,0,0,1,0,0,0,0\n".to_string(), "data.csv:1: ", "no row with a label"),
    ] {
        let message = fault(&rows);
        assert!(message.contains(place) && message.contains(about), "{message}");
    }
    let message = labels_of("filename,AMD\n1.jpg,1\n").unwrap_err();
    assert!(message.contains("data.csv:1: no column `RVO`; the columns are: filename,AMD"), "{message}");
    let message = labels_of(&format!("AMD,{header}1,{good}")).unwrap_err();
    assert!(message.contains("data.csv:1: two columns are called `AMD`"), "{message}");
    assert!(labels_of("").unwrap_err().contains("data.csv:1: empty file"));

    let dir = golden();
    let path = dir.path().join("data.csv");
    fs::write(&path, [header.as_bytes(), good.as_bytes(), b"2_0.jpg,\xe9,0,0,0,0,0,0,0,0\n"].concat()).unwrap();
    let message = labels_in(&path).unwrap_err();
    assert!(message.contains("data.csv:3: byte 9: neither UTF-8 nor"), "{message}");
    let message = labels_in(&dir.path().join("none.csv")).unwrap_err();
    assert!(message.contains("none.csv"), "{message}");
}

#[test]
fn lines_are_counted_whatever_they_end_with() {
    let rows = ["filename,AMD,RVO,Gla,MH,DR,RD,RP,AO,DM,note", "1_0.jpg,0,0,0,0,0,0,0,0,0,\"a\nb\"", "", "2_0.jpg,0"];
    for end in ["\n", "\r\n", "\r"] {
        let message = labels_of(&(rows.join(end) + end)).unwrap_err();
        assert!(message.contains("data.csv:5: 2 fields"), "{end:?}: {message}");
    }
    let dir = golden();
    let path = dir.path().join("data.csv");
    fs::write(&path, [rows[0].as_bytes(), b"\r2_0.jpg,\xe9\x81,0"].concat()).unwrap();
    let message = labels_in(&path).unwrap_err();
    assert!(message.contains("data.csv:2: byte 9: neither UTF-8"), "{message}");
}

/// A stray mark in a column that nobody reads makes one long cell of all rows below it, or of those up to the next cell
/// that is quoted.
#[test]
fn a_quotation_mark_swallows_no_rows() {
    let table = |stray: &str, later: &str| {
        let note = |row| match row {
            21 => stray,
            30 => later,
            _ => "-",
        };
        let row = |row: usize| format!("{row}_0.jpg,0,0,0,0,0,0,0,0,0,{}\n", note(row));
        format!("filename,AMD,RVO,Gla,MH,DR,RD,RP,AO,DM,note\n{}", (1..=60).map(row).collect::<String>())
    };
    for later in ["-", "\"two words\""] {
        let message = labels_of(&table("\"left", later)).unwrap_err();
        assert!(message.contains("data.csv:22: a quotation mark opened in this row is never closed"), "{message}");
    }
    for (closed, later) in [("\"left\"", "\"\""), ("5\" wide", "\"say \"\"a\"\"\""), ("\"two\nlines\"", "\"a\"b")] {
        assert_eq!(labels_of(&table(closed, later)).unwrap().len(), 60, "{closed}");
    }
    let message = labels_of(&format!("\u{feff}\"{}", table("-", "-"))).unwrap_err();
    assert!(message.contains("data.csv:1: a quotation mark"), "{message}");
}

#[test]
fn names_and_labels_are_of_one_line() {
    for (row, column) in [("\"1\n.jpg\",1,a", "filename"), ("1.jpg,\"1\r\n2\",a", "id"), ("1.jpg,1,\"a\nb\"", "label")]
    {
        let dir = folder(&[("dataset.csv", &format!("filename,id,label\n0.jpg,0,a\n{row}\n2.jpg,2,b\n"))]);
        let message = prepare(dir.path(), 1).unwrap_err().to_string();
        assert!(message.contains(&format!("dataset.csv:3: column `{column}`: a line break inside")), "{message}");
    }
}

fn names(paths: &[std::path::PathBuf]) -> BTreeSet<&str> {
    paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect()
}

#[test]
fn prepare_makes_what_is_missing() {
    let dir = golden();
    let prepared = prepare(dir.path(), 1).unwrap();
    assert_eq!(names(&prepared.made), BTreeSet::from(["dataset.csv", "train.csv", "val.csv", "test.csv"]));
    let read = |name: &str| records_of(&dir.path().join(name));
    let mut lines = Vec::new();
    for name in ["train.csv", "val.csv", "test.csv"] {
        let text = fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(text.starts_with("filename,id,label\n") && !text.contains('\r'));
        lines.extend(text.lines().skip(1).map(str::to_string));
    }
    let mut all: Vec<String> = include_str!("golden/dataset.csv").lines().skip(1).map(str::to_string).collect();
    lines.sort();
    all.sort();
    assert_eq!(lines, all, "every row is in exactly one split");

    let counts =
        |label: &str| ["train.csv", "val.csv", "test.csv"].map(|f| read(f).iter().filter(|r| r.label == label).count());
    assert_eq!(prepared.table.splits, ["train", "val", "test"]);
    assert_eq!(prepared.table.counts.len(), 8);
    for (label, row) in &prepared.table.counts {
        assert_eq!(row[..], counts(label), "{label}");
    }
    let again = prepare(dir.path(), 99).unwrap();
    assert!(again.made.is_empty());
    assert_eq!(again.table, prepared.table);
}

#[test]
fn one_process_makes_the_splits_of_a_folder() {
    let dir = golden();
    let path = dir.path();
    let prepared: Vec<Prepared> = std::thread::scope(|scope| {
        let start = |seed| scope.spawn(move || prepare(path, seed).unwrap());
        let threads: Vec<_> = (0..8).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(prepared.iter().filter(|prepared| !prepared.made.is_empty()).count(), 1);
    for other in &prepared {
        assert_eq!(other.table, prepared[0].table);
    }
    let rows: usize =
        ["train.csv", "val.csv", "test.csv"].map(|name| records_of(&dir.path().join(name)).len()).iter().sum();
    assert_eq!(rows, include_str!("golden/dataset.csv").lines().count() - 1);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5, "no lock is left behind");
}

#[test]
fn prepare_depends_on_the_seed_only() {
    let train = |seed| {
        let dir = golden();
        prepare(dir.path(), seed).unwrap();
        fs::read_to_string(dir.path().join("train.csv")).unwrap()
    };
    assert_eq!(train(5), train(5));
    assert_ne!(train(5), train(6));
}

#[test]
fn prepare_starts_from_dataset_csv_and_never_replaces_it() {
    let rows: String = (0..25).map(|i| format!("{i}.png,{i},{}\n", ["cat", "dog"][i % 2])).collect();
    let dataset = format!(
        "label,extra,id,filename\n{}",
        rows.lines()
            .map(|row| {
                let parts: Vec<&str> = row.split(',').collect();
                format!("{},?,{},{}\n", parts[2], parts[1], parts[0])
            })
            .collect::<String>()
    );
    let dir = folder(&[("dataset.csv", &dataset), ("data.csv", "not a table at all")]);
    let prepared = prepare(dir.path(), 1).unwrap();
    assert_eq!(names(&prepared.made), BTreeSet::from(["train.csv", "val.csv", "test.csv"]));
    assert_eq!(fs::read_to_string(dir.path().join("dataset.csv")).unwrap(), dataset);
    let table = prepared.table.to_string();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["class", "train", "val", "test", "total"]);
    assert_eq!((lines[1][0], lines[1][4]), ("cat", "13"));
    assert_eq!(lines[3], ["total", "15", "5", "5", "25"]);
}

#[test]
fn prepare_refuses_and_writes_nothing() {
    let row = |id: u32| format!("{id}.jpg,{id},a\n");
    let two = format!("filename,id,label\n{}", (0..2).map(row).collect::<String>());
    let header = "filename,AMD,RVO,Gla,MH,DR,RD,RP,AO,DM\n";
    let one_person = format!("{header}1_0.jpg,0,0,0,0,0,0,0,0,0\n1_1.jpg,1,0,0,0,0,0,0,0,0\n");
    for (files, about) in [
        (vec![], "neither train.csv and val.csv, nor dataset.csv, nor data.csv"),
        (vec![("dataset.csv", two.as_str())], "dataset.csv: too few people to split: none is left for "),
        (vec![("data.csv", one_person.as_str())], "data.csv: too few people to split"),
        (vec![("train.csv", two.as_str())], "train.csv without val.csv and test.csv"),
        (
            vec![("test.csv", two.as_str()), ("val.csv", &two), ("data.csv", "")],
            "val.csv and test.csv without train.csv",
        ),
        (vec![("dataset.csv", "filename,id,label\n1.jpg,,a\n")], "dataset.csv:2: column `id`: empty"),
        (vec![("dataset.csv", "filename,id,label\n")], "dataset.csv:1: no rows"),
        (
            vec![("dataset.csv", "filename|id|label\n")],
            "dataset.csv:1: no column `filename`; the columns are: filename|id|label",
        ),
    ] {
        let dir = folder(&files);
        let message = prepare(dir.path(), 1).unwrap_err().to_string();
        assert!(message.contains(about), "{message}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), files.len(), "nothing is written");
    }
}

/// A folder with a train and a val table and all the images they name.
fn trainable(train: &str, val: &str) -> TempDir {
    let [train, val] = [train, val].map(|rows| format!("filename,id,label\n{rows}"));
    let dir = folder(&[("train.csv", &train), ("val.csv", &val)]);
    fs::create_dir(dir.path().join("img")).unwrap();
    for row in train.lines().chain(val.lines()).filter(|row| row.contains(".png")) {
        let name = row.split(',').next().unwrap();
        RgbImage::new(2, 2).save(dir.path().join("img").join(name)).unwrap();
    }
    dir
}

#[test]
fn opens_a_set_with_labels_of_its_own() {
    let dir = trainable("a.png,1,zebra\nb.png,2,ant\nc.png,1,zebra\n", "d.png,3,zebra\n");
    assert!(prepare(dir.path(), 1).unwrap().made.is_empty(), "no test split is no fault");
    let set = open(dir.path()).unwrap();
    assert_eq!(set.classes, ["ant", "zebra"]);
    assert!(set.test.is_none());
    assert_eq!(set.train.counts(2), [1, 2]);
    assert_eq!(set.train.examples.iter().map(|e| e.label).collect::<Vec<_>>(), [1, 0, 1]);
    let first = &set.val.examples[0];
    assert_eq!((first.label, first.id.as_str(), first.line), (1, "3", 2));
    assert_eq!(first.path, dir.path().join("img/d.png"));
    assert!(check(dir.path(), |_, _| ()).unwrap().is_empty());

    // Without a folder img/ the images are beside the tables.
    for name in ["a.png", "b.png", "c.png", "d.png"] {
        fs::rename(dir.path().join("img").join(name), dir.path().join(name)).unwrap();
    }
    fs::remove_dir(dir.path().join("img")).unwrap();
    assert_eq!(open(dir.path()).unwrap().val.examples[0].path, dir.path().join("d.png"));
}

/// Weights that were made elsewhere may have their classes in any order.
#[test]
fn labels_are_numbered_as_the_classes_are() {
    let dir = trainable("a.png,1,x\nb.png,2,y\n", "c.png,3,z\nd.png,4,x\ne.png,5,y\n");
    let (classes, mut found) = (["z", "x", "y"].map(String::from), Findings::default());
    let split = Split::read(&dir.path().join("val.csv"), &Columns::default(), &classes, &mut found).unwrap();
    assert!(found.faults.is_empty(), "{:?}", found.faults);
    assert_eq!(split.examples.iter().map(|example| example.label).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn open_names_the_row_at_fault() {
    let (train, val) = ("a.png,1,x\nb.png,2,y\n", "c.png,3,x\n");
    for (train, val, abouts) in [
        (train, "c.png,3,x\nd.png,4,z\n", vec!["val.csv:3: ", "column `label`: \"z\" is none of the classes (x, y)"]),
        (train, "c.jpg,3,x\n", vec!["val.csv:2: column `filename`: no image file ", "c.jpg"]),
        (train, "c.png,3,x\nd.png,2,y\n", vec!["val.csv:3: column `id`: person 2 is in ", "train.csv:3 too"]),
        ("a.png,1,x\nb.png,2,x\n", val, vec!["train.csv:2: ", "two classes are the least"]),
        (train, "", vec!["val.csv:1: no rows"]),
        ("", val, vec!["train.csv:1: no rows"]),
        (train, "c.png,3,\n", vec!["val.csv:2: column `label`: empty"]),
        (train, "c.png,3,z\nd.png,2,y\n", vec!["val.csv:2: ", "1 more"]),
    ] {
        let dir = trainable(train, val);
        let message = open(dir.path()).unwrap_err().to_string();
        assert!(abouts.iter().all(|about| message.contains(about)), "{message}");
    }
    let dir = trainable(train, val);
    fs::remove_file(dir.path().join("val.csv")).unwrap();
    assert!(open(dir.path()).unwrap_err().to_string().contains("val.csv"));
}

#[test]
fn check_finds_every_fault() {
    let dir = trainable("a.png,1,x\nb.png,2,y\nc.jpg,5,x\nd.png,6,y\n", "e.png,2,x\nf.png,7,q\ng.png,8,y\n");
    fs::write(dir.path().join("img/d.png"), "not an image").unwrap();
    let g = dir.path().join("img/g.png");
    let half = fs::read(&g).unwrap();
    fs::write(&g, &half[..half.len() / 2]).unwrap();
    let last = std::sync::Mutex::new((0, 0));
    let faults = check(dir.path(), |done, total| {
        let mut last = last.lock().unwrap();
        *last = (*last).max((done, total));
    })
    .unwrap();
    assert_eq!(last.into_inner().unwrap(), (5, 5), "rows with an image and a known label");
    let messages: Vec<String> = faults.iter().map(ToString::to_string).collect();
    for (place, about) in [
        ("train.csv:4: ", "no image file"),
        ("train.csv:5: ", "not a JPEG"),
        ("val.csv:2: ", "person 2 is in"),
        ("val.csv:3: ", "column `label`: \"q\""),
        ("val.csv:4: ", "g.png"),
    ] {
        let found = messages.iter().filter(|m| m.contains(place) && m.contains(about)).count();
        assert_eq!(found, 1, "{place}{about} in {messages:#?}");
    }
    assert_eq!(messages.len(), 5, "{messages:#?}");
}

#[test]
fn check_goes_on_after_a_table_that_cannot_be_read() {
    let faults = |dir: &TempDir| -> Vec<String> {
        check(dir.path(), |_, _| ()).unwrap().iter().map(ToString::to_string).collect()
    };
    let expect = |dir: &TempDir, want: &[&str]| {
        let found = faults(dir);
        assert_eq!(found.len(), want.len(), "{found:#?}");
        assert!(want.iter().all(|about| found.iter().any(|fault| fault.contains(about))), "{found:#?}");
    };
    let (train, val) = ("a.png,1,x\nb.jpg,2,y\n", "c.png,3,x\nd.jpg,4,z\n");
    let dir = trainable(train, val);
    fs::write(dir.path().join("val.csv"), "filename|id|label\n").unwrap();
    expect(&dir, &["train.csv:3: column `filename`: no image file", "val.csv:1: no column `filename`"]);
    fs::remove_file(dir.path().join("val.csv")).unwrap();
    expect(&dir, &["train.csv:3: column `filename`", "val.csv: no such file; train.csv and val.csv are the least"]);
    fs::rename(dir.path().join("train.csv"), dir.path().join("test.csv")).unwrap();
    expect(&dir, &["test.csv:3: column `filename`", "train.csv: no such file", "val.csv: no such file"]);

    // Which labels are known is for train.csv to say.
    let dir = trainable(train, val);
    fs::write(dir.path().join("train.csv"), "filename|id|label\n").unwrap();
    expect(&dir, &["train.csv:1: no column `filename`", "val.csv:3: column `filename`: no image file"]);
}

#[test]
fn one_class_is_nothing_to_learn() {
    let rows: String = (0..25).map(|i| format!("{i}.png,{i},x\n")).collect();
    let dir = folder(&[("dataset.csv", &format!("filename,id,label\n{rows}"))]);
    (0..25).for_each(|i| RgbImage::new(2, 2).save(dir.path().join(format!("{i}.png"))).unwrap());
    let about = "dataset.csv:2: all rows have the label \"x\"; two classes are the least";
    let faults = check(dir.path(), |_, _| ()).unwrap();
    assert!(faults.len() == 1 && faults[0].to_string().contains(about), "{faults:?}");
    let message = prepare(dir.path(), 1).unwrap_err().to_string();
    assert!(message.contains(about), "{message}");
    assert!(!dir.path().join("train.csv").exists());
}

#[test]
fn columns_may_have_other_names() {
    let columns = Columns { filename: "image".into(), label: "diagnosis".into(), id: Some("patient".into()) };
    let rows: String = (0..25).map(|i| format!("{},{i},p{i},{i}_a.png\n", ["cat", "dog"][i % 2])).collect();
    let dir = folder(&[("dataset.csv", &format!("diagnosis,id,patient,image\n{rows}"))]);
    ocellus::app::data::prepare(dir.path(), &columns, 1).unwrap();
    let train = fs::read_to_string(dir.path().join("train.csv")).unwrap();
    assert!(train.starts_with("image,patient,diagnosis\n") && train.contains("_a.png,p"), "{train}");
    // What was made is read by the same names.
    assert!(ocellus::app::data::prepare(dir.path(), &columns, 1).unwrap().made.is_empty());

    let wrong = Columns { label: "diagnose".into(), ..columns.clone() };
    let message = ocellus::app::data::prepare(dir.path(), &wrong, 1).unwrap_err().to_string();
    assert!(message.contains("train.csv:1: no column `diagnose`"), "{message}");
    let wrong = Columns { id: Some("person".into()), ..columns };
    let message = ocellus::app::data::prepare(dir.path(), &wrong, 1).unwrap_err().to_string();
    assert!(message.contains("train.csv:1: no column `person`"), "{message}");
}

#[test]
fn columns_of_data_csv_may_have_other_names() {
    let row = |i: usize| format!("{i:03}_a.png,p{},{},0,0,0,0,0,0,0,0\n", i / 2, i / 2 % 2);
    let rows: String = (0..50).map(row).collect();
    let dir = folder(&[("data.csv", &format!("image,patient,AMD,RVO,Gla,MH,DR,RD,RP,AO,DM\n{rows}"))]);
    let columns = Columns { filename: "image".into(), label: "diagnosis".into(), id: Some("patient".into()) };
    ocellus::app::data::prepare(dir.path(), &columns, 1).unwrap();
    let dataset = fs::read_to_string(dir.path().join("dataset.csv")).unwrap();
    assert!(dataset.starts_with("image,patient,diagnosis\n000_a.png,p0,Normal\n001_a.png,p0,Normal\n"), "{dataset}");
    let mut split_of = BTreeMap::new();
    for name in ["train.csv", "val.csv", "test.csv"] {
        for record in records::read(&dir.path().join(name), &columns, &mut Findings::default()).unwrap().rows {
            assert_eq!(*split_of.entry(record.id).or_insert(name), name, "a person is in two splits");
        }
    }
    assert_eq!(split_of.len(), 25);

    let dir = golden();
    for (columns, about) in [
        (Columns { filename: "image".into(), ..Columns::default() }, "data.csv:1: no column `image`"),
        (Columns { id: Some("patient".into()), ..Columns::default() }, "data.csv:1: no column `patient`"),
    ] {
        let message = ocellus::app::data::prepare(dir.path(), &columns, 1).unwrap_err().to_string();
        assert!(message.contains(about), "{message}");
    }
}

#[test]
fn no_two_columns_have_one_name() {
    let rows: String = (0..25).map(|i| format!("{i}_a.png,{}\n", ["cat", "dog"][i % 2])).collect();
    let dir = folder(&[("dataset.csv", &format!("id,label\n{rows}"))]);
    let columns = |filename: &str, id: Option<&str>| Columns {
        filename: filename.into(),
        id: id.map(String::from),
        ..Columns::default()
    };
    for (filename, id) in [("label", None), ("id", Some("id")), ("id", Some("label"))] {
        let message = ocellus::app::data::prepare(dir.path(), &columns(filename, id), 1).unwrap_err().to_string();
        assert!(message.contains("need different names, not "), "{message}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is written");
    }
    // `id` is the column of persons only if it is not another one.
    for made in [3, 0] {
        let prepared = ocellus::app::data::prepare(dir.path(), &columns("id", None), 1).unwrap();
        assert_eq!(prepared.made.len(), made);
    }
    assert!(fs::read_to_string(dir.path().join("train.csv")).unwrap().starts_with("id,label\n"));
}

#[test]
fn without_an_id_column_the_file_name_tells_the_person() {
    let dir = folder(&[("dataset.csv", "filename,label\n007_00.jpg,x\n007_01.jpg,y\n8.jpg,x\n")]);
    let found: Vec<_> = records_of(&dir.path().join("dataset.csv")).into_iter().map(|r| (r.id, r.label)).collect();
    assert_eq!(found, [("007", "x"), ("007", "y"), ("8", "x")].map(|(id, label)| (id.into(), label.into())));

    let dir = folder(&[("dataset.csv", "filename,label\n1.jpg,x\n_1.jpg,x\n")]);
    let message = prepare(dir.path(), 1).unwrap_err().to_string();
    assert!(message.contains("dataset.csv:3: column `filename`: no id in \"_1.jpg\""), "{message}");
}

#[test]
fn folders_are_no_part_of_a_person() {
    let rows = "left/7_0.jpg,x\nright/7_0.jpg,x\neye_photos\\000_0.jpg,y\n./8.jpg,y\n";
    let dir = folder(&[("dataset.csv", &format!("filename,label\n{rows}"))]);
    let ids: Vec<String> = records_of(&dir.path().join("dataset.csv")).into_iter().map(|r| r.id).collect();
    assert_eq!(ids, ["7", "7", "000", "8"]);
}

#[test]
fn spaces_around_a_cell_tell_nobody_apart() {
    let dir = folder(&[("dataset.csv", "filename,id,label\na.jpg,1,x\n b.jpg, 1,x \nc.jpg ,\"1 \",\tx\n")]);
    for (record, name) in records_of(&dir.path().join("dataset.csv")).iter().zip(["a.jpg", "b.jpg", "c.jpg"]) {
        assert_eq!((&record.filename[..], &record.id[..], &record.label[..]), (name, "1", "x"));
    }
}

#[test]
fn a_photograph_is_in_one_split() {
    let dir = trainable("a.png,1,x\nb.png,2,y\na.png,1,x\n./b.png,2,x\n", "c.png,3,x\n./a.png,4,x\n");
    let mut faults: Vec<String> = check(dir.path(), |_, _| ()).unwrap().iter().map(ToString::to_string).collect();
    faults.sort();
    let at = |csv: &str, line: usize| format!("{}:{line}", dir.path().join(csv).display());
    let image = |name: &str| dir.path().join("img").join(name).display().to_string();
    let fault = |place: String, image: String, other: String, why: &str| {
        format!("{place}: column `filename`: photograph {image} is in {other} too{why}")
    };
    let want = [
        fault(at("train.csv", 5), image("./b.png"), at("train.csv", 3), ", with another label"),
        fault(at("val.csv", 3), image("./a.png"), at("train.csv", 2), ""),
    ];
    assert_eq!(faults, want);

    // Before there are splits, too.
    fs::rename(dir.path().join("train.csv"), dir.path().join("dataset.csv")).unwrap();
    fs::remove_file(dir.path().join("val.csv")).unwrap();
    let faults = check(dir.path(), |_, _| ()).unwrap();
    assert!(faults.len() == 1 && faults[0].to_string().contains("dataset.csv:5: column `filename`: photograph"));
}

#[test]
fn japanese_spreadsheets_are_read() {
    // "1.jpg,1,正常" and "2.jpg,2,表" (the second character's last byte is a backslash in ASCII), in cp932.
    let cp932 = b"filename,id,label\r\n1.jpg,1,\x90\xb3\x8f\xed\r\n2.jpg,2,\x95\x5c\r\n";
    let utf8 = "\u{feff}filename,id,label\r\n1.jpg,1,正常\r\n2.jpg,2,表\r\n".as_bytes();
    for bytes in [&cp932[..], utf8] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dataset.csv");
        fs::write(&path, bytes).unwrap();
        let labels: Vec<_> = records_of(&path).into_iter().map(|r| r.label).collect();
        assert_eq!(labels, ["正常", "表"]);
    }
}

#[test]
fn paths_that_leave_the_folder_are_refused() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret.png");
    RgbImage::new(2, 2).save(&secret).unwrap();
    let dir = trainable("a.png,1,x\nb.png,2,y\n", "c.png,3,x\n");
    RgbImage::new(2, 2).save(dir.path().join("beside.png")).unwrap();
    fs::create_dir(dir.path().join("img/more")).unwrap();
    RgbImage::new(2, 2).save(dir.path().join("img/more/d.png")).unwrap();
    let rows = format!("filename,id,label\n./c.png,3,x\nmore/d.png,4,y\n../beside.png,5,x\n{},6,x\n", secret.display());
    fs::write(dir.path().join("val.csv"), rows).unwrap();
    let faults: Vec<String> = check(dir.path(), |_, _| ()).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 2, "{faults:#?}");
    for (fault, line) in faults.iter().zip([4, 5]) {
        let place = format!("val.csv:{line}: column `filename`: ");
        assert!(fault.contains(&place) && fault.contains("leads out of the folder"), "{fault}");
    }
}

#[test]
fn what_is_not_prepared_yet_can_be_checked() {
    let header = "filename,AMD,RVO,Gla,MH,DR,RD,RP,AO,DM\n";
    let rows = "1_0.png,1,0,0,0,0,0,0,0,0\n2_0.png,0,0,x,0,0,0,0,0,0\n3_0.png,1\n_.png,0,0,0,0,0,0,0,0,0\n\
                4_0.png,1,0,0,0,0,0,0,0,0\n";
    let dir = folder(&[("data.csv", &format!("{header}{rows}"))]);
    RgbImage::new(2, 2).save(dir.path().join("1_0.png")).unwrap();
    let mut faults: Vec<String> = check(dir.path(), |_, _| ()).unwrap().iter().map(ToString::to_string).collect();
    faults.sort();
    let want = [
        "data.csv:3: column `Gla`: \"x\" is not a number",
        "data.csv:4: 2 fields, but the header names 10",
        "data.csv:5: column `filename`: no id in \"_.png\"",
        "data.csv:6: column `filename`: no image file",
    ];
    assert_eq!(faults.len(), want.len(), "{faults:#?}");
    assert!(faults.iter().zip(want).all(|(fault, want)| fault.contains(want)), "{faults:#?}");

    // Preparing it names the first and counts the others.
    let message = prepare(dir.path(), 1).unwrap_err().to_string();
    assert!(message.contains("data.csv:3: column `Gla`") && message.contains("2 more"), "{message}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is written");
}
