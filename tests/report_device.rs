//! `ocellus report-device`: one file, and a row for the table of devices.

use serde_json::{Value, json};

use crate::common::program::{files_in, refuse, succeed, text};

#[test]
fn one_file_holds_adapter_doctor_tuning_and_times() {
    let folder = tempfile::tempdir().unwrap();
    let command = ["report-device", "--out", "gpu.json", "--image-size", "32,32x40", "--width", "0.05", "--batch", "2"];
    let printed = text(&succeed(folder.path(), &command).stdout);
    let file: Value = serde_json::from_slice(&std::fs::read(folder.path().join("gpu.json")).unwrap()).unwrap();
    assert_eq!(file["ocellus"], env!("CARGO_PKG_VERSION"));
    let name = file["adapter"]["name"].as_str().unwrap();
    assert!(printed.contains(name) && printed.contains("| passed |"), "{printed}");
    assert_eq!(file["doctor"]["passed"], true);
    let rows = file["doctor"]["rows"].as_array().unwrap();
    assert!(rows.len() > 50 && rows.iter().all(|row| row["worst"].as_f64().unwrap() <= 1.0), "{}", rows.len());
    let steps = file["steps"].as_array().unwrap();
    let sizes: Vec<&Value> = steps.iter().map(|step| &step["profile"]["image_size"]).collect();
    assert_eq!(sizes, [&json!(32), &json!("32x40")]);
    assert!(printed.contains(" 32/2: ") && printed.contains(" 32x40/2: "), "{printed}");
    for step in steps {
        assert!(step["tune"]["tried"].as_array().unwrap().len() > 5, "{}", step["tune"]);
        assert!(step["profile"]["step_seconds"].as_f64().unwrap() > 0.0);
        assert!(step["profile"]["steps"].as_array().unwrap().len() > 50);
    }
}

#[test]
fn the_cpu_reference_is_no_device() {
    let folder = tempfile::tempdir().unwrap();
    refuse(folder.path(), &["report-device", "--device", "cpu"], &["no device to report"]);
    assert!(files_in(folder.path()).is_empty(), "nothing is written");
}
