//! Messages of the program: as JSON objects, in colours, left out; and results as JSON.

use ocellus::app::config::Config;
use ocellus::app::train::{files, history};
use serde_json::{Value, json};

use crate::common::program::{files_in, ocellus, photographs, succeed, text, train};

/// Objects on standard error, a line each.
fn objects(stderr: &[u8]) -> Vec<Value> {
    text(stderr).lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["event"] == kind).collect()
}

#[test]
fn a_run_is_logged_as_objects() {
    let folder = photographs();
    let line = train(&["--epochs", "2", "--device", "cpu", "--log-format", "json"]);
    let output = succeed(folder.path(), &line);
    assert_eq!(text(&output.stdout), "");
    let log = objects(&output.stderr);
    let time = |object: &Value| object["time"].as_str().unwrap().to_string();
    assert!(log.iter().all(|object| time(object).len() == 24 && object["level"].is_string()), "{log:?}");
    assert!(log.is_sorted_by_key(time));

    let [started] = of_kind(&log, "run_started")[..] else { panic!("{log:?}") };
    let images = ["train", "val", "test"].map(|split| started["images"][split].as_u64().unwrap());
    assert_eq!(images.iter().sum::<u64>(), 48);
    assert_eq!((&started["epochs"], &started["epochs_done"], &started["batch"]), (&2.into(), &0.into(), &6.into()));
    assert_eq!(started["version"], env!("CARGO_PKG_VERSION"));
    assert!(started["device"].as_str().unwrap().contains("f64"), "{started}");
    assert!(folder.path().join(started["config"].as_str().unwrap()).is_file());

    let steps = of_kind(&log, "step");
    let last: Vec<&&Value> = steps.iter().filter(|step| step["step"] == step["steps"]).collect();
    assert_eq!(last.iter().map(|step| step["epoch"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    let epochs = of_kind(&log, "epoch");
    let records = history::read(&folder.path().join("run").join(files::HISTORY)).unwrap();
    assert_eq!(epochs.len(), records.len());
    for ((epoch, record), last) in epochs.iter().zip(&records).zip(last) {
        for (column, value) in record.to_json().as_object().unwrap() {
            let [logged, kept] = [&epoch[column], value].map(|value| value.as_f64().unwrap());
            assert!((logged - kept).abs() <= 1e-15 * kept.abs(), "{column}: {logged} for {kept}");
        }
        for column in ["loss", "accuracy"] {
            assert_eq!(last[column], epoch[column], "{column}");
        }
        assert!(last["images_per_second"].is_f64() && last["data_wait"].is_f64(), "{last}");
    }
    let ended = log.last().unwrap();
    assert_eq!((&ended["event"], &ended["run"]), (&"run_ended".into(), &"run".into()));
    assert!((1..=2).contains(&ended["best_epoch"].as_u64().unwrap()));
    assert!(folder.path().join(ended["report"].as_str().unwrap()).is_file());
    assert!(of_kind(&log, "note").iter().any(|note| note["message"] == "Run: run"), "{log:?}");
}

#[test]
fn faults_are_objects_too() {
    let folder = photographs();
    let log = |more: &[&str]| {
        let line = ["train", "--data", "data", "--width", "0.03", "--device", "cpu", "--log-format", "json"];
        let line = [&line, more].concat();
        let output = ocellus(folder.path()).args(line).output().unwrap();
        assert_eq!(text(&output.stdout), "");
        (output.status.code(), objects(&output.stderr))
    };
    let few = ["--batch", "100", "--image-size", "32"];
    for (more, words) in [(&few[..], "fewer than a batch of 100"), (&["--epochs", "many"], "'many'")] {
        let (status, log) = log(more);
        let error = log.last().unwrap();
        assert_eq!((status, &error["exit_status"]), (Some(2), &2.into()), "{error}");
        assert_eq!((&error["level"], &error["event"]), (&"error".into(), &"error".into()));
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
    }
    // The same photograph with several labels.
    let images = folder.path().join("data/img");
    let names = files_in(&images);
    for name in &names[1..] {
        std::fs::copy(images.join(&names[0]), images.join(name)).unwrap();
    }
    let (status, log) = log(&["--epochs", "1", "--batch", "6", "--image-size", "32"]);
    assert_eq!(status, Some(0));
    let warnings = of_kind(&log, "warning");
    assert!(!warnings.is_empty() && warnings.iter().all(|one| one["level"] == "warning"), "{log:?}");
    assert!(!warnings[0]["message"].as_str().unwrap().starts_with("warning"), "{log:?}");
}

#[test]
fn a_quiet_run_says_nothing_of_its_epochs() {
    let folder = photographs();
    let output = succeed(folder.path(), &[&["-q"], &train(&["--epochs", "1", "--device", "cpu"])[..]].concat());
    assert_eq!(text(&output.stderr), "");
    assert!(text(&output.stdout).contains("precision"));
}

#[test]
fn colours_are_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let stderr = |line: &[&str], environment: &[(&str, &str)]| {
        let output = ocellus(folder.path()).args(line).envs(environment.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{line:?}");
        text(&output.stderr)
    };
    let coloured = "\x1b[1m\x1b[31merror:\x1b[0m ";
    // An error of the program's own, and one of its command line.
    for line in [&["summary", "nowhere"][..], &["train", "--epochs", "many"]] {
        let always = [&["--color", "always"], line].concat();
        assert!(stderr(&always, &[("NO_COLOR", "1")]).starts_with(coloured), "{line:?}");
        for environment in [&[][..], &[("NO_COLOR", "1")]] {
            assert!(stderr(line, environment).starts_with("error: "), "{line:?} {environment:?}");
        }
        // A forced colour gives way to one that is named.
        let forced = [("CLICOLOR_FORCE", "1")];
        assert!(stderr(line, &forced).starts_with(coloured), "{line:?}");
        assert!(stderr(&[line, &["--color=never"]].concat(), &forced).starts_with("error: "), "{line:?}");
    }
    let help = |when: &str| text(&succeed(folder.path(), &["train", "--help", "--color", when]).stdout);
    assert!(help("always").contains('\x1b') && !help("never").contains('\x1b'));
    assert!(stderr(&["summary", "--color", "sometimes"], &[]).contains("[possible values: auto, always, never]"));
}

#[test]
fn the_printed_settings_give_the_same_run() {
    let folder = photographs();
    let print = |line: &[&str]| text(&succeed(folder.path(), &[line, &["--print-config"]].concat()).stdout);
    let options =
        ["train", "--data", "data", "--lr", "0.01", "--freeze", "conv1", "--clip-norm", "2", "--patience", "4"];
    for line in [&["train"][..], &options] {
        let printed = print(line);
        std::fs::write(folder.path().join("printed.toml"), &printed).unwrap();
        assert_eq!(print(&["train", "--config", "printed.toml"]), printed);
        let config = Config::load(&folder.path().join("printed.toml")).unwrap();
        match line.len() {
            1 => assert_eq!((config.data, config.batch), (None, 16), "the built-in set has settings of its own"),
            _ => assert_eq!((config.lr, config.clip_norm, config.freeze.len()), (0.01, Some(2.0), 1)),
        }
    }
    assert!(!folder.path().join("runs").exists());

    // Of a run: the same file with comments.
    let again = train(&["--epochs", "1", "--device", "cpu"]);
    succeed(folder.path(), &again);
    let recorded = Config::load(&folder.path().join("run").join(files::CONFIG)).unwrap();
    std::fs::write(folder.path().join("printed.toml"), print(&["train", "--config", "run/config.toml", "--out", "b"]))
        .unwrap();
    let read = Config::load(&folder.path().join("printed.toml")).unwrap();
    assert_eq!(Config { out: recorded.out.clone(), ..read }, recorded);
    let schema = succeed(folder.path(), &["train", "--print-config-schema"]).stdout;
    assert_eq!(&serde_json::from_slice::<Value>(&schema).unwrap(), ocellus::app::config::keys::schema());
}

#[test]
fn results_are_printed_as_json() {
    let folder = photographs();
    let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    let prepared = parse(&succeed(folder.path(), &["prepare", "data", "--json"]).stdout);
    assert_eq!(prepared["made"].as_array().unwrap().len(), 4);
    let counts =
        prepared["classes"].as_object().unwrap().values().flat_map(|class| class.as_object().unwrap().values());
    assert_eq!(counts.map(|count| count.as_u64().unwrap()).sum::<u64>(), 48);
    let again = parse(&succeed(folder.path(), &["prepare", "data", "--json"]).stdout);
    assert_eq!((&again["made"], &again["classes"]), (&json!([]), &prepared["classes"]));

    let checked = parse(&succeed(folder.path(), &["check-data", "data", "--json"]).stdout);
    assert_eq!(checked, json!({ "data": "data", "faults": [], "warnings": [] }));
    let images = folder.path().join("data/img");
    let name = &files_in(&images)[0];
    std::fs::write(images.join(name), "no picture").unwrap();
    let output = ocellus(folder.path()).args(["check-data", "data", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let faults = &parse(&output.stdout)["faults"];
    assert!(faults.as_array().unwrap().len() == 1 && faults[0].as_str().unwrap().contains(name), "{faults}");
    assert!(text(&output.stderr).contains("1 fault"), "{}", text(&output.stderr));

    let summary = parse(&succeed(folder.path(), &["summary", "--network", "residual", "--json"]).stdout);
    let layers = summary["layers"].as_array().unwrap();
    let sum = |key: &str| layers.iter().map(|layer| layer[key].as_u64().unwrap()).sum::<u64>();
    for key in ["trainable_params", "non_trainable_params"] {
        assert!(sum(key) > 0 && summary[key] == sum(key), "{key}");
    }
    let add = layers.iter().find(|layer| layer["type"] == "add").expect("a residual network adds");
    assert_eq!(add["inputs"].as_array().unwrap().len(), 2);
    assert_eq!((&layers[0]["inputs"], &summary["image_size"]["height"]), (&json!(["input"]), &224.into()));
}
