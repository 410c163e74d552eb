//! All settings of a run. What neither a file nor the command line says is as in the tutorial.

pub mod keys;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

use crate::app::data::augment::Ranges;
use crate::app::data::folds::FEWEST;
use crate::app::data::{Columns, Fold, Resampling, synthetic};
use crate::app::train::callbacks::CallbackOptions;
use crate::app::train::schedule::Schedule;
use crate::engine::image_size::ImageSize;
use crate::engine::plan::Cut;
use crate::engine::shader::Replaced;
use crate::engine::variant::Variant;
use crate::error::{Error, Result};
use crate::network::Architecture;

/// Tables of a run whose data are read-only, in its folder.
pub const TABLES: &str = "tables";

/// The largest budget of memory that makes sense to count in MiB: a TiB.
pub const MOST_MIB: u64 = 1 << 20;

/// The shortest side of a network's input: five 2x2 pools leave one pixel of it.
pub const SHORTEST_SIDE: usize = 32;

/// Settings of a run, as a config file has them. A key that is left out is as in the tutorial.
///
/// The command line overrides keys one by one; call `validate` after that. The doc comments are what `train --help`,
/// `--print-config` and the schema say of a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The folder with the tables and `img/`; without it, the built-in set is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// The folder with the tables, where they are not in `data`, as for a set that is read-only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables: Option<PathBuf>,
    /// The fold that the run is tested on; without it, the splits are those of train.csv, val.csv and test.csv.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fold: Option<Fold>,
    /// The run's folder; without it, the first free of runs/1, runs/2, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out: Option<PathBuf>,
    /// Folder for TensorBoard's event files; without it, no events are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tensorboard: Option<PathBuf>,
    /// `auto`, `cpu`, or an adapter by its number, its backend, a part of its name, or `BACKEND:NAME-PART`.
    pub device: String,
    /// Devices that share every batch out, named as `device` is and parted by commas, or `all`; without it, `device`
    /// alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<String>,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Number of passes over the training split.
    pub epochs: usize,
    /// Images per training step.
    pub batch: usize,
    /// The network: a preset's name, or the layers that a file for `--network` has.
    pub network: Architecture,
    /// Size of the network's input in pixels, N or height x width.
    pub image_size: ImageSize,
    /// Multiplier of the network's channel counts.
    pub width: f64,
    /// Learning rate of the first epoch; with a warm-up, the rate that it rises to.
    pub lr: f32,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Epochs, or a part of one, in which the learning rate rises from 0.
    pub warmup: f64,
    /// Share of each label that the loss spreads evenly over all classes.
    pub label_smoothing: f32,
    /// Gradients of a step are scaled down together where their norm is greater than this; without it, they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f32>,
    /// Layers that training leaves as they are: names, and ranges `FIRST..LAST`.
    pub freeze: Vec<String>,
    /// Weights that training starts from, as `--init` takes them; without it, random ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// The last layer is drawn anew, whatever `init` has: its classes may be others.
    pub new_head: bool,
    /// Whether decoded photographs are kept for the next run.
    pub cache: bool,
    /// Whether photographs are decoded in every epoch, and their pixels kept nowhere.
    pub stream: bool,
    /// How training and validation images are brought to the network's input size.
    pub train_resize: Resampling,
    /// How images are brought to that size for evaluation and prediction.
    pub test_resize: Resampling,
    /// Whether training images are varied at random within `augmentation`.
    pub augment: bool,
    /// How far each parameter of a variation may be from neutral, either way.
    pub augmentation: Ranges,
    /// Decisions at the end of each epoch.
    pub callbacks: CallbackOptions,
    /// Names of the columns, in every table of the data.
    pub columns: Columns,
    /// The most memory of the device, in MiB, that the run's plans may take; without it, any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_budget: Option<u64>,
    /// Whether outputs of layers are stored in half precision.
    pub half_activations: bool,
    /// Whether matrix units compute large products, from factors in half precision.
    pub matrix_units: bool,
    /// How products and convolutions are computed; without it, as `tune` found for the device, else by the best guess. A
    /// run records what it began with, since it decides the rounding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernels: Option<Variant>,
    /// Cut of the plans by the device's bindings and speed; without it, the device is asked. A run records the cut that it
    /// began with, since it decides the rounding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// Shader files that stand in for built-in ones. A run records which they were, and goes on with no others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shaders: Option<Replaced>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data: None,
            tables: None,
            fold: None,
            out: None,
            tensorboard: None,
            device: "auto".to_string(),
            devices: None,
            seed: 0,
            epochs: 300,
            batch: 32,
            network: Architecture::default(),
            image_size: ImageSize::square(224),
            width: 1.0,
            lr: 1e-3,
            schedule: Schedule::default(),
            warmup: 0.0,
            label_smoothing: 0.0,
            clip_norm: None,
            freeze: Vec::new(),
            init: None,
            new_head: false,
            cache: true,
            stream: false,
            // Keras's loader resizes with nearest neighbour unless told otherwise, and the tutorial did not tell it;
            // its own evaluation code uses Lanczos.
            train_resize: Resampling::Nearest,
            test_resize: Resampling::Lanczos,
            augment: true,
            augmentation: Ranges::default(),
            callbacks: CallbackOptions::default(),
            columns: Columns::default(),
            memory_budget: None,
            half_activations: false,
            matrix_units: false,
            kernels: None,
            cut: None,
            shaders: None,
        }
    }
}

impl Config {
    /// Settings of a run on the built-in set: small enough for three minutes on two CPU cores.
    ///
    /// Batch norm's moving statistics, which validation uses, forget only 1 % per step. In the 500 steps that such a run has
    /// they cannot follow weights that move at the tutorial's rate, so the rate is lower and the batches are smaller: at
    /// 1e-3 with batches of 32 the training accuracy after 230 steps is 0.92, the validation accuracy 0.63.
    pub fn configure_builtin(&mut self) {
        self.image_size = synthetic::Options::default().size;
        self.batch = 16;
        self.epochs = 8;
        self.lr = 6e-5;
        // Decoding them takes no time.
        self.cache = false;
    }
}

/// A value that cannot be used, by the path of its key in the file.
struct Unusable {
    key: &'static str,
    why: String,
}

impl Config {
    /// The folder of the tables of a run in the folder `run`, if it is not that of its data. One inside the run's folder
    /// moves with it.
    pub fn tables_of(&self, run: &Path) -> Option<PathBuf> {
        let own = || Some(run.join(TABLES)).filter(|tables| tables.is_dir());
        let recorded = self.tables.as_ref()?;
        if recorded.is_dir() { Some(recorded.clone()) } else { own().or(Some(recorded.clone())) }
    }

    /// Reads a TOML file. Unknown keys, values of the wrong type and values that cannot be used are
    /// `Error::Input` with file and line.
    pub fn load(path: &Path) -> Result<Config> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let text = str::from_utf8(&bytes).map_err(|e| {
            let line = 1 + bytes[..e.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
            Error::at(path, line as u64, "not UTF-8 text")
        })?;
        let at = |offset: usize, message: &str| Error::at(path, line_of(text, offset), message);
        let config: Config =
            toml::from_str(text).map_err(|e| at(e.span().map_or(0, |span| span.start), e.message()))?;
        config.check().map_err(|Unusable { key, why }| at(offset_of(text, key), &format!("{key} {why}")))?;
        Ok(config)
    }

    /// Makes all paths absolute: a run that records them can be resumed from any folder.
    pub fn with_absolute_paths(mut self) -> Result<Config> {
        let shaders = self.shaders.as_mut().map(|shaders| &mut shaders.folder);
        let paths = [&mut self.data, &mut self.tables, &mut self.out, &mut self.tensorboard, &mut self.init];
        let paths = paths.into_iter().flatten();
        for path in paths.chain(shaders) {
            let absolute = std::path::absolute(path.as_path()).map_err(Error::io(path))?;
            *path = absolute;
        }
        Ok(self)
    }

    /// The whole config, defaults included, as `load` reads it.
    ///
    /// A path that is not UTF-8 has no form in TOML: `Error::Input`.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Input(format!("the config cannot be written as TOML: {e}")))
    }

    /// `Error::Input` names the first key whose value cannot be used.
    pub fn validate(&self) -> Result<()> {
        self.check().map_err(|Unusable { key, why }| Error::Input(format!("{key} {why}")))
    }

    fn check(&self) -> std::result::Result<(), Unusable> {
        let Config { augmentation, callbacks, .. } = self;
        at_least("epochs", self.epochs, 1)?;
        at_least("batch", self.batch, 1)?;
        sides_at_least("image_size", self.image_size, SHORTEST_SIDE)?;
        positive("width", self.width)?;
        positive("lr", f64::from(self.lr))?;
        within("warmup", self.warmup, 0.0..=f64::MAX)?;
        within("label_smoothing", f64::from(self.label_smoothing), 0.0..=1.0)?;
        if let Some(norm) = self.clip_norm {
            positive("clip_norm", f64::from(norm))?;
        }
        if let Some(cut) = self.cut {
            at_least("cut.binding_bytes", cut.binding_bytes as usize, 1 << 20)?;
            at_least("cut.dispatch_flops", cut.dispatch_flops.unwrap_or(1) as usize, 1)?;
            at_least("cut.shares", cut.share_count(), 1)?;
            if !self.batch.is_multiple_of(cut.share_count()) {
                let why = format!("is {}, which does not divide a batch of {}", cut.share_count(), self.batch);
                return Err(Unusable { key: "cut.shares", why });
            }
        }
        if let Some(Fold { number, of }) = self.fold {
            at_least("fold.number", number, 1)?;
            at_least("fold.of", of.unwrap_or(FEWEST), FEWEST)?;
        }
        within("augmentation.rotation", augmentation.rotation, 0.0..=180.0)?;
        within("augmentation.width_shift", augmentation.width_shift, 0.0..=1.0)?;
        within("augmentation.height_shift", augmentation.height_shift, 0.0..=1.0)?;
        within("augmentation.shear", augmentation.shear, 0.0..=45.0)?;
        within("augmentation.zoom", augmentation.zoom, 0.0..=0.9)?;
        within("callbacks.reduce_lr.factor", callbacks.reduce_lr.factor, 1e-6..=1.0)?;
        at_least("callbacks.reduce_lr.patience", callbacks.reduce_lr.patience, 1)?;
        within("callbacks.reduce_lr.min_delta", callbacks.reduce_lr.min_delta, 0.0..=f64::MAX)?;
        within("callbacks.reduce_lr.min_lr", callbacks.reduce_lr.min_lr, 0.0..=f64::MAX)?;
        if let Some(mib) = self.memory_budget.filter(|mib| !(1..=MOST_MIB).contains(mib)) {
            return Err(Unusable {
                key: "memory_budget",
                why: format!("is {mib}, and must be from 1 to {MOST_MIB} MiB"),
            });
        }
        at_least("callbacks.early_stopping.patience", callbacks.early_stopping.patience, 1)?;
        within("callbacks.early_stopping.min_delta", callbacks.early_stopping.min_delta, 0.0..=f64::MAX)
    }
}

fn at_least(key: &'static str, value: usize, least: usize) -> std::result::Result<(), Unusable> {
    if value >= least {
        Ok(())
    } else {
        Err(Unusable { key, why: format!("is {value}, and must be at least {least}") })
    }
}

fn sides_at_least(key: &'static str, size: ImageSize, least: usize) -> std::result::Result<(), Unusable> {
    if size.height == size.width {
        return at_least(key, size.height, least);
    }
    let short: Vec<&str> = size.sides().into_iter().filter(|&(_, side)| side < least).map(|(name, _)| name).collect();
    match short[..] {
        [] => Ok(()),
        _ => {
            let why = format!("is {size}, and its {} must be at least {least}", short.join(" and "));
            Err(Unusable { key, why })
        }
    }
}

fn positive(key: &'static str, value: f64) -> std::result::Result<(), Unusable> {
    let usable = value.is_finite() && value > 0.0;
    if usable { Ok(()) } else { Err(Unusable { key, why: format!("is {value}, and must be above 0 and finite") }) }
}

fn within(key: &'static str, value: f64, range: RangeInclusive<f64>) -> std::result::Result<(), Unusable> {
    if range.contains(&value) {
        return Ok(());
    }
    let (from, to) = range.into_inner();
    let why = match to {
        f64::MAX => format!("is {value}, and must be at least {from} and finite"),
        _ => format!("is {value}, and must be from {from} to {to}"),
    };
    Err(Unusable { key, why })
}

/// Line numbers start at 1.
fn line_of(text: &str, offset: usize) -> u64 {
    1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count() as u64
}

/// Where the value of a key stands. Only a value that the file gives can be unusable, so it is there.
fn offset_of(text: &str, key: &str) -> usize {
    let Ok(document) = DeTable::parse(text) else { return 0 };
    let mut table = document.into_inner();
    let mut offset = 0;
    for part in key.split('.') {
        let Some(value) = table.remove(part) else { break };
        offset = value.span().start;
        let DeValue::Table(inner) = value.into_inner() else { break };
        table = inner;
    }
    offset
}
