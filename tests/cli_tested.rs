//! Tests of a run on other tables, by groups, over flips, and together with other runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use approx::assert_abs_diff_eq;
use ocellus::app::checkpoint;
use ocellus::app::predictions::Named;
use ocellus::app::train::files;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::program::{photographs, refuse, succeed, text};

const TINY: [&str; 10] = ["--width", "0.03", "--image-size", "32", "--batch", "6", "--epochs", "1", "--device", "cpu"];

/// A folder with photographs in `data/`, and runs of two seeds.
fn with_runs() -> TempDir {
    let folder = photographs();
    for seed in ["1", "2"] {
        let out = format!("run{seed}");
        let train = ["train", "--data", "data", "--out", &out, "--seed", seed];
        succeed(folder.path(), &[&train[..], &TINY].concat());
    }
    folder
}

/// The probabilities that `predict` prints as CSV, by file.
fn predicted(folder: &Path, arguments: &[&str]) -> BTreeMap<String, Vec<f64>> {
    let line = [&["predict", "run1"], arguments, &["--format", "csv", "--device", "cpu"]].concat();
    let rows = text(&succeed(folder, &line).stdout);
    let row = |line: &str| {
        let mut cells = line.split(',').map(String::from);
        let name = cells.next().unwrap();
        (name, cells.skip(1).map(|cell| cell.parse().unwrap()).collect())
    };
    rows.lines().skip(1).map(row).collect()
}

#[track_caller]
fn are_means(all: &BTreeMap<String, Vec<f64>>, of_each: &[&BTreeMap<String, Vec<f64>>]) {
    assert!(!all.is_empty());
    for (name, row) in all {
        for (class, &value) in row.iter().enumerate() {
            let sum: f64 = of_each.iter().map(|one| one[name][class]).sum();
            assert_abs_diff_eq!(value, sum / of_each.len() as f64, epsilon = 1e-6);
        }
    }
}

#[test]
fn flips_and_networks_are_averaged() {
    let temporary = with_runs();
    let folder = temporary.path();
    // The same photographs, flipped by another program, under the same names.
    let mut views = Vec::new();
    for view in ["as they are", "horizontal", "vertical", "both"] {
        let place = folder.join("views").join(view);
        fs::create_dir_all(&place).unwrap();
        for entry in fs::read_dir(folder.join("data/img")).unwrap().take(9) {
            let (path, mut picture) = (entry.as_ref().unwrap().path(), image::open(entry.unwrap().path()).unwrap());
            if view == "horizontal" || view == "both" {
                picture = picture.fliph();
            }
            if view == "vertical" || view == "both" {
                picture = picture.flipv();
            }
            picture.save(place.join(path.with_extension("png").file_name().unwrap())).unwrap();
        }
        let name = |(path, row): (String, Vec<f64>)| (path.rsplit(['/', '\\']).next().unwrap().to_string(), row);
        views.push(predicted(folder, &[&format!("views/{view}")]).into_iter().map(name).collect::<BTreeMap<_, _>>());
    }
    let short = |rows: BTreeMap<String, Vec<f64>>| -> BTreeMap<String, Vec<f64>> {
        rows.into_iter().map(|(path, row)| (path.rsplit(['/', '\\']).next().unwrap().to_string(), row)).collect()
    };
    let flipped = short(predicted(folder, &["views/as they are", "--tta"]));
    are_means(&flipped, &views.iter().collect::<Vec<_>>());
    assert!(flipped != views[0], "flips differ from the photographs");
    // With maps it says the same.
    let mapped = short(predicted(folder, &["views/as they are", "--tta", "--cam", "maps"]));
    assert_eq!(mapped, flipped);
    // So it does with maps of one class, which are those of the photographs that are taken for it.
    let map = |maps: &str, name: &str| image::open(folder.join(maps).join(format!("{name}.cam.png"))).unwrap();
    let classes = checkpoint::load(&folder.join("run1").join(files::BEST)).unwrap().1.classes;
    let (mut same, mut others) = (0, 0);
    for (position, class) in classes.iter().enumerate() {
        let of_one = ["views/as they are", "--tta", "--cam", class, "--cam-class", class];
        assert_eq!(short(predicted(folder, &of_one)), flipped);
        for (name, row) in &flipped {
            let is_top = row.iter().all(|probability| *probability <= row[position]);
            let is_same = map(class, name) == map("maps", name);
            assert!(!is_top || is_same, "{name}, {class}");
            same += usize::from(is_top);
            others += usize::from(!is_same);
        }
    }
    assert!(same >= flipped.len() && others > 0, "{same} maps of the predicted class, {others} of others");

    let alone = predicted(folder, &["data/img"]);
    let other = text(&succeed(folder, &["predict", "run2", "data/img", "--format", "csv", "--device", "cpu"]).stdout);
    let both = predicted(folder, &["data/img", "--with", "run2"]);
    let row = |line: &str| line.split(',').skip(2).map(|cell| cell.parse::<f64>().unwrap()).collect::<Vec<_>>();
    let other: BTreeMap<String, Vec<f64>> =
        other.lines().skip(1).map(|line| (line.split(',').next().unwrap().to_string(), row(line))).collect();
    are_means(&both, &[&alone, &other]);
    assert_eq!(predicted(folder, &["data/img", "--with", "run1", "run1"]), alone);

    // Another list of classes.
    let relabelled = fs::read_to_string(folder.join("data/dataset.csv")).unwrap().replace(",RVO", ",Vein");
    fs::create_dir(folder.join("other")).unwrap();
    fs::write(folder.join("other/dataset.csv"), relabelled).unwrap();
    let train = ["train", "--data", "data", "--tables", "other", "--out", "run3"];
    succeed(folder, &[&train[..], &TINY].concat());
    let predict = ["predict", "run1", "data/img", "--with", "run3", "--device", "cpu"];
    refuse(folder, &predict, &["run3", "list of classes", "Vein"]);
    refuse(folder, &["predict", "run1", "data/img", "--with", "none", "--device", "cpu"], &["none", "no such file"]);
}

#[test]
fn tables_of_other_labels_and_columns() {
    let temporary = with_runs();
    let folder = temporary.path();
    let table = fs::read_to_string(folder.join("data/dataset.csv")).unwrap();
    let mut rows = table.lines();
    assert_eq!(rows.next(), Some("filename,id,label"));
    // Other labels, and columns: a number of few values, a number of many, a text with an empty cell.
    let row = |(index, line): (usize, &str)| {
        let line = line.replace(",Normal", ",healthy").replace(",RVO", ",vein");
        let eye = if index == 0 { "" } else { ["left", "right"][index % 2] };
        format!("{line},{eye},{},{}\n", index % 3, 30.0 + index as f64 / 2.0)
    };
    let other: String = rows.enumerate().map(row).collect();
    fs::create_dir(folder.join("tables")).unwrap();
    fs::write(folder.join("tables/test.csv"), format!("filename,id,label,eye,visit,age\n{other}")).unwrap();
    let with = |more: &[&'static str]| {
        let base = ["evaluate", "run1", "--data", "data", "--tables", "tables", "--device", "cpu", "--resamples", "20"];
        [&base[..], more].concat()
    };
    let count = |label: &str| other.matches(&format!(",{label},")).count();
    refuse(folder, &with(&[]), &["test.csv", "is none of the classes"]);
    let output = succeed(folder, &with(&["--map", "healthy=Normal", "--map", "absent=AMD", "--out", "out"]));
    let said = text(&output.stderr);
    assert!(said.contains(&format!("{} photographs of \"healthy\" taken for \"Normal\"", count("healthy"))), "{said}");
    assert!(said.contains("no row has the label \"absent\""), "{said}");
    let left_out =
        format!("left out {0} of 48 rows with labels that the network does not know: \"vein\" {0}", count("vein"));
    assert!(said.contains(&left_out), "{said}");
    let named = Named::read(&folder.join("out").join(files::PREDICTIONS)).unwrap();
    assert_eq!(named.files.len(), 48 - count("vein"));
    let normal = named.predictions.classes.iter().position(|class| class == "Normal").unwrap();
    assert_eq!(named.predictions.labels.iter().filter(|&&label| label == normal).count(), count("healthy"));

    refuse(folder, &with(&["--map", "healthy=Norm"]), &["\"Norm\" is no class of the network", "Normal"]);
    refuse(folder, &with(&["--map", "vein=RVO", "--map", "vein=RD"]), &["\"vein\" stands for"]);
    let output = with(&["--map", "vein=RVO", "--by", "camera"]);
    refuse(folder, &output, &["--by camera: no such column in", "test.csv", "dataset.csv"]);

    let by =
        ["--map", "vein=RVO", "--map", "healthy=Normal", "--by", "eye", "--by", "visit", "--by", "age", "--by", "sex"];
    let json: Value = serde_json::from_slice(&succeed(folder, &with(&[&by[..], &["--json"]].concat())).stdout).unwrap();
    let groups = |column: &str| json["by"][column]["groups"].as_object().unwrap();
    assert_eq!(groups("eye").keys().map(String::as_str).collect::<Vec<_>>(), ["left", "right", "(empty)"]);
    assert_eq!(groups("eye")["left"]["photographs"], 23);
    assert_eq!(groups("visit").len(), 3);
    assert_eq!((groups("age").len(), &json["by"]["age"]["bands"]), (4, &true.into()));
    assert!(groups("age").contains_key("30 to 35.5"), "{:?}", groups("age").keys());
    assert!(json["by"]["sex"]["table"].as_str().unwrap().ends_with("data.csv"), "found where labels are made of");
    // Every photograph is in one group, and the groups' correct answers are those of all.
    for column in ["eye", "visit", "age", "sex"] {
        let right = |figures: &Value, photographs: f64| figures["accuracy"]["value"].as_f64().unwrap() * photographs;
        let all = right(&json["figures"], 48.0);
        let sum = groups(column).values().map(|group| right(&group["figures"], group["photographs"].as_f64().unwrap()));
        assert_abs_diff_eq!(sum.sum::<f64>(), all, epsilon = 1e-9);
        let photographs = groups(column).values().map(|group| group["photographs"].as_u64().unwrap()).sum::<u64>();
        assert_eq!(photographs, 48);
    }
    let printed = text(&succeed(folder, &with(&by)).stdout);
    assert!(printed.contains("By age, a column of test.csv, its numbers cut into 4 bands"), "{printed}");
    let flipped = text(&succeed(folder, &with(&[&by[..4], &["--tta"]].concat())).stdout);
    assert!(flipped.contains("means over 4 views"), "{flipped}");
}
