//! The program as its users meet it: exit statuses, messages, and the files that a run leaves behind.

use approx::assert_abs_diff_eq;
use std::path::{Path, PathBuf};

use crate::common::program::{
    CACHE, SMALL, device, files_in, messages, ocellus, photographs, refuse, succeed, text, train,
};
use ocellus::app::checkpoint;
use ocellus::app::train::files;
use ocellus::files::LOCK;

#[test]
fn unknown_devices_are_refused_before_anything_is_written() {
    let folder = photographs();
    for data in [&["--data", "data"][..], &[]] {
        for (device, word) in [("no such device", "'no such device'"), ("99", "no device 99"), ("", "empty")] {
            let arguments = [&["train", "--out", "run", "--device", device], data].concat();
            // Without any adapter the message is another one, but it is a message.
            let adapters = succeed(folder.path(), &["devices", "--json"]).stdout;
            let words = if text(&adapters).contains("\"index\"") { vec![word] } else { vec!["--device cpu"] };
            refuse(folder.path(), &arguments, &words);
        }
    }
    assert_eq!(files_in(folder.path()), ["data"]);
    assert_eq!(files_in(&folder.path().join("data")), ["data.csv", "img"]);
}

/// The variable is the likely cause, and a driver that is to be installed would be none.
#[test]
fn variables_that_leave_no_device_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for (variable, value) in [("WGPU_BACKEND", "gl"), ("WGPU_BACKEND", "no such backend")] {
        for (arguments, wanted) in [(&["devices"][..], 0), (&["tune"], 2), (&["doctor", "--all"], 2)] {
            let output = ocellus(folder.path()).env(variable, value).args(arguments).output().unwrap();
            let printed = text(&output.stdout) + &text(&output.stderr);
            assert_eq!(output.status.code(), Some(wanted), "{printed}");
            assert!(printed.contains(&format!("{variable}={value}")) && printed.contains("--device cpu"), "{printed}");
        }
    }
}

#[test]
fn folders_that_are_not_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let train = ["train", "--data", "nowhere", "--device", "cpu"];
    for arguments in
        [&train[..], &["prepare", "nowhere"], &["check-data", "nowhere"], &["evaluate", "nowhere", "--data", "."]]
    {
        refuse(folder.path(), arguments, &["nowhere", "no such f"]);
    }
    refuse(folder.path(), &["predict", "nowhere", "image.jpg"], &["nowhere", "no such file"]);
    refuse(folder.path(), &["prepare", "."], &["neither", "data.csv"]);
    assert!(files_in(folder.path()).is_empty());
}

#[test]
fn a_missing_column_is_named_with_its_file() {
    let folder = photographs();
    let table = folder.path().join("data/data.csv");
    let whole = std::fs::read_to_string(&table).unwrap();
    std::fs::write(&table, whole.replacen("Gla", "Glaucoma", 1)).unwrap();
    refuse(folder.path(), &train(&["--device", "cpu"]), &["data.csv:1", "no column `Gla`"]);
    assert_eq!(files_in(&folder.path().join("data")), ["data.csv", "img"]);
    assert_eq!(files_in(folder.path()), ["data"]);
}

/// Prepares the photographs, and gives the path of the one in a line of train.csv.
fn prepared(folder: &Path, line: usize) -> PathBuf {
    succeed(folder, &["prepare", "data"]);
    let table = std::fs::read_to_string(folder.join("data/train.csv")).unwrap();
    let name = table.lines().nth(line - 1).unwrap().split(',').next().unwrap();
    folder.join("data/img").join(name)
}

#[test]
fn a_missing_image_is_named_with_its_line() {
    let folder = photographs();
    let image = prepared(folder.path(), 4);
    std::fs::remove_file(&image).unwrap();
    let name = image.file_name().unwrap().to_str().unwrap();
    refuse(folder.path(), &train(&["--device", "cpu"]), &["train.csv:4", "no image file", name]);
    refuse(folder.path(), &["check-data", "data"], &["1 fault"]);
    assert_eq!(files_in(folder.path()), ["data"]);
}

/// In each split, the one that is tested at the end as well: before any training, and before the run's folder is made.
#[test]
fn a_damaged_image_of_any_split_is_named_before_training() {
    let folder = photographs();
    succeed(folder.path(), &["prepare", "data"]);
    for split in ["train", "val", "test"] {
        let table = std::fs::read_to_string(folder.path().join(format!("data/{split}.csv"))).unwrap();
        let name = table.lines().nth(2).unwrap().split(',').next().unwrap();
        let image = folder.path().join("data/img").join(name);
        let bytes = std::fs::read(&image).unwrap();
        std::fs::write(&image, &bytes[..bytes.len() - 40]).unwrap();
        refuse(folder.path(), &train(&["--device", "cpu"]), &[&format!("{split}.csv:3"), name]);
        assert_eq!(files_in(folder.path()), ["data"]);
        std::fs::write(&image, &bytes).unwrap();
    }
}

#[test]
fn a_truncated_image_is_named_with_its_line() {
    let folder = photographs();
    let image = prepared(folder.path(), 3);
    let bytes = std::fs::read(&image).unwrap();
    std::fs::write(&image, &bytes[..bytes.len() / 2]).unwrap();
    let name = image.file_name().unwrap().to_str().unwrap();
    refuse(folder.path(), &train(&["--device", "cpu"]), &["train.csv:3", name]);
    assert_eq!(files_in(folder.path()), ["data"]);
    let output = ocellus(folder.path()).args(["check-data", "data"]).output().unwrap();
    assert!(messages(&output.stdout).contains(&format!("train.csv:3: data/img/{name}")));
}

#[test]
fn settings_that_cannot_be_used_are_refused() {
    let folder = photographs();
    std::fs::write(folder.path().join("unknown.toml"), "seed = 1\nepochz = 3\n").unwrap();
    std::fs::write(folder.path().join("wrong.toml"), "epochs = \"many\"\n").unwrap();
    refuse(folder.path(), &train(&["--config", "unknown.toml"]), &["unknown.toml:2", "epochz"]);
    refuse(folder.path(), &train(&["--config", "wrong.toml"]), &["wrong.toml:1", "\"many\""]);
    refuse(folder.path(), &train(&["--config", "none.toml"]), &["none.toml"]);
    refuse(folder.path(), &["train", "--data", "data", "--image-size", "16"], &["image_size is 16", "at least 32"]);
    refuse(folder.path(), &["train", "--data", "data", "--epochs", "many"], &["many", "--epochs"]);
    // More images a batch than there are: found out late, and still nothing is left behind.
    let arguments = ["train", "--data", "data", "--out", "run", "--batch", "100", "--device", "cpu"];
    refuse(folder.path(), &arguments, &["fewer than a batch of 100"]);
    assert!(!folder.path().join("run").exists());
}

#[test]
fn a_folder_that_holds_a_run_is_not_overwritten() {
    let folder = photographs();
    let run = folder.path().join("run");
    for file in [files::CONFIG, files::STATE, files::BEST] {
        std::fs::create_dir(&run).unwrap();
        std::fs::write(run.join(file), "mine").unwrap();
        let words =
            if file == files::CONFIG { ["run/config.toml", "--out"] } else { ["already holds a run", "--resume"] };
        refuse(folder.path(), &train(&[]), &words);
        assert_eq!(files_in(&run), [file]);
        assert_eq!(std::fs::read_to_string(run.join(file)).unwrap(), "mine");
        std::fs::remove_dir_all(&run).unwrap();
    }
    refuse(folder.path(), &["synth", "data"], &["data", "not empty"]);
}

#[test]
fn there_is_nothing_to_resume_without_a_state() {
    let folder = photographs();
    refuse(folder.path(), &["train", "--resume", "nowhere"], &["nowhere", "no such folder"]);
    refuse(folder.path(), &["train", "--resume", "data"], &["data", "nothing to resume"]);
    std::fs::write(folder.path().join("data").join(files::CONFIG), "epochs = 3\n").unwrap();
    refuse(folder.path(), &["train", "--resume", "data"], &["data", files::STATE, "nothing to resume"]);
}

/// A driver that cannot be loaded stands for a machine without one: the plan needs no device.
#[test]
fn budgets_of_memory_are_kept_or_refused() {
    let folder = photographs();
    let output = ocellus(folder.path()).args(["plan", "--memory-budget", "100"]).output().unwrap();
    let message = text(&output.stderr);
    let least = message.split(" MiB is the least").next().unwrap().rsplit(' ').next().unwrap();
    let output = succeed(folder.path(), &["plan", "--json", "--memory-budget", least]);
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let bytes = plan["bytes"]["total"].as_u64().unwrap();
    assert!(bytes <= least.parse::<u64>().unwrap() << 20, "{bytes} bytes in {least} MiB");
    for command in [&["plan"][..], &["train", "--data", "data", "--out", "run", "--device", "cpu"]] {
        let arguments = [command, &SMALL, &["--memory-budget", "1"]].concat();
        refuse(folder.path(), &arguments, &["budget of 1 MiB is too small", "MiB is the least", "--batch"]);
    }
    assert!(!folder.path().join("run").exists());
    refuse(folder.path(), &train(&["--memory-budget", "0", "--device", "cpu"]), &["memory_budget is 0"]);
}

#[test]
fn plans_are_printed_without_a_device() {
    let folder = tempfile::tempdir().unwrap();
    let plan = |arguments: &[&str]| {
        let mut command = ocellus(folder.path());
        command.env("VK_ICD_FILENAMES", "none.json").env("VK_DRIVER_FILES", "none.json").env("WGPU_BACKEND", "gl");
        let output = command.arg("plan").args(arguments).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let table = plan(&[]);
    assert!(table.contains("18364872"), "all parameters and moving statistics");
    assert!(table.contains("32 images a step, in 2 window(s)"));
    assert!(table.contains("MiB at the peak") && table.contains("weights and optimiser") && table.contains("GFLOP"));

    let json: serde_json::Value = serde_json::from_str(&plan(&["--json", "--batch", "2", "--inference"])).unwrap();
    let parameters: u64 =
        json["layers"].as_array().unwrap().iter().map(|layer| layer["parameters"].as_u64().unwrap()).sum();
    assert_eq!((json["batch"].as_u64(), parameters), (Some(2), 18_364_872));
    let bytes = &json["bytes"];
    let sum: u64 = ["persistent", "kept", "slots"].iter().map(|part| bytes[part].as_u64().unwrap()).sum();
    assert!(sum > 4 * parameters && bytes["total"].as_u64() == Some(sum));
}

#[test]
fn plans_of_impossible_sizes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, words) in [
        (["--classes", "0"], ["classes", "at least 1"]),
        (["--batch", "0"], ["batch is 0", "at least 1"]),
        (["--batch", "100000000000"], ["8 GiB", "--batch"]),
        (["--width", "-1"], ["width is -1", "above 0"]),
        (["--width", "1e6"], ["8 GiB", "--width"]),
        (["--width", "1e300"], ["8 GiB", "--width"]),
        (["--image-size", "100000"], ["8 GiB", "--image-size"]),
        (["--classes", "18446744073709551615"], ["8 GiB", "lower --classes"]),
        (["--classes", "2000000000"], ["dense2.kernel", "--width or --classes"]),
    ] {
        let [option, value] = arguments;
        refuse(folder.path(), &["plan", &format!("{option}={value}")], &words);
    }
}

/// Files of a report, in the order of their names.
const REPORTED: [&str; 8] = [
    files::CONFUSION_PLOT,
    files::PR_PLOT,
    files::PREDICTIONS,
    files::RELIABILITY_PLOT,
    files::PAGE,
    files::REPORT_JSON,
    files::REPORT,
    files::ROC_PLOT,
];

/// Every file of a run's folder once it is over, in the order of their names.
fn of_a_run() -> Vec<&'static str> {
    let own = [LOCK, files::BEST, files::CARD, files::CONFIG, files::HISTORY, files::HISTORY_PLOT, files::STATE];
    let mut all = [&own[..], &REPORTED].concat();
    all.sort_unstable();
    all
}

fn is_png(path: &Path) -> bool {
    std::fs::read(path).unwrap().starts_with(b"\x89PNG")
}

#[test]
fn from_drawn_photographs_to_predictions() {
    let (temporary, device) = (tempfile::tempdir().unwrap(), device());
    let folder = temporary.path();
    succeed(folder, &["synth", "data", "--images", "48", "--size", "32", "--seed", "1"]);
    let table = text(&succeed(folder, &["prepare", "data"]).stdout);
    assert!(table.contains("train") && table.lines().last().unwrap().trim_end().ends_with("48"), "{table}");
    let output = succeed(folder, &train(&["--epochs", "2", "--device", &device]));

    let run = folder.join("run");
    assert_eq!(files_in(&run), of_a_run());
    let history = std::fs::read_to_string(run.join(files::HISTORY)).unwrap();
    let rows: Vec<&str> = history.lines().collect();
    assert_eq!(rows[0], "epoch,loss,accuracy,val_loss,val_accuracy,lr,seconds,images_per_second,data_wait");
    assert!(rows.len() == 3 && rows[1].starts_with("1,") && rows[2].starts_with("2,"), "{history}");
    assert!(is_png(&run.join(files::HISTORY_PLOT)) && is_png(&run.join(files::CONFUSION_PLOT)));
    let report = std::fs::read_to_string(run.join(files::REPORT)).unwrap();
    assert!(report.contains("precision") && report.contains("macro avg"));
    assert!(text(&output.stdout).contains(&report), "the report is printed, too");
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(run.join(files::REPORT_JSON)).unwrap()).unwrap();
    assert!(json["weighted avg"]["f1-score"].is_number());
    reported(&run, &json);
    assert!(std::fs::read_to_string(run.join(files::CONFIG)).unwrap().contains("image_size = 32"));
    let (_, metadata) = checkpoint::load(&run.join(files::STATE)).unwrap();
    assert_eq!((metadata.epoch, metadata.classes.len()), (2, 8));

    // The same weights, the same photographs: the same report.
    let evaluate = ["evaluate", "run", "--data", "data", "--out", "again", "--device", &device];
    assert_eq!(text(&succeed(folder, &evaluate).stdout), report);
    let again = folder.join("again");
    assert_eq!(files_in(&again), REPORTED);
    for file in REPORTED {
        assert!(std::fs::read(again.join(file)).unwrap() == std::fs::read(run.join(file)).unwrap(), "{file}");
    }
    predictions(folder, &metadata.classes, &device);
    chosen_on_val(folder, &device);
}

/// The figures of a run's report, against its table of predictions.
fn reported(run: &Path, json: &serde_json::Value) {
    let table = std::fs::read_to_string(run.join(files::PREDICTIONS)).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0][..4], ["filename", "id", "label", "predicted"]);
    let right = rows[1..].iter().filter(|row| row[2] == row[3]).count() as f64;
    let accuracy = &json["figures"]["accuracy"];
    assert_abs_diff_eq!(accuracy["value"].as_f64().unwrap(), right / (rows.len() - 1) as f64, epsilon = 1e-12);
    assert_eq!(json["accuracy"], accuracy["value"]);
    let [low, high] = [0, 1].map(|end| accuracy["interval"][end].as_f64().unwrap());
    assert!(low <= right / (rows.len() - 1) as f64 && right / (rows.len() - 1) as f64 <= high, "{low} {high}");
    let sensitivity = |class: &str| json["figures"]["classes"][class]["sensitivity"]["value"].as_f64();
    assert_eq!(sensitivity("Normal"), json["Normal"]["recall"].as_f64());
    assert!([files::ROC_PLOT, files::PR_PLOT, files::RELIABILITY_PLOT].iter().all(|file| is_png(&run.join(file))));
}

/// A temperature and thresholds: chosen on val, kept with the weights, used on other photographs.
fn chosen_on_val(folder: &Path, device: &str) {
    let predicted = || {
        let csv = succeed(folder, &["predict", "run", "data/img", "--format", "csv", "--device", device]);
        let rows = text(&csv.stdout);
        rows.lines().map(|line| line.split(',').map(String::from).collect()).collect::<Vec<Vec<String>>>()
    };
    let on = |command: &[&'static str], split: &'static str| {
        [command, &["run", "--data", "data", "--split", split]].concat()
    };
    let before = predicted();
    // Two epochs teach nothing: labels of which seven in eight are what the network predicts.
    let label = |(index, row): (usize, &Vec<String>)| {
        let (file, other) = (row[0].strip_prefix("data/img/").unwrap(), if row[1] == "RD" { "RP" } else { "RD" });
        format!("{file},{index},{}\n", if index % 8 == 0 { other } else { &row[1] })
    };
    let rows: String = before[1..].iter().enumerate().map(label).collect();
    std::fs::create_dir(folder.join("tables")).unwrap();
    std::fs::write(folder.join("tables/val.csv"), format!("filename,id,label\n{rows}")).unwrap();
    for command in [&["calibrate"][..], &["evaluate", "--at-specificity", "0.5"]] {
        refuse(folder, &on(command, "test"), &["never", "--split val"]);
    }
    let with_device = |arguments: Vec<&'static str>| [arguments, vec!["--device", device]].concat();
    let of_val = |command| [with_device(on(command, "val")), vec!["--tables", "tables"]].concat();
    let fitted = text(&succeed(folder, &of_val(&["calibrate"])).stdout);
    assert!(fitted.starts_with("temperature "), "{fitted}");
    let after = predicted();
    assert!(before.iter().zip(&after).all(|(a, b)| a[..2] == b[..2]), "a temperature changes no class");
    assert_ne!(before[1][2..], after[1][2..]);

    succeed(folder, &of_val(&["evaluate", "--at-specificity", "0.5"]));
    let rows = predicted();
    assert_eq!(rows[0].last().unwrap(), "positive");
    assert!(rows[1..].iter().any(|row| !row.last().unwrap().is_empty()));
    let report = text(&succeed(folder, &with_device(on(&["evaluate"], "test"))).stdout);
    assert!(report.contains("chosen for specificity 0.5") && report.contains("a temperature of"), "{report}");
}

/// The three formats say the same of the same photographs.
fn predictions(folder: &Path, classes: &[String], device: &str) {
    let predict = |format: &str| {
        let arguments = ["predict", "run", "data/img", "--format", format, "--device", device, "--batch", "7"];
        text(&succeed(folder, &arguments).stdout)
    };
    let json: serde_json::Value = serde_json::from_str(&predict("json")).unwrap();
    let entries = json.as_array().unwrap();
    let csv = predict("csv");
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(
        rows[0],
        [&["filename", "predicted"], &classes.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat()
    );
    let table = predict("table");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!([entries.len(), rows.len() - 1, lines.len() - 1], [48; 3]);
    for ((entry, row), line) in entries.iter().zip(&rows[1..]).zip(&lines[1..]) {
        let probabilities: Vec<f64> = row[2..].iter().map(|cell| cell.parse().unwrap()).collect();
        assert_abs_diff_eq!(probabilities.iter().sum::<f64>(), 1.0, epsilon = 1e-5);
        let top = (0..classes.len()).max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b])).unwrap();
        assert_eq!(row[1], classes[top]);
        assert_eq!(entry["predicted"], row[1]);
        assert_eq!(entry["filename"], row[0]);
        let named = &entry["probabilities"][&classes[top]];
        assert_abs_diff_eq!(named.as_f64().unwrap(), probabilities[top], epsilon = 1e-6);
        assert!(line.starts_with(row[0]) && line.ends_with(row[1]), "{line}");
    }
}

/// The first Ctrl-C saves the state, and the run goes on from it. That it ends with the same bits: tests/trainer.rs.
#[cfg(unix)]
#[test]
fn ctrl_c_saves_a_state_that_resumes() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let (temporary, device) = (photographs(), device());
    let folder = temporary.path();
    let mut running = Command::new(assert_cmd::cargo::cargo_bin!("ocellus"))
        .current_dir(folder)
        .env("OCELLUS_CACHE", CACHE)
        .args(train(&["--epochs", "1000", "--device", &device]))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(running.stderr.take().unwrap()).lines().map_while(Result::ok);
    // The handler is in place once the second epoch has begun.
    stderr.find(|line| line.starts_with("Epoch 2/")).expect("the second epoch");
    let sent = Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let rest: Vec<String> = stderr.collect();
    assert_eq!(running.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("saving the state")), "{rest:?}");

    let state = folder.join("run").join(files::STATE);
    let (_, metadata) = checkpoint::load(&state).unwrap();
    let epochs = metadata.epoch + 2;
    assert!(metadata.epoch >= 1 && metadata.training.unwrap().history.len() == metadata.epoch);

    let arguments = ["train", "--resume", "run", "--device", &device, "--epochs", &epochs.to_string()];
    succeed(folder, &arguments);
    assert_eq!(files_in(&folder.join("run")), of_a_run());
    let (_, metadata) = checkpoint::load(&state).unwrap();
    assert_eq!(metadata.epoch, epochs);
    let history = std::fs::read_to_string(folder.join("run").join(files::HISTORY)).unwrap();
    assert_eq!(history.lines().count(), 1 + epochs);
}

/// Exit statuses of the doctor, with and without a device: 0, 1 for what is wrong, 2 for what cannot be asked.
#[test]
fn the_doctor_tells_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let gradients = text(&succeed(folder.path(), &["doctor", "--gradients"]).stdout);
    assert!(
        gradients.contains("a residual network with its loss") && gradients.contains("Everything passed"),
        "{gradients}"
    );

    refuse(folder.path(), &["doctor", "--device", "cpu"], &["choose another --device"]);
    refuse(folder.path(), &["doctor", "--golden", "none", "--device", "cpu"], &["none", "no such folder"]);
    refuse(folder.path(), &["doctor", "--golden", ".", "--device", "cpu"], &["no set of golden files", "no ops.json"]);
    refuse(folder.path(), &["doctor", "--width", "nan"], &["width is NaN"]);

    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::fs::copy(golden.join("callbacks.json"), folder.path().join("callbacks.json")).unwrap();
    let arguments = ["doctor", "--golden", ".", "--device", "cpu", "--json"];
    let report: serde_json::Value = serde_json::from_slice(&succeed(folder.path(), &arguments).stdout).unwrap();
    assert_eq!((&report[0]["passed"], &report[0]["rows"][0]["comparisons"]), (&true.into(), &10.into()));
    assert!(report[0]["notes"].to_string().contains("ops not checked: no ops.json, no ops.safetensors"), "{report}");

    let text_of_file = std::fs::read_to_string(golden.join("callbacks.json")).unwrap();
    let mut changed: serde_json::Value = serde_json::from_str(&text_of_file).unwrap();
    changed["cases"][0]["epochs_run"] = 13.into();
    std::fs::write(folder.path().join("callbacks.json"), changed.to_string()).unwrap();
    let output = ocellus(folder.path()).args(&arguments[..5]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("golden callbacks: always improving: "), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("checks failed on the f64 CPU reference"), "{}", text(&output.stderr));
}

#[test]
fn the_doctor_proves_a_device() {
    let folder = tempfile::tempdir().unwrap();
    let output = text(&succeed(folder.path(), &["doctor", "--bisect", "--device", &device()]).stdout);
    assert!(output.contains("No kernel differs from its twin"), "{output}");
}
