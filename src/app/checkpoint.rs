//! Weights and training state in safetensors files: f32 tensors by name, and what belongs to them as JSON.
//!
//! Names are Keras's: `conv1.kernel`, `bn1.moving_mean`, `dense1.bias`. In the state of a run,
//! Adam's moments go by the parameter's name after `m/`, `v/` and `vhat/`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata as Header, TensorInfo};
use serde::{Deserialize, Serialize};

use crate::app::train::callbacks::Callbacks;
use crate::app::train::history::{EpochRecord, EpochSums};
use crate::engine::image_size::ImageSize;
use crate::error::{Error, Result};
use crate::files::{exact_float, write_atomic};
use crate::network::Architecture;
pub use crate::network::weights::Tensor;

/// Written under `format`, and changed whenever older programs could no longer read the file rightly.
const FORMAT: &str = "ocellus 1";

/// Network and classes whose weights a file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// In the order of the network's outputs.
    pub classes: Vec<String>,
    /// Left out for the tutorial's, as older files do.
    #[serde(default, skip_serializing_if = "is_tutorial")]
    pub network: Architecture,
    /// Of the input.
    pub image_size: ImageSize,
    /// Multiplier of the network's channel counts.
    #[serde(with = "exact_float")]
    pub width: f64,
    /// Number of finished epochs.
    pub epoch: usize,
    /// Of the last finished epoch; NaN before the first.
    #[serde(with = "exact_float")]
    pub val_loss: f64,
    /// Choices made on validation data after training.
    #[serde(default, skip_serializing_if = "Operation::is_plain")]
    pub operation: Operation,
    /// In `state.safetensors` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingState>,
}

fn is_tutorial(network: &Architecture) -> bool {
    *network == Architecture::default()
}

/// How a network's probabilities are used: chosen on validation data, never on the split that they are tested on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Logits are divided by it (`metrics::temperature`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// At most one for each class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
}

/// A class is called positive where its probability is `probability` or more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    pub class: String,
    /// Goal of the choice, in words.
    pub goal: String,
    pub probability: f32,
}

impl Threshold {
    /// The position of its class among `classes`.
    pub fn index(&self, classes: &[String]) -> Option<usize> {
        classes.iter().position(|class| *class == self.class)
    }
}

impl Operation {
    fn is_plain(&self) -> bool {
        *self == Operation::default()
    }

    /// The classes whose probabilities reach their thresholds.
    pub fn positive<'a>(&'a self, classes: &[String], row: &[f32]) -> Vec<&'a str> {
        let reached =
            |threshold: &&Threshold| threshold.index(classes).is_some_and(|class| row[class] >= threshold.probability);
        self.thresholds.iter().filter(reached).map(|threshold| &threshold.class[..]).collect()
    }
}

/// State that an exact resume needs besides tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingState {
    /// Adam's t: updates so far, over all epochs.
    pub step: u64,
    /// Learning rate of the next step.
    #[serde(with = "exact_float")]
    pub lr: f32,
    /// All random numbers follow from it, the epoch and the step.
    pub seed: u64,
    /// Tells whether the data are still those the run began with.
    pub data_fingerprint: String,
    pub callbacks: Callbacks,
    pub history: Vec<EpochRecord>,
    /// The epoch under way.
    pub sums: EpochSums,
}

/// Writes a checkpoint atomically.
pub fn save(path: &Path, tensors: &[Tensor], metadata: &Metadata) -> Result<()> {
    let json = serde_json::to_string(metadata).expect("all keys are strings and all floats are text");
    let texts = [("format".to_string(), FORMAT.to_string()), ("ocellus".to_string(), json)];
    write_tensors(path, tensors, &BTreeMap::from(texts))
}

/// Changes how the network of a checkpoint is used, and nothing else of the file.
pub fn change_operation(path: &Path, change: impl FnOnce(&mut Operation)) -> Result<()> {
    let (tensors, mut metadata) = load(path)?;
    change(&mut metadata.operation);
    save(path, &tensors, &metadata)
}

/// Reads what `save` wrote. `Error::Input` says what else the file is, or how much of it is missing.
pub fn load(path: &Path) -> Result<(Vec<Tensor>, Metadata)> {
    let (tensors, texts) = read_tensors(path)?;
    let refuse = |message: String| Error::Input(format!("{}: {message}", path.display()));
    let format = texts.get("format").map_or("none", String::as_str);
    if format != FORMAT {
        return Err(refuse(format!("not a checkpoint this program can read: format {format}, not {FORMAT}")));
    }
    let json = texts.get("ocellus").map_or("", String::as_str);
    let metadata = serde_json::from_str(json).map_err(|e| refuse(format!("damaged metadata: {e}")))?;
    Ok((tensors, metadata))
}

/// The tensors in the order of `expected`, which is the network's list of names and shapes.
///
/// A file that lacks one, has one more, or has one of another shape is of another network: `Error::Input` says which.
pub fn expect(path: &Path, tensors: Vec<Tensor>, expected: &[(&str, &[usize])]) -> Result<Vec<Tensor>> {
    let mut found: BTreeMap<String, Tensor> = tensors.into_iter().map(|t| (t.name.clone(), t)).collect();
    let mut ordered = Vec::with_capacity(expected.len());
    let mut problems = Vec::new();
    for &(name, shape) in expected {
        match found.remove(name) {
            Some(tensor) if tensor.shape == shape => ordered.push(tensor),
            Some(tensor) => problems.push(format!("{name} has shape {:?} instead of {shape:?}", tensor.shape)),
            None => problems.push(format!("{name} with shape {shape:?} is missing")),
        }
    }
    problems
        .extend(found.values().map(|tensor| format!("{} with shape {:?} is not expected", tensor.name, tensor.shape)));
    if problems.is_empty() {
        return Ok(ordered);
    }
    // One difference in width or depth changes nearly every tensor; three examples tell enough.
    let rest = problems.len().saturating_sub(3);
    problems.truncate(3);
    let more = if rest > 0 { format!("; and {rest} more") } else { String::new() };
    Err(Error::Input(format!("{}: made by another network: {}{more}", path.display(), problems.join("; "))))
}

/// Writes any safetensors file atomically. `texts` is its string-to-string metadata. The same tensors and texts give
/// the same bytes.
pub fn write_tensors(path: &Path, tensors: &[Tensor], texts: &BTreeMap<String, String>) -> Result<()> {
    /// The crate's own header keeps `__metadata__` in a hash map, whose order differs from run to run.
    #[derive(Serialize)]
    struct OrderedHeader<'a> {
        __metadata__: &'a BTreeMap<String, String>,
        #[serde(flatten)]
        tensors: BTreeMap<&'a str, TensorInfo>,
    }

    let mut infos = BTreeMap::new();
    let mut end = 0;
    for tensor in tensors {
        let start = end;
        end += tensor.data.len() * size_of::<f32>();
        assert_eq!(tensor.shape.iter().product::<usize>(), tensor.data.len(), "shape of {}", tensor.name);
        let info = TensorInfo { dtype: Dtype::F32, shape: tensor.shape.clone(), data_offsets: (start, end) };
        assert!(infos.insert(tensor.name.as_str(), info).is_none(), "two tensors are called {}", tensor.name);
    }
    let header = OrderedHeader { __metadata__: texts, tensors: infos };
    let mut header = serde_json::to_vec(&header).expect("all keys are strings");
    // The format wants the data to begin at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');

    write_atomic(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for tensor in tensors {
            let bytes: Vec<u8> = tensor.data.iter().flat_map(|value| value.to_le_bytes()).collect();
            file.write_all(&bytes)?;
        }
        Ok(())
    })
}

/// Reads any safetensors file of f32 tensors, in the order in which they are stored, and its string metadata.
///
/// Allocates by the size of the file, never by what the file claims. `Error::Input` says what is wrong with it.
pub fn read_tensors(path: &Path) -> Result<(Vec<Tensor>, BTreeMap<String, String>)> {
    let file = File::open(path).map_err(Error::io(path))?;
    let size = file.metadata().map_err(Error::io(path))?.len();
    let mut file = BufReader::new(file);
    let refuse = |message: String| Error::Input(format!("{}: {message}", path.display()));

    let header = read_header(&mut file, size).map_err(refuse)?;
    let mut tensors = Vec::new();
    for name in header.offset_keys() {
        let info = header.info(&name).expect("the header's own key");
        if info.dtype != Dtype::F32 {
            return Err(refuse(format!("tensor {name} is {}, and only F32 is read", info.dtype)));
        }
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        file.read_exact(&mut bytes).map_err(Error::io(path))?;
        let data = bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect();
        tensors.push(Tensor { name, shape: info.shape.clone(), data });
    }
    let texts = header.metadata().clone().unwrap_or_default();
    Ok((tensors, texts.into_iter().collect()))
}

/// The header of a file of `size` bytes. Once it is accepted, its tensors fill the rest of the file exactly.
fn read_header(file: &mut impl Read, size: u64) -> std::result::Result<Header, String> {
    let foreign = |why: String| format!("not a safetensors file: {why}");
    let mut start = [0; 9];
    file.read_exact(&mut start).map_err(|_| foreign(format!("only {size} bytes long")))?;
    let (length, brace) = start.split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
    if length < 2 || brace != b"{" {
        return Err(foreign("it does not begin with a header".into()));
    }
    if length > size - 8 {
        return Err(format!("cut short: {size} bytes, and the header alone takes {length}"));
    }
    let mut json = b"{".to_vec();
    file.take(length - 1).read_to_end(&mut json).map_err(|e| e.to_string())?;
    let header: Header = serde_json::from_slice(&json).map_err(|e| foreign(format!("its header is damaged: {e}")))?;
    let needed = 8 + length + header.data_len() as u64;
    match size {
        _ if size < needed => Err(format!("cut short: {size} of {needed} bytes")),
        _ if size > needed => Err(format!("damaged: {size} bytes instead of {needed}")),
        _ => Ok(header),
    }
}
