//! Images that are not square, from the command line to what a run leaves behind.

use crate::common::device::device as gpu;
use crate::common::program::{device, photographs, refuse, succeed, text};
use ocellus::app::checkpoint;
use ocellus::app::config::Config;
use ocellus::app::exchange::onnx;
use ocellus::app::exchange::onnx::messages::Dimension;
use ocellus::app::train::files;
use ocellus::engine::image_size::ImageSize;
use ocellus::network::weights;
use ocellus::network::{Architecture, Network, Template};
use ocellus::proof::doctor::{Row, run_half_step, run_step};
use ocellus::proof::tune::Workload;

const TALL: ImageSize = ImageSize { height: 72, width: 56 };
/// Every pool of the tutorial's leaves out a last row or column.
const WIDE: ImageSize = ImageSize { height: 33, width: 95 };

/// Multiplier of the channel counts.
const WIDTH: f64 = 0.0625;

fn network(preset: &str, size: ImageSize) -> Network {
    Template::preset(preset).unwrap().build(size, WIDTH, 3).unwrap()
}

#[test]
fn layers_have_keras_sizes() {
    let sizes = |preset: &str, size: ImageSize, stem: &str| {
        let network = network(preset, size);
        let of_stem = network.layers.iter().filter(|layer| layer.name.starts_with(stem));
        of_stem.map(|layer| [layer.output[0], layer.output[1]]).collect::<Vec<_>>()
    };
    assert_eq!(sizes("tutorial", TALL, "pool"), [[36, 28], [18, 14], [9, 7], [4, 3], [2, 1]]);
    assert_eq!(sizes("tutorial", WIDE, "pool"), [[16, 47], [8, 23], [4, 11], [2, 5], [1, 2]]);
    // Strides of `same` padding round up.
    assert_eq!(sizes("residual", WIDE, "block3_add"), [[2, 6]]);
}

#[test]
fn a_training_step_is_right_node_by_node() {
    for (preset, size) in [("tutorial", TALL), ("tutorial", WIDE), ("residual", WIDE)] {
        let network = network(preset, size);
        for row in [run_step(gpu(), &network, 3, |_| {}), run_half_step(gpu(), &network, 3, |_| {})] {
            let Row { kernel, findings, .. } = row.unwrap();
            println!("{preset} {size}, {kernel}: {} tensors, worst {:?}", findings.compared, findings.worst);
            assert!(findings.passed(), "{preset} {size}, {kernel}: {}", findings.faults.join("\n"));
        }
    }
}

#[test]
fn a_side_that_is_too_short_or_too_long_is_named() {
    let temporary = photographs();
    let folder = temporary.path();
    let own = "[[layer]]\ntype = \"max_pool\"\nwindow = 50\n[[layer]]\ntype = \"global_average_pool\"\n\n[[layer]]\n\
               type = \"dense\"\n";
    std::fs::write(folder.join("own.toml"), own).unwrap();
    for (size, words) in [
        ("31x64", &["image_size is 31x64, and its height must be at least 32"][..]),
        ("64x31", &["image_size is 64x31, and its width must be at least 32"]),
        ("16x8", &["image_size is 16x8, and its height and width must be at least 32"]),
        ("72x", &["the width \"\" is no whole number", "72x56"]),
        ("large", &["the size \"large\" is no whole number"]),
        ("32x99999999", &["8 GiB", "--image-size"]),
    ] {
        for command in [&["plan"][..], &["doctor"], &["train", "--data", "data"], &["summary"], &["tune"]] {
            refuse(folder, &[command, &["--image-size", size]].concat(), words);
        }
    }
    let fits_no_window = ["plan", "--network", "own.toml", "--image-size", "64x48"];
    refuse(folder, &fits_no_window, &["own.toml:1: pool1: a window of 50 does not fit the width of its input, 48"]);
    let synth = ["synth", "drawn", "--size", "64x8"];
    refuse(folder, &synth, &["photographs of 64x8 pixels: the width is 16 to 4096"]);
}

/// What a file of an earlier version says of a square means what it meant, and a square is written as it was.
#[test]
fn squares_are_recorded_as_ever() {
    let config = Config::default().to_toml().unwrap();
    assert!(config.contains("\nimage_size = 224\n"), "{config}");
    let tall = Config { image_size: TALL, ..Config::default() }.to_toml().unwrap();
    assert!(tall.contains("\nimage_size = \"72x56\"\n"), "{tall}");
    let file = tempfile::NamedTempFile::new().unwrap();
    for (text, size) in [("image_size = 64", 64.into()), ("image_size = \"72x56\"", TALL)] {
        std::fs::write(file.path(), text).unwrap();
        assert_eq!(Config::load(file.path()).unwrap().image_size, size);
    }
    for (text, words) in [
        ("seed = 1\nimage_size = \"72y56\"", "2: the size \"72y56\" is no whole number"),
        ("seed = 1\n\nimage_size = \"20x56\"", "3: image_size is 20x56, and its height must be at least 32"),
        ("image_size = [72, 56]", "1: invalid type: sequence, expected a size in pixels"),
    ] {
        std::fs::write(file.path(), text).unwrap();
        let message = Config::load(file.path()).unwrap_err().to_string();
        assert!(message.contains(&format!(":{words}")), "{message}");
    }
    let workload = |size: &str| format!(r#"{{"image_size":{size},"batch":6,"width":"0.125"}}"#);
    for (text, size) in [("32", 32.into()), ("\"72x56\"", TALL)] {
        let read: Workload = serde_json::from_str(&workload(text)).unwrap();
        assert_eq!(read, Workload { network: "tutorial".into(), image_size: size, batch: 6, width: 0.125 });
        assert!(serde_json::to_string(&read).unwrap().contains(&format!("\"image_size\":{text},")));
    }
}

#[test]
fn an_onnx_file_takes_the_height_first() {
    let network = network("tutorial", TALL);
    let tensors = weights::initial(&network, 1);
    let metadata = checkpoint::Metadata {
        classes: ["a", "b", "c"].map(String::from).to_vec(),
        network: Architecture::default(),
        image_size: TALL,
        width: WIDTH,
        epoch: 1,
        val_loss: 0.0,
        operation: Default::default(),
        training: None,
    };
    let model = onnx::model(&network, &tensors, &metadata);
    let input = model.graph.unwrap().input.swap_remove(0);
    let dims = input.r#type.unwrap().tensor_type.unwrap().shape.unwrap().dim;
    assert_eq!(
        dims.iter().map(|dim: &Dimension| dim.dim_value).collect::<Vec<_>>(),
        [None, Some(72), Some(56), Some(3)]
    );
    assert!(model.metadata_props.iter().any(|property| property.value.contains("[N, 72, 56, 3]")));
}

#[test]
fn a_run_from_photographs_to_maps() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, device) = (temporary.path(), device());
    succeed(folder, &["synth", "data", "--images", "48", "--size", "48x64", "--seed", "1"]);
    let train = |out: &str, epochs: &str| {
        let data = ["train", "--data", "data", "--out", out, "--epochs", epochs, "--device", &device];
        succeed(folder, &[&data[..], &["--image-size", "72x56", "--width", "0.0625", "--batch", "6"]].concat())
    };
    train("straight", "2");
    train("resumed", "1");
    succeed(folder, &["train", "--resume", "resumed", "--epochs", "2", "--device", &device]);
    let state = |out: &str| checkpoint::load(&folder.join(out).join(files::STATE)).unwrap();
    assert!(state("resumed").0 == state("straight").0, "the resumed run has other bits");
    assert_eq!(checkpoint::load(&folder.join("straight").join(files::BEST)).unwrap().1.image_size, TALL);
    let other = ["train", "--resume", "resumed", "--epochs", "3", "--image-size", "56x72", "--device", &device];
    refuse(folder, &other, &["the run began with image-size 72x56, and cannot go on with 56x72"]);

    let evaluate = ["evaluate", "straight", "--data", "data", "--out", "report", "--device", &device];
    assert!(text(&succeed(folder, &evaluate).stdout).contains("macro avg"));
    let predict = ["predict", "straight", "data/img", "--cam", "maps", "--format", "csv", "--device", &device];
    assert_eq!(text(&succeed(folder, &predict).stdout).lines().count(), 1 + 48);
    for map in std::fs::read_dir(folder.join("maps")).unwrap() {
        assert_eq!(image::open(map.unwrap().path()).unwrap().to_rgb8().dimensions(), (64, 48), "as the photograph");
    }
    let exported = folder.join("straight/best.onnx");
    succeed(folder, &["export", "straight", "--format", "onnx"]);
    succeed(folder, &["export", "straight", "--format", "keras", "--out", "m.weights.h5"]);
    assert!(exported.is_file() && folder.join("m.weights.h5").is_file());
}
