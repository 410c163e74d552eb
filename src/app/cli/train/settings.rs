//! The options of `ocellus train`, and the settings that they and a config file come to.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::Args;

use super::super::{CacheArgs, ColumnArgs, DeviceArgs, MemoryArgs, ReplacedArgs, UnitsArgs, existing_folder};
use super::devices::DevicesArgs;
use super::shown::ShownArgs;
use crate::app::config::{Config, keys};
use crate::app::data::Fold;
use crate::app::train::callbacks::{CallbackOptions, Monitor};
use crate::app::train::schedule::Schedule;
use crate::app::train::{files, overfit};
use crate::engine::image_size::ImageSize;
use crate::error::{Error, Result};
use crate::network::Architecture;

/// Train; with no data named, on the built-in set of drawn fundus photographs (about three minutes on two CPU cores).
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// A folder with img/ and train.csv, val.csv[, test.csv], or dataset.csv, or data.csv; what is missing is prepared
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// The folder with the CSV files, where they are not in --data; what is missing is made there
    /// [default: --data; the run's tables/ where --data is read-only]
    #[arg(long, value_name = "DIR")]
    pub tables: Option<PathBuf>,
    /// Test on this fold of folds.csv, from 1, validate on the next one and train on the others: see
    /// prepare --folds
    #[arg(long, value_name = "I", conflicts_with = "resume", value_parser = clap::value_parser!(u64).range(1..))]
    pub fold: Option<u64>,
    /// Where the run's files go [default: the first free of runs/1, runs/2, ...]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Go on with the run in this folder, from its last saved state; with --data where its
    /// photographs are elsewhere now
    #[arg(long, conflicts_with_all = ["out", "config", "init"])]
    pub resume: Option<PathBuf>,
    /// Settings in TOML; options override them
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Start from these weights: a run's folder, a .safetensors file, or an .h5 file that Keras saved
    #[arg(long)]
    pub init: Option<PathBuf>,
    #[command(flatten)]
    from: FromArgs,
    #[arg(long, help = of_key("epochs", |c| &c.epochs))]
    pub epochs: Option<usize>,
    #[arg(long, help = of_key("batch", |c| &c.batch))]
    pub batch: Option<usize>,
    #[arg(long, value_name = "NAME|FILE", help = with_default("The network: tutorial, residual, or a TOML file of layers", |c| {
        &c.network
    }))]
    pub network: Option<String>,
    #[arg(long, value_name = "N|HxW", help = of_key("image_size", |c| {
        &c.image_size
    }))]
    pub image_size: Option<ImageSize>,
    #[arg(long, help = of_key("lr", |c| &c.lr))]
    pub lr: Option<f32>,
    #[arg(long, help = of_key("width", |c| &c.width))]
    pub width: Option<f64>,
    #[arg(long, help = of_key("seed", |c| &c.seed))]
    pub seed: Option<u64>,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    units: UnitsArgs,
    /// Show the training images as they are
    #[arg(long)]
    pub no_augment: bool,
    /// Write each epoch's numbers to an event file for TensorBoard in this folder
    #[arg(long, value_name = "DIR")]
    pub tensorboard: Option<PathBuf>,
    #[command(flatten)]
    pub columns: ColumnArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
    /// Decode photographs in every epoch, and keep none of their pixels: for sets larger than any disk
    #[arg(long)]
    pub stream: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub devices: DevicesArgs,
    #[command(flatten)]
    replaced: ReplacedArgs,
    #[command(flatten)]
    pub look: LookArgs,
    #[command(flatten)]
    pub callbacks: CallbackArgs,
    #[command(flatten)]
    pub shown: ShownArgs,
}

/// Layers that training changes, and how fast it does.
#[derive(Debug, Args)]
#[command(next_help_heading = "Going on from other weights")]
struct FromArgs {
    /// With --init: draw the last layer anew, for other classes
    #[arg(long)]
    new_head: bool,
    /// Layers that stay as they are: names, and ranges as conv1..bn3 (see summary). Their gradients are not computed; a batch norm
    /// among them uses its moving statistics
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    freeze: Vec<String>,
    #[arg(long, value_enum, help = of_key("schedule", |c| &c.schedule))]
    schedule: Option<Schedule>,
    #[arg(long, value_name = "EPOCHS", help = of_key("warmup", |c| {
        &c.warmup
    }))]
    warmup: Option<f64>,
    #[arg(long, value_name = "SHARE", help = of_key("label_smoothing", |c| {
        &c.label_smoothing
    }))]
    label_smoothing: Option<f32>,
    /// Scale the gradients of a step down together where their norm is greater than this [default: any norm]
    #[arg(long, value_name = "NORM")]
    clip_norm: Option<f32>,
}

impl FromArgs {
    fn override_settings(&self, config: &mut Config) {
        set(&mut config.schedule, &self.schedule);
        set(&mut config.warmup, &self.warmup);
        set(&mut config.label_smoothing, &self.label_smoothing);
        if !self.freeze.is_empty() {
            config.freeze.clone_from(&self.freeze);
        }
        config.clip_norm = self.clip_norm.or(config.clip_norm);
        config.new_head |= self.new_head;
    }
}

/// Quick looks at whether everything works, before a run that takes hours.
#[derive(Debug, Args)]
#[command(next_help_heading = "Quick looks")]
pub struct LookArgs {
    /// One batch of everything, in seconds: a training step, validation, checkpoint, test, report. Its figures mean nothing
    #[arg(long, conflicts_with_all = ["resume", "epochs", "overfit"])]
    pub fast_dev_run: bool,
    #[arg(
        long,
        value_name = "N",
        conflicts_with_all = ["resume", "out", "tensorboard", "no_augment"],
        value_parser = clap::value_parser!(u64).range(1..),
        help = format!(
            "Drive N training images to zero loss (at most {}) in --epochs passes [default: {OVERFIT_EPOCHS}], as they are and \
             with no callback; exit status 1 if it stays above. Saves no run",
            overfit::GOAL
        )
    )]
    pub overfit: Option<u64>,
}

const OVERFIT_EPOCHS: usize = 200;

/// Keras's ModelCheckpoint, EarlyStopping and ReduceLROnPlateau.
#[derive(Debug, Args)]
#[command(next_help_heading = "Callbacks")]
pub struct CallbackArgs {
    #[arg(long, value_name = "METRIC", help = of_key("callbacks.best_checkpoint.monitor", |c| {
        &c.callbacks.best_checkpoint.monitor
    }))]
    monitor: Option<Monitor>,
    #[arg(long, value_name = "METRIC", help = of_key("callbacks.early_stopping.monitor", |c| {
        &c.callbacks.early_stopping.monitor
    }))]
    stop_monitor: Option<Monitor>,
    #[arg(long, value_name = "EPOCHS", help = of_key("callbacks.early_stopping.patience", |c| {
        &c.callbacks.early_stopping.patience
    }))]
    patience: Option<usize>,
    #[arg(long, value_name = "DELTA", help = of_key("callbacks.early_stopping.min_delta", |c| {
        &c.callbacks.early_stopping.min_delta
    }))]
    stop_min_delta: Option<f64>,
    #[arg(long, value_name = "METRIC", help = of_key("callbacks.reduce_lr.monitor", |c| {
        &c.callbacks.reduce_lr.monitor
    }))]
    lr_monitor: Option<Monitor>,
    #[arg(long, value_name = "EPOCHS", help = of_key("callbacks.reduce_lr.patience", |c| {
        &c.callbacks.reduce_lr.patience
    }))]
    lr_patience: Option<usize>,
    #[arg(long, value_name = "FACTOR", help = of_key("callbacks.reduce_lr.factor", |c| {
        &c.callbacks.reduce_lr.factor
    }))]
    lr_factor: Option<f64>,
    #[arg(long, value_name = "DELTA", help = of_key("callbacks.reduce_lr.min_delta", |c| {
        &c.callbacks.reduce_lr.min_delta
    }))]
    lr_min_delta: Option<f64>,
    #[arg(long, value_name = "EPOCHS", help = of_key("callbacks.reduce_lr.cooldown", |c| {
        &c.callbacks.reduce_lr.cooldown
    }))]
    lr_cooldown: Option<usize>,
    #[arg(long, value_name = "RATE", help = of_key("callbacks.reduce_lr.min_lr", |c| {
        &c.callbacks.reduce_lr.min_lr
    }))]
    lr_min: Option<f64>,
}

/// The meaning of a key of the config, as a line of help with the default.
fn of_key<T: Display>(key: &str, value: fn(&Config) -> &T) -> String {
    with_default(keys::meaning(key).trim_end_matches('.'), value)
}

/// A line of help with the default, and with the built-in set's where that is another.
fn with_default<T: Display>(what: &str, value: fn(&Config) -> &T) -> String {
    let mut builtin = Config::default();
    builtin.configure_builtin();
    let [usual, builtin] = [Config::default(), builtin].map(|config| value(&config).to_string());
    let builtin = if builtin == usual { String::new() } else { format!("; built-in set: {builtin}") };
    format!("{what} [default: {usual}{builtin}]")
}

impl TrainArgs {
    /// The settings of the run and its folder; none means a free one.
    pub fn settle(&self) -> Result<(Config, Option<PathBuf>)> {
        if let Some(folder) = &self.resume {
            return Ok((self.settle_resumed(folder)?, Some(folder.clone())));
        }
        let mut config = match &self.config {
            Some(path) => Config::load(path)?,
            None => Config::default(),
        };
        if self.data.is_some() {
            // Tables that the config names are those of its own data.
            (config.data, config.tables) = (self.data.clone(), None);
        }
        config.tables = self.tables.clone().or(config.tables.take());
        if let Some(number) = self.fold {
            config.fold = Some(Fold { number: number as usize, of: None });
        }
        if config.fold.is_some() && config.data.is_none() {
            return Err(Error::Input("--fold: name the folder with folds.csv by --data".into()));
        }
        if config.data.is_none() && self.config.is_none() {
            config.configure_builtin();
        }
        self.override_settings(&mut config)?;
        let folder = self.out.clone().or(config.out.take());
        if let (Some(folder), None) = (&folder, self.look.overfit) {
            without_a_run(folder)?;
        }
        Ok((config, folder))
    }

    fn settle_resumed(&self, folder: &Path) -> Result<Config> {
        existing_folder(folder, "--resume names the folder of an earlier run")?;
        for file in [files::CONFIG, files::STATE] {
            if !folder.join(file).is_file() {
                return Err(Error::Input(format!(
                    "{}: no {file} in it, so there is nothing to resume (a run saves its state when it begins, at the end of \
                     each epoch, and when Ctrl-C stops it); begin anew without --resume",
                    folder.display()
                )));
            }
        }
        let begun = Config::load(&folder.join(files::CONFIG))?;
        let mut config = begun.clone();
        config.data = self.data.clone().or(config.data.take());
        config.tables = self.tables.clone().or_else(|| begun.tables_of(folder));
        self.override_settings(&mut config)?;
        let kept = |config: &Config| {
            [
                ("network", config.network.to_string()),
                ("batch", config.batch.to_string()),
                ("image-size", config.image_size.to_string()),
                ("lr", config.lr.to_string()),
                ("schedule", config.schedule.to_string()),
                ("warmup", config.warmup.to_string()),
                ("label-smoothing", config.label_smoothing.to_string()),
                ("clip-norm", config.clip_norm.map_or("none".into(), |norm| norm.to_string())),
                ("freeze", config.freeze.join(",")),
                ("new-head", config.new_head.to_string()),
                ("epochs", if config.schedule == Schedule::Cosine { config.epochs.to_string() } else { String::new() }),
                ("width", config.width.to_string()),
                ("seed", config.seed.to_string()),
                ("augment", config.augment.to_string()),
                ("half-activations", config.half_activations.to_string()),
                ("matrix-units", config.matrix_units.to_string()),
                ("memory-budget", config.memory_budget.map_or("none".into(), |mib| format!("{mib} MiB"))),
            ]
        };
        if begun.shaders.is_none() && config.shaders.is_some() {
            let folder = folder.display();
            return Err(Error::Input(format!(
                "{folder}: the run began with the built-in shaders: leave out --shaders"
            )));
        }
        for ((name, was), (_, now)) in kept(&begun).into_iter().zip(kept(&config)) {
            if was != now {
                let folder = folder.display();
                return Err(Error::Input(format!(
                    "{folder}: the run began with {name} {was}, and cannot go on with {now}"
                )));
            }
        }
        Ok(config)
    }

    fn override_settings(&self, config: &mut Config) -> Result<()> {
        set(&mut config.epochs, &self.epochs);
        set(&mut config.batch, &self.batch);
        set(&mut config.image_size, &self.image_size);
        if let Some(named) = &self.network {
            config.network = Architecture::read(named, config.image_size)?;
        }
        set(&mut config.lr, &self.lr);
        config.init = self.init.clone().or(config.init.take());
        self.from.override_settings(config);
        if config.new_head && config.init.is_none() {
            return Err(Error::Input("--new-head: name the weights to start from by --init".into()));
        }
        set(&mut config.width, &self.width);
        set(&mut config.seed, &self.seed);
        config.half_activations |= self.memory.half_activations;
        config.matrix_units |= self.units.matrix_units;
        config.memory_budget = self.memory.memory_budget.or(config.memory_budget);
        set(&mut config.device, &self.device.device);
        self.devices.override_settings(self.device.device.as_deref(), config);
        config.augment &= !self.no_augment;
        config.cache &= !self.cache.no_cache;
        config.stream |= self.stream;
        if let Some(folder) = &self.replaced.shaders {
            config.shaders.get_or_insert_default().folder = folder.clone();
        }
        config.tensorboard = self.tensorboard.clone().or(config.tensorboard.take());
        config.columns = self.columns.over(std::mem::take(&mut config.columns));
        self.callbacks.override_settings(&mut config.callbacks);
        if self.look.fast_dev_run {
            config.epochs = 1;
        }
        if let Some(images) = self.look.overfit {
            config.epochs = self.epochs.unwrap_or(OVERFIT_EPOCHS);
            config.batch = config.batch.min(images as usize);
            config.augment = false;
        }
        config.validate()
    }
}

impl CallbackArgs {
    fn override_settings(&self, options: &mut CallbackOptions) {
        let CallbackOptions { best_checkpoint, reduce_lr, early_stopping } = options;
        set(&mut best_checkpoint.monitor, &self.monitor);
        set(&mut early_stopping.monitor, &self.stop_monitor);
        set(&mut early_stopping.patience, &self.patience);
        set(&mut early_stopping.min_delta, &self.stop_min_delta);
        set(&mut reduce_lr.monitor, &self.lr_monitor);
        set(&mut reduce_lr.patience, &self.lr_patience);
        set(&mut reduce_lr.factor, &self.lr_factor);
        set(&mut reduce_lr.min_delta, &self.lr_min_delta);
        set(&mut reduce_lr.cooldown, &self.lr_cooldown);
        set(&mut reduce_lr.min_lr, &self.lr_min);
    }
}

fn set<T: Clone>(to: &mut T, from: &Option<T>) {
    if let Some(value) = from {
        *to = value.clone();
    }
}

/// Refuses a folder that another run's files are in. A config without a state or weights is no run:
/// it is the user's own, or was left by a run that was killed before it began. The latter may be
/// replaced.
pub fn without_a_run(folder: &Path) -> Result<()> {
    let (config, shown) = (folder.join(files::CONFIG), folder.display());
    if [files::STATE, files::BEST].iter().any(|file| folder.join(file).exists()) {
        return Err(Error::Input(format!(
            "{shown}: already holds a run; go on with it by --resume {shown}, or name another folder by --out"
        )));
    }
    if config.exists() && !is_as_recorded(&config) {
        let config = config.display();
        return Err(Error::Input(format!("{config}: the run's own would replace it; name another folder by --out")));
    }
    Ok(())
}

/// Whether a config file is byte by byte what a run in its folder records.
fn is_as_recorded(path: &Path) -> bool {
    let recorded = || Config::load(path)?.to_toml();
    recorded().is_ok_and(|text| std::fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes()))
}
