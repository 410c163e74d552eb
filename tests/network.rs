//! Networks other than the tutorial's, end to end: on the device against the twins, through the program, and into files.

use std::collections::BTreeMap;
use std::path::Path;

use crate::common::assert_close;
use crate::common::device::device;
use crate::common::program::{SMALL, ocellus, photographs, refuse, succeed, text, train};
use crate::common::steps;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use ocellus::app::checkpoint::{self, Tensor};
use ocellus::app::data::Images;
use ocellus::app::exchange::keras;
use ocellus::app::exchange::onnx;
use ocellus::app::predict;
use ocellus::app::train::feed::Labelled;
use ocellus::engine::numbers::{rms, widen};
use ocellus::engine::plan::names;
use ocellus::engine::plan::{Recompute, Target};
use ocellus::engine::run::Engine;
use ocellus::network::compile::{inference, training};
use ocellus::network::weights;
use ocellus::network::{Architecture, Network, Template};
use ocellus::proof::doctor::step::kept_plan;
use ocellus::proof::doctor::{Row, run_half_step, run_step};
use serde::Deserialize;

/// Every kind of layer; `relu1` is taken three times, and the layers stand in no order.
const OWN: &str = r#"
[[layer]]
name = "scores"
type = "dense"
inputs = ["gap1"]

[[layer]]
type = "conv2d"
filters = 16
kernel = 3
inputs = ["input"]

[[layer]]
type = "batch_norm"

[[layer]]
type = "relu"

[[layer]]
type = "conv2d"
filters = 16
kernel = 3

[[layer]]
type = "add"
inputs = ["conv2", "relu1"]

[[layer]]
type = "average_pool"
window = 3
padding = "same"

[[layer]]
name = "shortcut"
type = "max_pool"
window = 3
inputs = ["relu1"]

[[layer]]
name = "crop"
type = "conv2d"
filters = 16
kernel = 2
padding = "valid"
inputs = ["avgpool1"]

[[layer]]
type = "add"
inputs = ["crop", "shortcut"]

[[layer]]
type = "global_average_pool"
"#;

fn preset(name: &str, image_size: usize) -> Network {
    Template::preset(name).unwrap().build(image_size, 0.125, 4).unwrap()
}

#[test]
fn a_residual_step_is_right_node_by_node() {
    let network = preset("residual", 47);
    for row in [run_step(device(), &network, 5, |_| {}), run_half_step(device(), &network, 5, |_| {})] {
        let Row { kernel, findings, .. } = row.unwrap();
        println!("{kernel}: {} tensors, worst {:?}", findings.compared, findings.worst);
        assert!(findings.passed(), "{kernel}: {}", findings.faults.join("\n"));
    }
}

/// A sum for each user but the first, in the order of the reverse walk.
#[test]
fn gradients_of_an_output_are_summed_where_several_layers_take_it() {
    let network = toml::from_str::<Template>(OWN).unwrap().build(32, 1.0, 3).unwrap();
    let plan = training(&network, 4, &Target::default());
    let sums: Vec<&str> = plan.nodes.iter().map(|node| &node.name[..]).filter(|name| name.contains("sum")).collect();
    assert_eq!(sums, ["gradient/relu1 output, sum 1", "gradient/relu1 output, sum 2"]);
    assert!(!training(&preset("tutorial", 32), 4, &Target::default()).nodes.iter().any(|n| n.name.contains("sum")));
}

/// What several layers take is neither fused away nor dropped and computed again.
#[test]
fn rewrites_leave_alone_what_several_layers_take() {
    let target = Target { recompute: Recompute::FirstLayer, ..Target::default() };
    let network = preset("residual", 64);
    let plan = training(&network, 4, &target);
    let again = |layer: &str| plan.nodes.iter().any(|node| node.name == format!("{layer} again"));
    assert!(again("block1_bn1"), "one convolution alone takes it");
    assert!(!again("stem_bn"), "a convolution and a shortcut take it");
    // The bias before a batch norm has no gradient; one before an addition would have.
    assert!(plan.find(&names::gradient("block1_conv2.bias")).is_none());
    let own = toml::from_str::<Template>(OWN).unwrap().build(32, 1.0, 3).unwrap();
    assert!(training(&own, 4, &target).find(&names::gradient("conv2.bias")).is_some());
}

#[test]
fn a_run_carries_its_network() {
    let folder = photographs();
    std::fs::write(folder.path().join("own.toml"), OWN).unwrap();
    let cpu = ["--device", "cpu", "--epochs", "1"];
    succeed(folder.path(), &train(&[&["--network", "own.toml"], &cpu[..]].concat()));
    std::fs::remove_file(folder.path().join("own.toml")).unwrap();

    let (tensors, metadata) = checkpoint::load(&folder.path().join("run/best.safetensors")).unwrap();
    let own = Architecture::Own(toml::from_str(OWN).unwrap());
    assert_eq!(metadata.network, own);
    assert!(tensors.iter().any(|tensor| tensor.name == "crop.kernel"));
    succeed(folder.path(), &["train", "--resume", "run", "--epochs", "2", "--device", "cpu"]);
    refuse(
        folder.path(),
        &["train", "--resume", "run", "--epochs", "3", "--network", "tutorial", "--device", "cpu"],
        &["began with network 11 layers", "cannot go on with tutorial"],
    );
    succeed(folder.path(), &["evaluate", "run", "--data", "data", "--out", "report", "--device", "cpu"]);
    succeed(folder.path(), &["export", "run", "--format", "onnx", "--out", "own.onnx"]);
    succeed(folder.path(), &["export", "run", "--format", "keras", "--out", "own.h5"]);
    let other = ["train", "--data", "data", "--out", "other", "--init", "run", "--device", "cpu"];
    refuse(folder.path(), &[&other, &SMALL[..]].concat(), &["made by another network"]);
}

#[test]
fn a_file_is_refused_by_line() {
    let folder = photographs();
    let path = folder.path().join("own.toml");
    for (old, new, words) in [
        ("inputs = [\"conv2\", \"relu1\"]", "inputs = [\"conv2\", \"relu9\"]", "own.toml:24: add1 takes \"relu9\""),
        ("inputs = [\"conv2\", \"relu1\"]", "inputs = [\"conv2\"]", "own.toml:24: add1 takes 2 inputs, not 1"),
        ("kernel = 2\n", "kernel = 3\n", "own.toml:47: add2: adds two inputs of one shape"),
        ("inputs = [\"input\"]", "inputs = [\"crop\"]", "a loop: crop takes avgpool1"),
        ("type = \"relu\"", "type = \"gelu\"", "no layer is of type \"gelu\""),
        ("filters = 16\nkernel = 2", "filters = 16\nkernel = \"two\"", "own.toml:39: invalid type"),
    ] {
        assert!(OWN.contains(old), "{old}");
        std::fs::write(&path, OWN.replace(old, new)).unwrap();
        refuse(folder.path(), &train(&["--network", "own.toml"]), &[words]);
        refuse(folder.path(), &["plan", "--network", "own.toml", "--image-size", "32"], &[words]);
    }
    refuse(folder.path(), &["plan", "--network", "resnet"], &["the presets are tutorial, residual"]);
    assert!(!folder.path().join("run").exists());
}

/// The file's own outputs decide where it names them.
#[test]
fn classes_that_do_not_fit_are_refused() {
    let folder = photographs();
    let text = OWN.replace("type = \"dense\"\n", "type = \"dense\"\nunits = 24\n");
    std::fs::write(folder.path().join("own.toml"), text).unwrap();
    let words = ["scores puts out 3 values, and there are 8 classes"];
    refuse(folder.path(), &train(&["--network", "own.toml", "--device", "cpu"]), &words);
}

/// A ReLU between its dense layers: no map is exact, so none is drawn.
#[test]
fn maps_are_refused_where_they_would_not_be_exact() {
    let folder = photographs();
    let more = "[[layer]]\ntype = \"dense\"\nunits = 32\n\n[[layer]]\ntype = \"relu\"\n\n";
    let bent = "[[layer]]\ntype = \"global_average_pool\"\n\n".to_string() + more + "[[layer]]\ntype = \"dense\"\n";
    std::fs::write(folder.path().join("bent.toml"), bent).unwrap();
    succeed(folder.path(), &train(&["--network", "bent.toml", "--device", "cpu", "--epochs", "1"]));
    let page = std::fs::read_to_string(folder.path().join("run/report.html")).unwrap();
    assert!(page.contains("Without maps"), "{page}");
    succeed(folder.path(), &["predict", "run", "data/img", "--device", "cpu"]);
    let words = ["run: no maps for --cam", "only dense layers"];
    refuse(folder.path(), &["predict", "run", "data/img", "--device", "cpu", "--cam", "maps"], &words);
    assert!(!folder.path().join("maps").exists());
}

#[test]
fn an_onnx_file_has_the_graphs_inputs() {
    let network = preset("residual", 33);
    let tensors = weights::initial(&network, 1);
    let metadata = checkpoint::Metadata {
        classes: (0..4).map(|class| class.to_string()).collect(),
        network: Architecture::Preset("residual".into()),
        image_size: 33.into(),
        width: 0.125,
        epoch: 1,
        val_loss: 0.0,
        operation: Default::default(),
        training: None,
    };
    let graph = onnx::model(&network, &tensors, &metadata).graph.unwrap();
    let node = |name: &str| graph.node.iter().find(|node| node.name == name).unwrap();
    assert_eq!(node("block2_add").input, ["block2_bn2", "block2_shortcut_bn"]);
    assert_eq!(node("block2_shortcut_pool").op_type, "AveragePool");
    assert_eq!(node("block2_conv1").input[0], node("block2_shortcut_pool").input[0]);
}

/// `ocellus summary` prints what `plan` computes.
#[test]
fn a_summary_says_what_each_layer_takes() {
    let folder = tempfile::tempdir().unwrap();
    let output = ocellus(folder.path()).args(["summary", "--network", "residual"]).output().unwrap();
    let text = text(&output.stdout);
    assert!(text.contains("Connected to") && text.contains("block1_bn2"), "{text}");
    let plan = inference(&preset("residual", 32), 2, &Target::default());
    assert!(plan.find(names::FEATURES).is_some());
}

const KERAS: &str = "tests/golden/keras";

#[derive(Deserialize)]
struct Residual {
    pixels: Vec<u8>,
    labels: Vec<u32>,
    probabilities: Vec<f32>,
    loss: f64,
    loss_noise: f64,
    /// In f64, as the bytes of f32 in base64.
    gradients: BTreeMap<String, String>,
    /// How far Keras's f32 gradients are off, at most.
    noise: BTreeMap<String, f64>,
}

/// What Keras computes with the residual network (`make_residual.py`): probabilities, a training step's loss and
/// gradients. Weights are read in both of Keras's layouts, whose order is its own.
#[test]
fn the_residual_network_computes_what_keras_does() {
    let json = std::fs::read_to_string(format!("{KERAS}/residual.json")).unwrap();
    let golden: Residual = serde_json::from_str(&json).unwrap();
    let network = Template::preset("residual").unwrap().build(33, 1.0 / 32.0, 3).unwrap();
    let [tensors, same] = ["residual.h5", "residual.weights.h5"]
        .map(|name| keras::read(Path::new(&format!("{KERAS}/{name}")), &network).unwrap());
    assert!(tensors == same, "two forms of the same weights");
    for mut engine in [steps::twins(), steps::device()] {
        computes(&mut engine, &network, &tensors, &golden);
    }
}

fn computes(engine: &mut Engine, network: &Network, tensors: &[Tensor], golden: &Residual) {
    let images = Images { size: 33.into(), count: 4, pixels: golden.pixels.clone() };
    let program = engine.load(inference(network, 4, &engine.target())).unwrap();
    weights::upload(engine, program, network, tensors);
    let ours = predict::probabilities(engine, program, &images, |_| ()).unwrap();
    assert_close("probabilities", &ours, &golden.probabilities, |_| 1e-5);

    let program = engine.load(kept_plan(network, 4, &engine.target())).unwrap();
    weights::upload(engine, program, network, tensors);
    engine.write(program, names::CLASS_WEIGHT, &[1.0; 3]);
    steps::write_batch(engine, program, &Labelled::new(images, golden.labels.clone()));
    let loss = steps::train_step(engine, program, 1);
    assert_close("loss", &[loss], &[golden.loss], |_| 10.0 * golden.loss_noise + 1e-6 * golden.loss);
    let mut compared = 0;
    for parameter in network.parameters() {
        let name = names::gradient(&parameter.name);
        // The bias before a batch norm has none here, and rounding noise in Keras.
        if engine.plan(program).find(&name).is_none() {
            continue;
        }
        let ours = engine.read(program, &name).unwrap();
        let bytes = BASE64_STANDARD.decode(&golden.gradients[&parameter.name]).unwrap();
        let theirs: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
        let bound = 10.0 * golden.noise[&parameter.name] + 1e-6 * rms(&widen(&theirs));
        assert_close(&name, &ours, &theirs, |_| bound);
        compared += 1;
    }
    // A kernel, a scale and a shift for each of 13 convolutions, and the dense layer.
    assert_eq!(compared, 3 * 13 + 2);
}
