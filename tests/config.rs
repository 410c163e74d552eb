//! Config files: the tutorial's values are the defaults, and mistakes are named with file and line.

use std::path::PathBuf;

use ocellus::app::config::Config;
use ocellus::app::data::Resampling;
use ocellus::app::train::callbacks::Monitor;
use ocellus::network::{Architecture, Template};
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
