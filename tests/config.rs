//! Config files: the tutorial's values are the defaults, and mistakes are named with file and line.

use std::path::PathBuf;

use ocellus::app::config::{Config, keys};
use ocellus::app::data::{Fold, Resampling};
use ocellus::app::train::callbacks::Monitor;
use ocellus::engine::plan::Cut;
use ocellus::engine::shader::Replaced;
use ocellus::engine::variant::{Algorithm, Convolutions, Core, Tile, Variant};
use ocellus::network::{Architecture, Template};
use serde_json::Value;
use tempfile::TempDir;

fn load(text: &str) -> Result<Config, String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(&path).map_err(|error| {
        assert_eq!(error.exit_status(), 2);
        let message = error.to_string();
        message
            .strip_prefix(&format!("{}:", path.display()))
            .unwrap_or_else(|| panic!("no file: {message}"))
            .to_string()
    })
}

#[test]
fn an_empty_file_is_the_tutorial() {
    let config = load("").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!((config.epochs, config.batch, config.image_size, config.lr), (300, 32, 224.into(), 1e-3));
    assert_eq!((config.train_resize, config.test_resize), (Resampling::Nearest, Resampling::Lanczos));
    assert_eq!((config.callbacks.reduce_lr.patience, config.callbacks.early_stopping.patience), (3, 5));
    config.validate().unwrap();
}

#[test]
fn what_a_file_says_overrides_only_that() {
    let config =
        load("batch = 8\n[augmentation]\nzoom = 0.2\n[callbacks.early_stopping]\nmonitor = \"val_loss\"").unwrap();
    let mut expected = Config { batch: 8, ..Config::default() };
    expected.augmentation.zoom = 0.2;
    expected.callbacks.early_stopping.monitor = Monitor::ValLoss;
    assert_eq!(config, expected);
}

#[test]
fn the_resolved_config_reads_back_the_same() {
    let config = Config {
        data: Some(PathBuf::from("a \"b\"/ü")),
        seed: u64::MAX,
        lr: 0.3,
        width: 0.1 + 0.2,
        test_resize: Resampling::Nearest,
        ..Config::default()
    };
    assert_eq!(load(&config.to_toml().unwrap()).unwrap(), config);
    assert_eq!(load(&Config::default().to_toml().unwrap()).unwrap(), Config::default());
}

#[test]
fn the_written_file_shows_the_rate_as_it_was_given() {
    let text = Config::default().to_toml().unwrap();
    assert!(text.contains("\nlr = 0.001\n"), "{text}");
}

#[cfg(unix)]
#[test]
fn a_path_that_toml_cannot_hold_is_refused() {
    let path: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff");
    let config = Config { out: Some(path.into()), ..Config::default() };
    let message = config.to_toml().unwrap_err().to_string();
    assert!(message.starts_with("the config cannot be written as TOML: "), "{message}");
}

#[test]
fn mistakes_are_named_with_their_line() {
    let cases = [
        ("epochs = 3\nbacth = 8\n", "2: unknown field `bacth`"),
        ("\n\n[augmentation]\nzom = 0.1", "4: unknown field `zom`"),
        ("epochs = 3\n\nbatch = \"many\"", "3: invalid type: string \"many\""),
        ("batch = -1", "1: invalid value: integer `-1`"),
        ("lr 0.1", "1: "),
        ("test_resize = \"cubic\"", "1: unknown variant `cubic`, expected `nearest` or `lanczos`"),
        ("# comment\nbatch = 0", "2: batch is 0, and must be at least 1"),
        ("image_size = 31", "1: image_size is 31, and must be at least 32"),
        ("seed = 1\nlr = nan", "2: lr is NaN, and must be above 0 and finite"),
        ("lr = -0.001", "1: lr is -0.001"),
        ("width = inf", "1: width is inf"),
        ("width = 0", "1: width is 0"),
        ("[augmentation]\nwidth_shift = 0.0\nzoom = 1.0", "3: augmentation.zoom is 1, and must be from 0 to 0.9"),
        ("[augmentation]\nrotation = nan", "2: augmentation.rotation is NaN"),
        (
            "[callbacks.reduce_lr]\npatience = 2\n[callbacks.early_stopping]\npatience = 0",
            "4: callbacks.early_stopping.patience is 0, and must be at least 1",
        ),
        ("callbacks.reduce_lr.min_delta = -1.0", "1: callbacks.reduce_lr.min_delta is -1, and must be at least 0"),
    ];
    for (text, expected) in cases {
        let message = load(text).expect_err(text);
        assert!(message.starts_with(expected), "{text:?}: {message}");
    }
}

#[test]
fn overrides_are_checked_as_well() {
    let config = Config { epochs: 0, ..Config::default() };
    assert_eq!(config.validate().unwrap_err().to_string(), "epochs is 0, and must be at least 1");
}

#[test]
fn a_config_carries_a_network_of_its_own() {
    let own = Architecture::Own(Template::preset("residual").unwrap());
    let config = Config { network: own.clone(), ..Config::default() };
    let text = config.to_toml().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &text).unwrap();
    assert_eq!(Config::load(file.path()).unwrap().network, own, "{text}");
    assert_ne!(own.to_string(), Architecture::Own(Template::tutorial()).to_string());
}

#[test]
fn unknown_names_are_refused_with_the_known_ones() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "seed = 1\nnetwork = \"resnet\"\n").unwrap();
    let message = Config::load(file.path()).unwrap_err().to_string();
    assert!(message.contains(":2: ") && message.contains("the presets are tutorial, residual"), "{message}");
    let message = Architecture::read("resnet", 64.into()).unwrap_err().to_string();
    assert!(message.contains("\"resnet\"") && message.contains("no such file"), "{message}");
}

/// A value for every key.
fn full() -> Config {
    let measured = [("3x3 of 8".to_string(), Algorithm::Winograd(Tile::Four))].into_iter().collect();
    Config {
        data: Some("a \"b\"/ü # [c]".into()),
        tables: Some("two\nlines".into()),
        fold: Some(Fold { number: 2, of: Some(5) }),
        out: Some("out".into()),
        tensorboard: Some("events".into()),
        seed: u64::MAX >> 1,
        network: Architecture::Own(Template::preset("residual").unwrap()),
        image_size: "72x56".parse().unwrap(),
        lr: 0.3,
        clip_norm: Some(1.5),
        freeze: vec!["conv1..bn3".into(), "dense1".into()],
        init: Some("weights".into()),
        memory_budget: Some(900),
        kernels: Some(Variant {
            core: Core::Subgroup { lanes: 8 },
            texel_reads: Some(4096),
            convolutions: Convolutions::Measured(measured),
            ..Variant::default()
        }),
        cut: Some(Cut { binding_bytes: 1 << 27, dispatch_flops: Some(1 << 30), shares: Some(2) }),
        shaders: Some(Replaced { folder: "own".into(), files: vec!["a.wgsl".into()], hash: Some("00".into()) }),
        ..Config::default()
    }
}

#[test]
fn a_config_with_comments_reads_back_the_same() {
    let partly = Config { kernels: Some(Variant::default()), seed: 7, ..Config::default() };
    for config in [Config::default(), partly, full()] {
        let text = keys::annotated(&config).unwrap();
        assert_eq!(load(&text).expect(&text), config, "{text}");
        assert!(text.lines().all(|line| !line.starts_with('#') || line.chars().count() <= 100), "{text}");
    }
}

/// Calls `each` with the path and the schema of every key of the config.
fn every_key(each: &mut impl FnMut(&str, &'static Value)) {
    fn walk(path: &str, schema: &'static Value, each: &mut impl FnMut(&str, &'static Value)) {
        let Some(properties) = resolved(schema)["properties"].as_object() else { return };
        for (key, schema) in properties {
            let path = format!("{path}{key}");
            each(&path, schema);
            walk(&format!("{path}."), schema, each);
        }
    }
    walk("", keys::schema(), each);
}

fn resolved(schema: &'static Value) -> &'static Value {
    let reference = schema["$ref"].as_str().map(|path| path.trim_start_matches('#'));
    reference.map_or(schema, |path| keys::schema().pointer(path).unwrap())
}

#[test]
fn every_key_has_a_meaning_and_a_comment() {
    let (text, mut count) = (keys::annotated(&Config::default()).unwrap(), 0);
    let words = |text: &str| text.replace("\n# ", " ");
    every_key(&mut |path, schema| {
        count += 1;
        let meaning = schema["description"].as_str().unwrap_or_else(|| panic!("no meaning of {path}"));
        let meaning = meaning.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(meaning.len() > 12 && meaning.ends_with(['.', ':']), "{path}: {meaning}");
        assert!(words(&text).contains(&meaning), "{path}: {meaning:?} is no comment");
        let key = path.rsplit('.').next().unwrap();
        let forms = [format!("\n{key} = "), format!("\n# {key} = "), format!("[{path}]\n")];
        assert!(forms.iter().any(|form| text.contains(form)), "{path} is not printed");
    });
    assert!(count > 60, "only {count} keys");
}

/// The faults of a value against a schema, as far as types, keys, choices and alternatives go.
fn against(schema: &'static Value, value: &Value) -> Vec<String> {
    let schema = resolved(schema);
    if let Some(any) = ["anyOf", "oneOf"].iter().find_map(|key| schema[key].as_array()) {
        let fits = any.iter().any(|one| against(one, value).is_empty());
        if !fits {
            return vec![format!("{value} fits no alternative")];
        }
    }
    let is_type = match schema["type"].as_str() {
        Some("integer") => value.is_u64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        None => true,
        other => panic!("no type {other:?} is known to this test: {schema}"),
    };
    let mut faults = Vec::new();
    if !is_type {
        faults.push(format!("{value} is of another type than {}", schema["type"]));
    }
    let is_listed = schema["enum"].as_array().is_none_or(|listed| listed.contains(value));
    if !is_listed || schema.get("const").is_some_and(|only| only != value) {
        faults.push(format!("{value} is no choice"));
    }
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(key).is_none() {
            faults.push(format!("no {key}"));
        }
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        match (&schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(schema), _) => faults.extend(against(schema, value)),
            (None, Value::Null) => {}
            (None, Value::Bool(false)) => faults.push(format!("no key {key}")),
            (None, schema) => faults.extend(against(schema, value)),
        }
    }
    value.as_array().into_iter().flatten().for_each(|item| faults.extend(against(&schema["items"], item)));
    faults
}

#[test]
fn configs_fit_the_schema() {
    let as_json = |config: &Config| -> Value {
        let table: toml::Table = toml::from_str(&config.to_toml().unwrap()).unwrap();
        serde_json::to_value(table).unwrap()
    };
    for config in [Config::default(), full()] {
        assert_eq!(against(keys::schema(), &as_json(&config)), [""; 0]);
    }
    let wrong = |pointer: &str, value: Value| {
        let mut json = as_json(&full());
        *json.pointer_mut(pointer).unwrap() = value;
        against(keys::schema(), &json)
    };
    assert_eq!(wrong("/epochs", "many".into()), ["\"many\" is of another type than \"integer\""]);
    assert_eq!(wrong("/schedule", "linear".into()), ["\"linear\" fits no alternative"]);
    assert_eq!(wrong("/network/layer/0/type", "conv3d".into()).len(), 1);
    assert_eq!(wrong("/augmentation", serde_json::json!({ "zom": 1.0 })), ["no key zom"]);
    assert_eq!(keys::schema()["additionalProperties"], false);
    assert_eq!(keys::schema()["properties"]["lr"]["default"].to_string(), "0.001");
}
