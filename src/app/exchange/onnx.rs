//! A network with its weights as an ONNX file, for onnxruntime and others.

pub mod messages;

use std::path::Path;

use prost::Message;

use crate::app::checkpoint::{Metadata, Tensor};
use crate::engine::image_size::ImageSize;
use crate::error::Result;
use crate::files::write_atomic;
use crate::network::{Network, Placed, Source, photograph};
use crate::ops::op::{self, Onnx};
use messages::*;

const IR_VERSION: i64 = 8;
/// Of the operators; 13 is the first whose softmax is over one axis.
const OPSET: i64 = 13;
/// Input: `[N, height, width, 3]`, RGB as 0..1.
const INPUT: &str = "image";
/// Output: `[N, classes]`.
const OUTPUT: &str = "probabilities";

/// `data_type` and `elem_type` of f32.
const FLOAT: i32 = 1;

/// Writes the file. The names of the classes, in the order of the probabilities, are in its metadata as JSON.
pub fn write(path: &Path, network: &Network, tensors: &[Tensor], metadata: &Metadata) -> Result<()> {
    let bytes = model(network, tensors, metadata).encode_to_vec();
    write_atomic(path, |file| file.write_all(&bytes))
}

pub fn model(network: &Network, tensors: &[Tensor], metadata: &Metadata) -> Model {
    let property = |key: &str, value: String| Property { key: key.into(), value };
    let ImageSize { height, width } = network.image_size;
    Model {
        ir_version: IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph(network, tensors)),
        opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        metadata_props: vec![
            property("classes", serde_json::to_string(&metadata.classes).expect("texts are JSON")),
            property(INPUT, format!("[N, {height}, {width}, 3], RGB, 8-bit values divided by 255")),
        ],
    }
}

fn graph(network: &Network, tensors: &[Tensor]) -> Graph {
    let mut graph = Graph {
        name: "ocellus".into(),
        input: vec![value(INPUT, &photograph(network.image_size))],
        output: vec![value(OUTPUT, &[network.classes])],
        ..Graph::default()
    };
    // ONNX's images have their channels first; this program's and Keras's last.
    let first = push(&mut graph, "Transpose", "channels_first", &[INPUT], vec![integers("perm", &[0, 3, 1, 2])]);
    let mut logits = String::new();
    for layer in &network.layers {
        logits = add_layer(&mut graph, network, layer, &first);
        for parameter in layer.parameters() {
            let tensor = tensors.iter().find(|tensor| tensor.name == parameter.name).expect("all tensors are there");
            graph.initializer.push(initializer(tensor));
        }
    }
    let softmax = node("Softmax", OUTPUT, &[&logits], vec![integer("axis", 1)]);
    graph.node.push(softmax);
    graph
}

/// Adds a layer's node, whose output has the layer's name.
fn add_layer(graph: &mut Graph, network: &Network, layer: &Placed, photographs: &str) -> String {
    let name_of = |source: &Source| match *source {
        Source::Photographs => photographs,
        Source::Layer(index) => &network.layers[index].name,
    };
    let parameters: Vec<String> = layer.parameters().into_iter().map(|parameter| parameter.name).collect();
    let inputs: Vec<&str> = layer.sources.iter().map(name_of).chain(parameters.iter().map(String::as_str)).collect();
    let shapes: Vec<&[usize]> = layer.inputs.iter().map(|shape| &shape[..]).collect();
    let Onnx { operator, attributes, flatten } = layer.layer.op().onnx(&shapes);
    let attributes = attributes.into_iter().map(|(name, value)| match value {
        op::Attribute::Integer(value) => integer(name, value as i64),
        op::Attribute::Integers(values) => integers(name, &values),
        op::Attribute::Float(value) => float(name, value),
    });
    if flatten {
        let pooled = push(graph, operator, &format!("{}.pooled", layer.name), &inputs, attributes.collect());
        return push(graph, "Flatten", &layer.name, &[&pooled], Vec::new());
    }
    push(graph, operator, &layer.name, &inputs, attributes.collect())
}

fn push(graph: &mut Graph, operator: &str, name: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
    graph.node.push(node(operator, name, inputs, attributes));
    name.to_string()
}

/// A node whose output has its name.
fn node(operator: &str, name: &str, inputs: &[&str], attribute: Vec<Attribute>) -> Node {
    let input = inputs.iter().map(|input| input.to_string()).collect();
    Node { input, output: vec![name.into()], name: name.into(), op_type: operator.into(), attribute }
}

fn float(name: &str, value: f32) -> Attribute {
    Attribute { name: name.into(), f: Some(value), kind: 1, ..Attribute::default() }
}

fn integer(name: &str, value: i64) -> Attribute {
    Attribute { name: name.into(), i: Some(value), kind: 2, ..Attribute::default() }
}

fn integers(name: &str, values: &[usize]) -> Attribute {
    let ints = values.iter().map(|&value| value as i64).collect();
    Attribute { name: name.into(), ints, kind: 7, ..Attribute::default() }
}

/// Weights as ONNX lays them out: kernels of convolutions are `[out, in, height, width]` there.
fn initializer(tensor: &Tensor) -> Initializer {
    let (dims, data) = match tensor.shape[..] {
        [height, width, inputs, outputs] => {
            let positions = height * width;
            let at = |o: usize, i: usize, p: usize| tensor.data[(p * inputs + i) * outputs + o];
            let of_output = |o| (0..inputs).flat_map(move |i| (0..positions).map(move |p| at(o, i, p)));
            (vec![outputs, inputs, height, width], (0..outputs).flat_map(of_output).collect())
        }
        _ => (tensor.shape.clone(), tensor.data.clone()),
    };
    Initializer {
        dims: dims.into_iter().map(|size| size as i64).collect(),
        data_type: FLOAT,
        name: tensor.name.clone(),
        raw_data: data.iter().flat_map(|number| number.to_le_bytes()).collect(),
    }
}

/// An input or output, any number of it at a time.
fn value(name: &str, shape: &[usize]) -> Value {
    let fixed = |&size: &usize| Dimension { dim_value: Some(size as i64), dim_param: None };
    let any = Dimension { dim_value: None, dim_param: Some("N".into()) };
    let dim = [any].into_iter().chain(shape.iter().map(fixed)).collect();
    let tensor_type = TensorType { elem_type: FLOAT, shape: Some(Shape { dim }) };
    Value { name: name.into(), r#type: Some(Type { tensor_type: Some(tensor_type) }) }
}
