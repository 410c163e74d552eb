//! Checkpoints as the commands take them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{DeviceArgs, TooLarge, plannable, too_large};
use crate::app::checkpoint::{self, Metadata, Tensor};
use crate::app::config::Config;
use crate::app::exchange::keras;
use crate::app::train::files;
use crate::engine::run::Engine;
use crate::error::{Error, Result};
use crate::network::compile as plans;
use crate::network::weights;
use crate::network::{Layer, Network, Placed};
use crate::notes::note;

/// A checkpoint with its network.
pub struct Model {
    pub network: Network,
    pub metadata: Metadata,
    pub tensors: Vec<Tensor>,
}

impl Model {
    /// The weights as they are used: the temperature that was fitted for them is in the last layer.
    pub fn load(path: &Path) -> Result<Model> {
        let mut model = Model::uncalibrated(path)?;
        if let Some(temperature) = model.metadata.operation.temperature {
            let sane = temperature.is_finite() && temperature > 0.0;
            let Some(layer) = logits_layer(&model.network).filter(|_| sane) else {
                let path = path.display();
                return Err(Error::Input(format!(
                    "{path}: damaged metadata: no temperature can be {temperature} here"
                )));
            };
            scale(&mut model.tensors, layer, 1.0 / temperature);
        }
        Ok(model)
    }

    /// The weights as training left them.
    pub fn uncalibrated(path: &Path) -> Result<Model> {
        let (tensors, metadata) = checkpoint::load(path)?;
        let network = network_of(path, &metadata)?;
        let tensors = only_weights(path, tensors, &network)?;
        Ok(Model { network, metadata, tensors })
    }

    /// Opens the device and puts the weights on it; returns the inference plan's number. `Error::Input` when no adapter
    /// could hold such a batch.
    pub fn place(&self, device: &DeviceArgs, batch: usize) -> Result<(Engine, usize)> {
        plannable(&self.network, batch)?;
        self.place_on(device.open(&Config::default())?, batch)
    }

    /// Opens the device once more for a second network, without a word.
    pub fn place_beside(&self, device: &DeviceArgs, batch: usize) -> Result<(Engine, usize)> {
        plannable(&self.network, batch)?;
        self.place_on(device.open_again()?, batch)
    }

    fn place_on(&self, mut engine: Engine, batch: usize) -> Result<(Engine, usize)> {
        let plan = plans::inference(&self.network, batch, &engine.target());
        let program = engine.load(plan)?;
        weights::upload(&mut engine, program, &self.network, &self.tensors);
        Ok((engine, program))
    }
}

/// The name of the layer that computes the logits, if it is a dense layer, whose output scales with its parameters.
pub fn logits_layer(network: &Network) -> Option<&str> {
    match network.layers.last() {
        Some(Placed { name, layer: Layer::Dense(_), .. }) => Some(name),
        _ => None,
    }
}

/// Multiplies the parameters of a layer.
fn scale(tensors: &mut [Tensor], layer: &str, factor: f64) {
    let own = |tensor: &&mut Tensor| tensor.name.strip_prefix(layer).is_some_and(|rest| rest.starts_with('.'));
    for tensor in tensors.iter_mut().filter(own) {
        tensor.data.iter_mut().for_each(|value| *value = (f64::from(*value) * factor) as f32);
    }
}

/// The network that a checkpoint's metadata describe. `Error::Input` when no network has such
/// sizes, or when its outputs do not have one name each.
fn network_of(path: &Path, metadata: &Metadata) -> Result<Network> {
    let &Metadata { image_size, width, ref classes, .. } = metadata;
    let refuse = |why: String| Error::Input(format!("{}: damaged metadata: {why}", path.display()));
    if classes.is_empty() {
        return Err(refuse("there are no classes".into()));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = classes.iter().find(|&class| !seen.insert(class)) {
        return Err(refuse(format!("two classes are called {twice:?}")));
    }
    Config { image_size, width, ..Config::default() }.validate().map_err(|error| refuse(error.to_string()))?;
    let network = metadata.network.build(image_size, width, classes.len()).map_err(refuse)?;
    match too_large(&network, 1) {
        Some(TooLarge { what, .. }) => Err(refuse(what)),
        None => Ok(network),
    }
}

/// Weights for a network that is already known, this program's or Keras's; `Error::Input` says where they differ.
pub fn load_weights(path: &Path, network: &Network) -> Result<Vec<Tensor>> {
    let path = checkpoint_file(path)?;
    if keras::is_hdf5(&path) {
        return keras::read(&path, network);
    }
    let (tensors, metadata) = checkpoint::load(&path)?;
    let (has, wanted) = (metadata.classes.len(), network.classes);
    only_weights(&path, tensors, network).map_err(|error| match has == wanted {
        true => error,
        false => Error::Input(format!("{error}\n(it has {has} classes, and {wanted} are wanted: see --new-head)")),
    })
}

/// Weights for a network whose last layer is drawn anew from `seed`: the file's may be of other classes.
///
/// # Errors
/// A last layer that is not dense, other layers in the file, what cannot be read.
pub fn load_body(path: &Path, network: &Network, seed: u64) -> Result<Vec<Tensor>> {
    let file = checkpoint_file(path)?;
    let refuse = |why: String| Error::Input(format!("{}: {why}", file.display()));
    let head =
        logits_layer(network).ok_or_else(|| refuse("--new-head: the network does not end in a dense layer".into()))?;
    let of_head = |tensor: &Tensor| tensor.name.strip_prefix(head).is_some_and(|rest| rest.starts_with('.'));
    let mut tensors = if keras::is_hdf5(&file) {
        let classes = keras::outputs(&file, network)?;
        keras::read(&file, &with_outputs(network, classes).map_err(refuse)?)?
    } else {
        let (tensors, metadata) = checkpoint::load(&file)?;
        only_weights(&file, tensors, &with_outputs(network, metadata.classes.len()).map_err(refuse)?)?
    };
    let fresh = weights::initial(network, seed);
    for (tensor, fresh) in tensors.iter_mut().zip(fresh).filter(|(tensor, _)| of_head(tensor)) {
        *tensor = fresh;
    }
    Ok(tensors)
}

/// The network with another number of outputs of its last layer, which is dense.
fn with_outputs(network: &Network, outputs: usize) -> std::result::Result<Network, String> {
    let mut other = network.clone();
    let last = other.layers.last_mut().expect("a network has layers");
    let Layer::Dense(dense) = &mut last.layer else { return Err("the last layer is not dense".into()) };
    (dense.units, last.output, other.classes) = (outputs, vec![outputs], outputs);
    Ok(other)
}

/// Drops Adam's moments, which a state file has too, and checks the rest against the network.
fn only_weights(path: &Path, mut tensors: Vec<Tensor>, network: &Network) -> Result<Vec<Tensor>> {
    tensors.retain(|tensor| !tensor.name.contains('/'));
    let parameters = network.parameters();
    let expected: Vec<(&str, &[usize])> = parameters.iter().map(|p| (&p.name[..], &p.shape[..])).collect();
    checkpoint::expect(path, tensors, &expected)
}

/// The settings of the run whose folder is given for its weights; the defaults for a file, and for a folder without any.
pub fn run_settings(weights: &Path) -> Result<Config> {
    let path = weights.join(files::CONFIG);
    if path.exists() { Config::load(&path) } else { Ok(Config::default()) }
}

/// The file of a checkpoint: a run's folder stands for its best weights.
pub fn checkpoint_file(path: &Path) -> Result<PathBuf> {
    let file = if path.is_dir() { path.join(files::BEST) } else { path.to_path_buf() };
    if file.is_file() {
        let run = file.parent().unwrap_or(Path::new("."));
        // Settings that cannot be read are said where they are needed.
        if let Some(shaders) = run_settings(run).ok().and_then(|config| config.shaders) {
            let (file, folder) = (file.display(), shaders.folder.display());
            note!("warning: {file}: trained with the shaders of {folder}; the built-in ones compute here");
        }
        return Ok(file);
    }
    Err(Error::Input(format!("{}: no such file; give a run's folder or a .safetensors file", file.display())))
}
