//! Weights into and out of other programs. That these programs read them: scripts/check_export.py.

use std::path::Path;

use crate::common::assert_close;
use crate::common::steps::{device, twins};
use hdf5_pure::{AttrValue, FileBuilder};
use ocellus::app::checkpoint::{Metadata, Tensor};
use ocellus::app::data::Images;
use ocellus::app::exchange::onnx::messages::{Attribute, Model, Node};
use ocellus::app::exchange::{keras, onnx};
use ocellus::app::predict;
use ocellus::engine::run::Engine;
use ocellus::network::compile as plans;
use ocellus::network::weights;
use ocellus::network::{Network, Template, tutorial};
use prost::Message;
use serde::Deserialize;

const FILES: [&str; 3] = ["layers.h5", "classes.weights.h5", "model.h5"];

/// The one that tests/golden/keras/make.py builds.
fn network() -> Network {
    tutorial(32, 1.0 / 32.0, 3)
}

fn golden(name: &str) -> std::path::PathBuf {
    Path::new("tests/golden/keras").join(name)
}

#[derive(Deserialize)]
struct Predictions {
    pixels: Vec<u8>,
    probabilities: Vec<f32>,
}

fn predictions() -> Predictions {
    serde_json::from_str(&std::fs::read_to_string(golden("predictions.json")).unwrap()).unwrap()
}

#[track_caller]
fn predicts_what_keras_does(mut engine: Engine, tensors: &[Tensor]) {
    let program = engine.load(plans::inference(&network(), 2, &engine.target())).unwrap();
    weights::upload(&mut engine, program, &network(), tensors);
    let Predictions { pixels, probabilities } = predictions();
    let images = Images { size: 32.into(), count: 2, pixels };
    let ours = predict::probabilities(&mut engine, program, &images, |_| ()).unwrap();
    // Both compute in f32, in another order.
    assert_close("probabilities", &ours, &probabilities, |_| 1e-5);
}

#[test]
fn weights_that_keras_saved_predict_what_keras_does() {
    let read = FILES.map(|name| keras::read(&golden(name), &network()).unwrap());
    assert!(read[0] == read[1] && read[0] == read[2], "three forms of the same weights");
    predicts_what_keras_does(twins(), &read[0]);
    predicts_what_keras_does(device(), &read[0]);
}

#[test]
fn what_is_written_for_keras_is_read_back() {
    let tensors = weights::initial(&network(), 1);
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.h5", "a.weights.h5"] {
        let path = folder.path().join(name);
        keras::write(&path, &network(), &tensors).unwrap();
        assert!(keras::is_hdf5(&path));
        assert!(keras::read(&path, &network()).unwrap() == tensors, "{name}");
    }
}

#[test]
fn weights_of_another_network_are_refused() {
    for name in FILES {
        let refusal = |network: &Network| keras::read(&golden(name), network).unwrap_err().to_string();
        let message = refusal(&tutorial(32, 1.0 / 32.0, 4));
        assert!(message.contains(name) && message.contains("[8, 3]") && message.contains("[8, 4]"), "{message}");
        let message = refusal(&tutorial(32, 1.0 / 16.0, 3));
        assert!(message.contains("conv1.kernel has [3, 3, 3, 2]"), "{message}");
        let mut deeper = Template::tutorial();
        deeper.entries.push(deeper.entries.last().unwrap().clone());
        let message = refusal(&deeper.build(32, 1.0 / 32.0, 3).unwrap());
        assert!(message.contains("another network") || message.contains("not weights that Keras"), "{message}");
    }
}

/// Two lists of a thousand names speak of a million arrays.
#[test]
fn names_of_too_many_arrays_are_not_put_together() {
    let names = || AttrValue::AsciiStringArray(vec!["a".to_string(); 1000]);
    let mut file = FileBuilder::new();
    let mut group = file.create_group("a");
    group.set_attr("weight_names", names());
    file.add_group(group.finish());
    file.set_attr("layer_names", names());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names.h5");
    std::fs::write(&path, file.finish().unwrap()).unwrap();
    let message = keras::read(&path, &network()).unwrap_err().to_string();
    assert!(message.contains("names.h5: made by another network: more than 52 arrays of weights"), "{message}");
}

/// Whatever a file holds, it is read or refused.
#[test]
fn damaged_files_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.h5");
    let (mut refused, mut read) = (0, 0);
    for name in FILES {
        let whole = std::fs::read(golden(name)).unwrap();
        for part in 0..60 {
            let mut bytes = whole.clone();
            if part < 20 {
                bytes.truncate(whole.len() * part / 20);
            } else {
                // The structure of the file is mostly at its beginning.
                let at = (part - 20) * 97 % bytes.len();
                bytes[at..at + 8].copy_from_slice(&[0xff; 8]);
            }
            std::fs::write(&path, bytes).unwrap();
            match keras::read(&path, &network()) {
                Ok(_) => read += 1,
                Err(error) => {
                    assert!(error.to_string().contains("damaged.h5"), "{error}");
                    refused += 1;
                }
            }
        }
    }
    println!("{refused} files refused, {read} read");
    assert!(refused >= 60, "those cut short are, at the least: {refused}");
}

fn exported() -> (Vec<Tensor>, Model) {
    let tensors = keras::read(&golden(FILES[0]), &network()).unwrap();
    let classes = ["a", "\"b\"", "c"].map(String::from).to_vec();
    let metadata = Metadata {
        classes,
        network: Default::default(),
        image_size: 32.into(),
        width: 1.0 / 32.0,
        epoch: 1,
        val_loss: 0.0,
        operation: Default::default(),
        training: None,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    onnx::write(&path, &network(), &tensors, &metadata).unwrap();
    (tensors, Model::decode(&std::fs::read(path).unwrap()[..]).unwrap())
}

#[test]
fn onnx_files_hold_the_network() {
    let (tensors, model) = exported();
    let graph = model.graph.as_ref().unwrap();
    let operators: Vec<&str> = graph.node.iter().map(|node| &node.op_type[..]).collect();
    let count = |operator: &str| operators.iter().filter(|&&other| other == operator).count();
    let counts = ["Conv", "BatchNormalization", "Relu", "MaxPool", "GlobalAveragePool", "Gemm", "Softmax"].map(count);
    assert_eq!(counts, [8, 8, 8, 5, 1, 2, 1]);
    assert_eq!((operators[0], *operators.last().unwrap()), ("Transpose", "Softmax"));
    let classes = model.metadata_props.iter().find(|property| property.key == "classes").unwrap();
    assert_eq!(classes.value, r#"["a","\"b\"","c"]"#);

    // Every input of a node is made by an earlier one, or is a tensor or the image.
    let mut known: Vec<&str> = graph.initializer.iter().map(|tensor| &tensor.name[..]).collect();
    known.push(&graph.input[0].name);
    for Node { input, output, .. } in &graph.node {
        assert!(input.iter().all(|name| known.contains(&&name[..])), "{input:?}");
        known.push(&output[0]);
    }
    assert_eq!(graph.output[0].name, *known.last().unwrap());
    let conv = graph.node.iter().find(|node| node.name == "conv1").unwrap();
    let ints = |name: &str| &conv.attribute.iter().find(|a: &&Attribute| a.name == name).unwrap().ints;
    assert_eq!((&ints("pads")[..], &ints("strides")[..]), (&[1, 1, 1, 1][..], &[1, 1][..]));
    assert_eq!(graph.initializer.len(), tensors.len());
}

#[test]
fn onnx_kernels_have_their_outputs_first() {
    let (tensors, model) = exported();
    let graph = model.graph.unwrap();
    let kernel = graph.initializer.iter().find(|tensor| tensor.name == "conv2.kernel").unwrap();
    assert_eq!(kernel.dims, [2, 1, 3, 3]);
    let ours = &tensors.iter().find(|tensor| tensor.name == "conv2.kernel").unwrap().data;
    let theirs: Vec<f32> = kernel.raw_data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    for (position, pair) in ours.chunks_exact(2).enumerate() {
        assert_eq!([theirs[position], theirs[9 + position]], pair, "position {position}");
    }
}
