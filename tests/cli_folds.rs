//! Folds, from their table to the figures of all of them together.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use approx::assert_abs_diff_eq;
use ocellus::app::config::Config;
use ocellus::app::data::{FOLDS, Fold, synthetic};
use ocellus::app::predictions::Named;
use ocellus::app::train::files;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::program::{ocellus, refuse, succeed, text};

/// As small as it gets: five of them are trained.
const TINY: [&str; 10] = ["--width", "0.03", "--image-size", "32", "--batch", "8", "--epochs", "1", "--device", "cpu"];

/// A folder with drawn photographs of 56 persons in `data/`, and the tables of five folds.
fn with_folds() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let options = synthetic::Options { images: 160, size: 32.into(), seed: 1 };
    synthetic::write(&folder.path().join("data"), &options, |_, _| ()).unwrap();
    let printed = text(&succeed(folder.path(), &["prepare", "data", "--folds", "5"]).stdout);
    assert!(printed.contains("fold 5") && printed.lines().last().unwrap().trim_end().ends_with("160"), "{printed}");
    folder
}

fn rows(table: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(table).unwrap();
    text.lines().map(|line| line.split(',').map(String::from).collect()).collect()
}

fn train<'a>(fold: &'a str, run: &'a str) -> Vec<&'a str> {
    [&["train", "--data", "data", "--fold", fold, "--out", run], &TINY[..]].concat()
}

#[test]
fn five_runs_are_tested_on_everybody_once() {
    let temporary = with_folds();
    let folder = temporary.path();
    for fold in ["1", "2", "3", "4", "5"] {
        let printed = text(&succeed(folder, &train(fold, &format!("runs/{fold}"))).stdout);
        assert!(printed.contains(&format!("The test split is fold {fold} of 5")), "{printed}");
    }
    let config = Config::load(&folder.join("runs/2").join(files::CONFIG)).unwrap();
    assert_eq!(config.fold, Some(Fold { number: 2, of: Some(5) }));

    // Of run 2 fold 2 is the test; nobody of it or of fold 3 is trained on.
    let table = rows(&folder.join("data").join(FOLDS));
    assert_eq!(table[0], ["filename", "id", "label", "fold"]);
    let of_fold = |fold: &str| -> BTreeSet<String> {
        table.iter().filter(|row| row[3] == fold).map(|row| row[1].clone()).collect()
    };
    let named = Named::read(&folder.join("runs/2").join(files::PREDICTIONS)).unwrap();
    assert_eq!(named.persons.iter().cloned().collect::<BTreeSet<_>>(), of_fold("2"));
    let evaluated = |split: &str| {
        succeed(folder, &["evaluate", "runs/2", "--split", split, "--out", split, "--device", "cpu"]);
        let named = Named::read(&folder.join(split).join(files::PREDICTIONS)).unwrap();
        named.persons.into_iter().collect::<BTreeSet<_>>()
    };
    assert_eq!(evaluated("test"), of_fold("2"));
    assert_eq!(evaluated("val"), of_fold("3"));
    let trained = ["1", "4", "5"].iter().flat_map(|fold| of_fold(fold)).collect::<BTreeSet<_>>();
    assert_eq!(evaluated("train"), trained);

    let card = fs::read_to_string(folder.join("runs/2").join(files::CARD)).unwrap();
    let report = fs::read_to_string(folder.join("runs/2").join(files::REPORT)).unwrap();
    let accuracy = report.lines().find_map(|line| line.trim().strip_prefix("accuracy  0.")).unwrap();
    for line in [
        "- Partitions: fold 2 of 5 is the test split",
        "| 42 | Funding | **open** |",
        "| 21 | ",
        "| persons | 33 | 12 | 11 |",
    ] {
        assert!(card.contains(line), "{line} in {card}");
    }
    assert!(card.contains(&format!("| accuracy | 0.{accuracy} |")), "{accuracy} in {card}");

    // A run of a fold goes on with it.
    succeed(folder, &["train", "--resume", "runs/2", "--epochs", "2", "--device", "cpu"]);
    assert!(fs::read_to_string(folder.join("runs/2").join(files::HISTORY)).unwrap().lines().count() == 3);

    all_folds(folder);
    bad_folds(folder);
}

/// Mean, deviation and pooled figures, against the tables of predictions.
fn all_folds(folder: &Path) {
    let of = |fold: usize| Named::read(&folder.join(format!("runs/{fold}")).join(files::PREDICTIONS)).unwrap();
    let right = |named: &Named| {
        let tops = named.predictions.tops();
        tops.iter().zip(&named.predictions.labels).filter(|(top, label)| top == label).count() as f64
    };
    let folds: Vec<Named> = (1..=5).map(of).collect();
    let shares: Vec<f64> = folds.iter().map(|fold| right(fold) / fold.files.len() as f64).collect();
    let printed = succeed(folder, &["evaluate", "--folds", "runs", "--resamples", "50", "--json", "--out", "all"]);
    let json: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let mean = shares.iter().sum::<f64>() / 5.0;
    let variance = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / 4.0;
    let accuracy = &json["over_folds"]["accuracy"];
    assert_abs_diff_eq!(accuracy["mean"].as_f64().unwrap(), mean, epsilon = 1e-12);
    assert_abs_diff_eq!(accuracy["standard_deviation"].as_f64().unwrap(), variance.sqrt(), epsilon = 1e-12);
    for (fold, share) in json["folds"].as_array().unwrap().iter().zip(&shares) {
        assert_abs_diff_eq!(fold["figures"]["accuracy"]["value"].as_f64().unwrap(), *share, epsilon = 1e-12);
    }
    let pooled = &json["pooled"]["figures"];
    let share = folds.iter().map(right).sum::<f64>() / 160.0;
    assert_abs_diff_eq!(pooled["accuracy"]["value"].as_f64().unwrap(), share, epsilon = 1e-12);
    assert!(pooled["accuracy"]["interval"][0].as_f64().unwrap() <= share);
    assert_eq!(pooled["bootstrap"]["persons"], 56);
    // The order in which runs are named makes no difference.
    let turned =
        ["evaluate", "--folds", "runs/5", "runs/3", "runs/1", "runs/4", "runs/2", "--resamples", "50", "--json"];
    assert_eq!(succeed(folder, &turned).stdout, printed.stdout);
    let plain = text(&succeed(folder, &["evaluate", "--folds", "runs", "--resamples", "50"]).stdout);
    assert_eq!(fs::read_to_string(folder.join("all").join(files::REPORT)).unwrap(), plain);
    assert!(plain.contains("fold 5") && plain.contains("All 160 photographs together"), "{plain}");
    assert_eq!(rows(&folder.join("all").join(files::PREDICTIONS)).len(), 161);
}

fn bad_folds(folder: &Path) {
    let evaluate = |runs: &[&'static str]| [&["evaluate", "--folds"], runs].concat();
    refuse(folder, &evaluate(&["runs/1", "runs/2", "runs/4"]), &["folds 3, 5 of 5 are missing"]);
    refuse(folder, &evaluate(&["runs", "runs/2"]), &["runs/2", "of fold 2", "one run per fold"]);
    refuse(folder, &evaluate(&["data"]), &["data", "neither a run's folder nor a folder of runs"]);
    let predictions = folder.join("runs/4").join(files::PREDICTIONS);
    let whole = fs::read_to_string(&predictions).unwrap();
    let (first, person) = (rows(&predictions), rows(&folder.join("runs/1").join(files::PREDICTIONS))[1][1].clone());
    fs::write(&predictions, whole.replace(&first[1][1], &person)).unwrap();
    refuse(folder, &evaluate(&["runs"]), &[&format!("person {person} is in fold 1"), "in fold 4"]);
    fs::write(&predictions, whole.replacen(&first[1][4], "1.5", 1)).unwrap();
    refuse(folder, &evaluate(&["runs"]), &["predictions.csv:2", "\"1.5\" is no probability"]);
    let labelled = |label: &str| format!("{},{},{label},", first[1][0], first[1][1]);
    fs::write(&predictions, whole.replace(&labelled(&first[1][2]), &labelled("glass"))).unwrap();
    refuse(folder, &evaluate(&["runs"]), &["predictions.csv:2", "\"glass\" is no column"]);
    fs::remove_file(&predictions).unwrap();
    refuse(folder, &evaluate(&["runs"]), &["predictions.csv", "has not ended with a test"]);
    fs::write(&predictions, whole).unwrap();

    // A run without a fold, and one of a table with other folds.
    let config = folder.join("runs/4").join(files::CONFIG);
    let recorded = fs::read_to_string(&config).unwrap();
    fs::write(&config, recorded.replace("of = 5", "of = 4")).unwrap();
    refuse(folder, &evaluate(&["runs"]), &["runs/4: of 4 folds"]);
    refuse(folder, &["evaluate", "runs/4", "--device", "cpu"], &["has 5 folds", "fold 4 of 4"]);
    fs::write(&config, recorded.replace("[fold]\nnumber = 4\nof = 5\n", "")).unwrap();
    refuse(folder, &evaluate(&["runs"]), &["runs/4: no run of a fold"]);
}

#[test]
fn tables_of_folds_are_checked() {
    let temporary = with_folds();
    let folder = temporary.path();
    let path = folder.join("data").join(FOLDS);
    let whole = fs::read_to_string(&path).unwrap();
    refuse(folder, &train("6", "run"), &["folds.csv: has no fold 6", "1 to 5"]);
    let train_first = train("1", "run");
    refuse(folder, &["prepare", "data", "--folds", "4"], &["has 5 folds; remove it"]);
    assert!(text(&succeed(folder, &["prepare", "data", "--folds", "5"]).stderr).contains("nothing was written"));

    // The first person's second photograph goes to another fold.
    let table = rows(&path);
    let [one, two] = [&table[1], table.iter().skip(2).find(|row| row[1] == table[1][1]).unwrap()];
    let other = if two[3] == "1" { "2" } else { "1" };
    fs::write(&path, whole.replace(&two.join(","), &[&two[0], &two[1], &two[2], other].join(","))).unwrap();
    let person = format!("person {} is in fold {} too, in line 2", one[1], one[3]);
    refuse(folder, &train_first, &[&person, "column `id`"]);

    fs::write(&path, whole.replacen(&one.join(","), &[&one[0], &one[1], &one[2], "two"].join(","), 1)).unwrap();
    refuse(folder, &train_first, &["folds.csv:2: column `fold`: \"two\" is no fold"]);
    let without: String = whole.lines().filter(|line| !line.ends_with(",3")).map(|line| format!("{line}\n")).collect();
    fs::write(&path, without).unwrap();
    refuse(folder, &train_first, &["fold 3 of 5 is missing"]);
    let of_two: String =
        whole.lines().filter(|line| !line.ends_with(['3', '4', '5'])).map(|line| format!("{line}\n")).collect();
    fs::write(&path, of_two).unwrap();
    refuse(folder, &train_first, &["2 folds, and 3 are the least"]);
    fs::remove_file(&path).unwrap();
    refuse(folder, &train_first, &["folds.csv: no such file", "prepare data --folds 5"]);
    refuse(folder, &["train", "--fold", "1", "--device", "cpu"], &["--fold", "--data"]);
    assert!(!folder.join("run").exists());

    // Persons of a class in two folds that test and validate one run.
    let few = "filename,id,label\na.png,1,A\nb.png,2,A\nc.png,3,A\nd.png,4,A\ne.png,5,A\nf.png,6,B\n";
    fs::create_dir(folder.join("few")).unwrap();
    fs::write(folder.join("few/dataset.csv"), few).unwrap();
    refuse(folder, &["prepare", "few", "--folds", "5"], &["\"B\" has 1 person, too few for 5 folds"]);
    refuse(folder, &["prepare", "few", "--folds", "7"], &["too few people for 7 folds"]);
    let status = ocellus(folder).args(["prepare", "few", "--folds", "2"]).output().unwrap().status.code();
    assert_eq!(status, Some(2));
    assert_eq!(fs::read_dir(folder.join("few")).unwrap().count(), 1);
}
