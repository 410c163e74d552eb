//! Weights as Keras's `save_weights` writes and its `load_weights` reads them: HDF5 files, in either of two layouts.

use std::collections::HashMap;
use std::path::Path;

use hdf5_pure::{AttrValue, File, FileBuilder, Group, GroupBuilder};

use crate::app::checkpoint::Tensor;
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::network::{Network, Parameter, Placed};

/// The version that the files claim: older ones stored some layers differently, and Keras would convert them.
const KERAS_VERSION: &str = "2.15.0";
/// Keras chooses the layout by the end of the file's name: this one is `layers/conv2d_1/vars/0`; all others have a
/// group for each layer, with the names of its arrays as an attribute.
const BY_CLASS: &str = ".weights.h5";
const LAYER_NAMES: &str = "layer_names";
const WEIGHT_NAMES: &str = "weight_names";

fn is_by_class(path: &Path) -> bool {
    path.as_os_str().to_string_lossy().ends_with(BY_CLASS)
}

/// Whether the file is HDF5, whatever its name.
pub fn is_hdf5(path: &Path) -> bool {
    hdf5_pure::is_hdf5(path).unwrap_or(false)
}

/// Writes the weights of a network in the layout that Keras expects in a file of that name.
pub fn write(path: &Path, network: &Network, tensors: &[Tensor]) -> Result<()> {
    let bytes = if is_by_class(path) { by_class(network, tensors) } else { by_layer(network, tensors) };
    let bytes = bytes.map_err(|e| Error::Input(format!("{}: cannot be written as HDF5: {e}", path.display())))?;
    write_atomic(path, |file| file.write_all(&bytes))
}

fn by_layer(network: &Network, tensors: &[Tensor]) -> std::result::Result<Vec<u8>, hdf5_pure::Error> {
    let mut file = FileBuilder::new();
    let mut layers = Vec::new();
    for layer in in_keras_order(network) {
        let names: Vec<String> = layer.parameters().iter().map(keras_name).collect();
        if names.is_empty() {
            continue;
        }
        let mut group = file.create_group(&layer.name);
        for (parameter, name) in layer.parameters().iter().zip(&names) {
            add(&mut group, name, parameter, tensors);
        }
        group.set_attr(WEIGHT_NAMES, AttrValue::AsciiStringArray(names));
        file.add_group(group.finish());
        layers.push(layer.name.clone());
    }
    file.set_attr(LAYER_NAMES, AttrValue::AsciiStringArray(layers));
    file.set_attr("backend", AttrValue::AsciiString("tensorflow".into()));
    file.set_attr("keras_version", AttrValue::AsciiString(KERAS_VERSION.into()));
    file.finish()
}

/// `kernel:0` for `conv1.kernel`, as TensorFlow calls its variables.
fn keras_name(parameter: &Parameter) -> String {
    format!("{}:0", parameter.name.rsplit('.').next().expect("a part behind the dot"))
}

fn by_class(network: &Network, tensors: &[Tensor]) -> std::result::Result<Vec<u8>, hdf5_pure::Error> {
    let mut file = FileBuilder::new();
    let mut layers = file.create_group("layers");
    for (name, parameters) in class_names(network) {
        let mut layer = layers.create_group(&name);
        let mut variables = layer.create_group("vars");
        for (index, parameter) in parameters.iter().enumerate() {
            add(&mut variables, &index.to_string(), parameter, tensors);
        }
        layer.add_group(variables.finish());
        layers.add_group(layer.finish());
    }
    file.add_group(layers.finish());
    // The model's own variables: it has none, but Keras looks for them.
    let own = file.create_group("vars");
    file.add_group(own.finish());
    file.finish()
}

fn add(group: &mut GroupBuilder, name: &str, parameter: &Parameter, tensors: &[Tensor]) {
    let tensor = tensors.iter().find(|tensor| tensor.name == parameter.name).expect("all tensors are there");
    let shape: Vec<u64> = tensor.shape.iter().map(|&size| size as u64).collect();
    group.create_dataset(name).with_f32_data(&tensor.data).with_shape(&shape);
}

fn in_keras_order(network: &Network) -> impl Iterator<Item = &Placed> {
    network.keras_order().into_iter().map(|index| &network.layers[index])
}

/// The layers that have parameters, by the names of Keras's classes: `conv2d`, `conv2d_1`, `batch_normalization`...
fn class_names(network: &Network) -> Vec<(String, Vec<Parameter>)> {
    let mut names = Vec::new();
    let mut seen = Vec::new();
    for layer in in_keras_order(network) {
        if layer.parameters().is_empty() {
            continue;
        }
        let class = snake_case(layer.layer.op().keras_class());
        let name = match seen.iter().filter(|other| **other == class).count() {
            0 => class.clone(),
            earlier => format!("{class}_{earlier}"),
        };
        seen.push(class);
        names.push((name, layer.parameters()));
    }
    names
}

/// A class's name as Keras writes it in a file: `batch_normalization` for `BatchNormalization`.
fn snake_case(class: &str) -> String {
    let mut name = String::new();
    for (index, letter) in class.char_indices() {
        if letter.is_uppercase() && class[..index].ends_with(char::is_lowercase) {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// Reads the weights of a network from a file of either layout, or of a whole saved model. Keras's names are those of
/// the user's program, so arrays are told by their order, and checked by their shapes before they are read.
///
/// `Error::Input` says what the file is instead.
pub fn read(path: &Path, network: &Network) -> Result<Vec<Tensor>> {
    let refuse = |message: String| Error::Input(format!("{}: {message}", path.display()));
    let damaged = |e: hdf5_pure::Error| refuse(format!("not weights that Keras saved: {e}"));
    let file = File::open_streaming(path).map_err(damaged)?;
    let arrays = arrays(&file, network).map_err(damaged)?;
    let parameters: Vec<Parameter> = in_keras_order(network).flat_map(Placed::parameters).collect();
    let (found, want) = (arrays.len(), parameters.len());
    if found > want {
        return Err(refuse(format!("made by another network: more than {want} arrays of weights")));
    }
    if found < want {
        return Err(refuse(format!("made by another network: {found} arrays of weights instead of {want}")));
    }
    let mut tensors = Vec::new();
    for (Parameter { name, shape, .. }, array) in parameters.into_iter().zip(arrays) {
        let dataset = file.dataset(&array).map_err(damaged)?;
        let found = dataset.shape().map_err(damaged)?;
        if !found.iter().copied().eq(shape.iter().map(|&size| size as u64)) {
            let message = format!("made by another network: {array} has shape {found:?}, and {name} has {shape:?}");
            return Err(refuse(message));
        }
        let data = dataset.read_f32().map_err(damaged)?;
        if data.len() != shape.iter().product::<usize>() {
            return Err(refuse(format!("{array} holds {} numbers, not those of its shape {shape:?}", data.len())));
        }
        tensors.push(Tensor { name, shape, data });
    }
    let mut by_name: HashMap<String, Tensor> =
        tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
    let in_order = network.parameters().into_iter();
    Ok(in_order.map(|parameter| by_name.remove(&parameter.name).expect("each was read once")).collect())
}

/// The number of outputs that the weights of such a network have in a file, which may be another than the network's.
///
/// Errors: what [`read`] refuses.
pub fn outputs(path: &Path, network: &Network) -> Result<usize> {
    let damaged = |e: hdf5_pure::Error| Error::Input(format!("{}: not weights that Keras saved: {e}", path.display()));
    let file = File::open_streaming(path).map_err(damaged)?;
    // The bias of the last layer.
    let last = arrays(&file, network).map_err(damaged)?.pop();
    let shape = last.map(|array| file.dataset(&array)?.shape()).transpose().map_err(damaged)?;
    match shape.as_deref() {
        Some(&[outputs]) if outputs > 0 => Ok(outputs as usize),
        _ => Err(Error::Input(format!("{}: made by another network: its last array is no bias", path.display()))),
    }
}

/// The paths of the arrays of weights, in the order of the layers: all of them, or one more than the network has. A list
/// of layers may name one of them again and again, and with it a list as long.
fn arrays(file: &File, network: &Network) -> std::result::Result<Vec<String>, hdf5_pure::Error> {
    let groups = file.root().groups()?;
    let has = |name: &str| groups.iter().any(|group| group == name);
    if has("layers") {
        let of_layer = |(name, parameters): (String, Vec<Parameter>)| {
            (0..parameters.len()).map(move |index| format!("layers/{name}/vars/{index}"))
        };
        return Ok(class_names(network).into_iter().flat_map(of_layer).collect());
    }
    let (prefix, group) = match has("model_weights") {
        true => ("model_weights/", file.group("model_weights")?),
        false => ("", file.root()),
    };
    let most = network.parameters().len();
    let mut arrays = Vec::new();
    for layer in texts(&group, LAYER_NAMES)? {
        for weight in texts(&group.group(&layer)?, WEIGHT_NAMES)? {
            arrays.push(format!("{prefix}{layer}/{weight}"));
            if arrays.len() > most {
                return Ok(arrays);
            }
        }
    }
    Ok(arrays)
}

/// An attribute that is a list of texts; an empty list has no type, and Keras writes it as one of numbers.
fn texts(group: &Group, attribute: &str) -> std::result::Result<Vec<String>, hdf5_pure::Error> {
    Ok(match group.attrs()?.remove(attribute) {
        Some(
            AttrValue::AsciiStringArray(texts)
            | AttrValue::StringArray(texts)
            | AttrValue::VarLenAsciiStringArray(texts)
            | AttrValue::VarLenStringArray(texts),
        ) => texts,
        Some(AttrValue::AsciiStringArraySized { values, .. } | AttrValue::StringArraySized { values, .. }) => values,
        _ => Vec::new(),
    })
}
