//! `ocellus train`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::Args;

use super::evaluate::Tested;
use super::model::load_weights;
use super::{CacheArgs, ColumnArgs, DeviceArgs, decode, existing_folder, file_bar, plannable};
use crate::cam::Head;
use crate::config::Config;
use crate::data::{self, Cache, Dataset, Split, synthetic};
use crate::error::{Error, Result};
use crate::train::feed::Labelled;
use crate::train::{Data, Trainer, files};
use crate::tune::{self, Workload};
use crate::{checkpoint, files as disk, network};

/// Train; with no data named, on the built-in set of drawn fundus photographs (about three minutes on two CPU cores).
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// A folder with img/ and train.csv, val.csv[, test.csv], or dataset.csv, or data.csv; what is missing is prepared
    #[arg(long)]
    data: Option<PathBuf>,
    /// Where the run's files go [default: the first free of runs/1, runs/2, ...]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Go on with the run in this folder, from its last saved state
    #[arg(long, conflicts_with_all = ["data", "out", "config", "init"])]
    resume: Option<PathBuf>,
    /// Settings in TOML; options override them
    #[arg(long)]
    config: Option<PathBuf>,
    /// Start from these weights: a run's folder, a .safetensors file, or an .h5 file that Keras saved
    #[arg(long)]
    init: Option<PathBuf>,
    /// Number of passes over the training split [default: 300; built-in set: 8]
    #[arg(long)]
    epochs: Option<usize>,
    /// Images a training step [default: 32; built-in set: 16]
    #[arg(long)]
    batch: Option<usize>,
    /// Height and width of the network's input in pixels [default: 224; built-in set: 32]
    #[arg(long)]
    image_size: Option<usize>,
    /// Learning rate [default: 0.001; built-in set: 0.00006]
    #[arg(long)]
    lr: Option<f32>,
    /// Multiplier of the network's channel counts [default: 1]
    #[arg(long)]
    width: Option<f64>,
    /// What all random numbers follow from [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Cut batches into windows, so that the run takes no more of the device's memory
    #[arg(long, value_name = "MIB")]
    memory_budget: Option<u64>,
    /// Show the training images as they are
    #[arg(long)]
    no_augment: bool,
    #[command(flatten)]
    columns: ColumnArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

pub fn run(args: TrainArgs) -> Result<()> {
    let started = Instant::now();
    let (mut config, folder) = settle(&args)?;
    if let Some(data) = &config.data {
        existing_folder(data, "--data names a folder with img/ and a CSV file")?;
    }
    // A device that is not there is found out before anything is drawn or prepared.
    let mut engine = args.device.open(&config)?;
    // A run that is resumed must not move on between the reading of its state and the going on from it.
    let mut lock = args.resume.is_some().then(|| claim(&folder, &args)).transpose()?;
    let data_folder = match config.data.clone() {
        Some(data) => data,
        None => {
            let data = folder.join("data");
            lock = Some(claim(&folder, &args)?);
            draw_builtin(&data, config.seed)?;
            config.data = Some(data.clone());
            data
        }
    };
    let prepared = data::prepare(&data_folder, &config.columns, config.seed)?;
    for path in &prepared.made {
        eprintln!("Made {}", path.display());
    }
    println!("{}", prepared.table);
    let dataset = data::open(&data_folder, &config.columns)?;
    let network = network::tutorial(config.image_size, config.width, dataset.classes.len());
    plannable(&network, config.batch)?;
    let init = args.init.as_deref().map(|path| load_weights(path, &network)).transpose()?;

    let (size, resize) = (config.image_size, config.train_resize);
    let cache = CacheArgs { no_cache: !config.cache }.open();
    let data = Data {
        classes: dataset.classes.clone(),
        train: labelled("Decoding training images", &dataset.train, size, resize, cache.as_ref())?,
        val: labelled("Decoding validation images", &dataset.val, size, resize, cache.as_ref())?,
        train_files: dataset.train.examples.iter().map(|example| example.path.clone()).collect(),
        fingerprint: fingerprint(&dataset),
    };

    let workload = Workload { image_size: config.image_size, batch: config.batch, width: config.width };
    // A run that goes on computes as it began, whatever was tuned meanwhile.
    let tuned = args.resume.is_none().then_some(&workload);
    config.kernels = tune::settle(&mut engine, config.kernels.take(), tuned)?;
    let compiling = Instant::now();
    let mut trainer = Trainer::new(engine, &config, network.clone(), &data)?;
    eprintln!("Prepared the plans in {:.1} s", compiling.elapsed().as_secs_f64());
    if let Some(weights) = &init {
        trainer.set_weights(weights);
    }
    if args.resume.is_some() {
        trainer.restore(&folder.join(files::STATE))?;
        eprintln!("Resuming after epoch {}", trainer.history().len());
    }
    // Only now: a run that could not begin leaves no folder behind that looks like one that did.
    let _lock = match lock {
        Some(lock) => lock,
        None => claim(&folder, &args)?,
    };
    disk::remove_unfinished(&folder)?;
    let text = config.to_toml()?;
    disk::write_atomic(&folder.join(files::CONFIG), |file| file.write_all(text.as_bytes()))?;
    eprintln!("Run: {}", folder.display());
    trainer.run(&folder, &*interrupt_flag()?)?;

    if let Some(test) = &dataset.test {
        let path = folder.join(files::BEST);
        if !path.is_file() {
            return Err(Error::NotFinite("no epoch had a finite val_loss: there are no best weights to test".into()));
        }
        let (tensors, metadata) = checkpoint::load(&path)?;
        trainer.set_weights(&tensors);
        let images = decode("Decoding test images", test, size, config.test_resize, cache.as_ref())?;
        let program = trainer.inference_program();
        println!("\nTest split with the weights of epoch {}, which had the best val_loss:\n", metadata.epoch);
        let tested = Tested { split: test, images: &images, classes: &dataset.classes };
        tested.report(&mut trainer.engine, program, &Head::new(&network, &tensors), &folder, &folder)?;
    }
    eprintln!("Done in {:.1} s: {}", started.elapsed().as_secs_f64(), folder.display());
    Ok(())
}

/// The settings of the run and its folder.
fn settle(args: &TrainArgs) -> Result<(Config, PathBuf)> {
    if let Some(folder) = &args.resume {
        existing_folder(folder, "--resume names the folder of an earlier run")?;
        for file in [files::CONFIG, files::STATE] {
            if !folder.join(file).is_file() {
                return Err(Error::Input(format!(
                    "{}: no {file} in it, so there is nothing to resume (a run saves its state when it begins, at the end of \
                     each epoch, and when Ctrl-C stops it); begin anew in another folder",
                    folder.display()
                )));
            }
        }
        let mut config = Config::load(&folder.join(files::CONFIG))?;
        override_with(&mut config, args)?;
        return Ok((config, folder.clone()));
    }
    let mut config = match &args.config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    if args.data.is_some() {
        config.data = args.data.clone();
    }
    if config.data.is_none() && args.config.is_none() {
        configure_builtin(&mut config);
    }
    override_with(&mut config, args)?;
    let folder = match args.out.clone().or(config.out.clone()) {
        Some(folder) => folder,
        None => {
            (1..).map(|n| Path::new("runs").join(n.to_string())).find(|path| !path.exists()).expect("numbers go on")
        }
    };
    without_a_run(&folder)?;
    config.out = Some(folder.clone());
    Ok((config, folder))
}

fn without_a_run(folder: &Path) -> Result<()> {
    if [files::CONFIG, files::STATE, files::BEST].iter().any(|file| folder.join(file).exists()) {
        return Err(Error::Input(format!(
            "{}: already holds a run; go on with it by --resume {0}, or name another folder by --out",
            folder.display()
        )));
    }
    Ok(())
}

/// Makes the run's folder this process's own. Another may have begun a run there since the settings were read.
fn claim(folder: &Path, args: &TrainArgs) -> Result<disk::Lock> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let lock = disk::lock(folder)?;
    if args.resume.is_none() {
        without_a_run(folder)?;
    }
    Ok(lock)
}

/// The settings of a run on the built-in set: small enough for three minutes on two CPU cores.
///
/// Batch norm's moving statistics, which validation uses, forget only 1 % a step. In the 500 steps that such a run has
/// they cannot follow weights that move at the tutorial's rate, so the rate is lower and the batches are smaller: at
/// 1e-3 with batches of 32 the training accuracy after 230 steps is 0.92, the validation accuracy 0.63.
fn configure_builtin(config: &mut Config) {
    config.image_size = synthetic::Options::default().size;
    config.batch = 16;
    config.epochs = 8;
    config.lr = 6e-5;
    // Decoding them takes no time.
    config.cache = false;
}

fn override_with(config: &mut Config, args: &TrainArgs) -> Result<()> {
    fn set<T: Clone>(to: &mut T, from: &Option<T>) {
        if let Some(value) = from {
            *to = value.clone();
        }
    }
    set(&mut config.epochs, &args.epochs);
    set(&mut config.batch, &args.batch);
    set(&mut config.image_size, &args.image_size);
    set(&mut config.lr, &args.lr);
    set(&mut config.width, &args.width);
    set(&mut config.seed, &args.seed);
    set(&mut config.device, &args.device.device);
    config.memory_budget = args.memory_budget.or(config.memory_budget);
    config.augment &= !args.no_augment;
    config.cache &= !args.cache.no_cache;
    config.columns = args.columns.over(std::mem::take(&mut config.columns));
    config.validate()
}

fn draw_builtin(folder: &Path, seed: u64) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let options = synthetic::Options { seed, ..Default::default() };
    eprintln!("No --data: drawing {} fundus photographs in {}", options.images, folder.display());
    let bar = file_bar("Drawing", options.images);
    synthetic::write(folder, &options, |done, _| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    Ok(())
}

fn labelled(
    what: &'static str,
    split: &Split,
    size: usize,
    resize: data::Resampling,
    cache: Option<&Cache>,
) -> Result<Labelled> {
    let images = decode(what, split, size, resize, cache)?;
    Ok(Labelled { images, labels: split.examples.iter().map(|example| example.label as u32).collect() })
}

/// Names and labels of the training and validation rows, in order.
fn fingerprint(dataset: &Dataset) -> String {
    let mut hash = crc32fast::Hasher::new();
    for split in [&dataset.train, &dataset.val] {
        for example in &split.examples {
            let name = example.path.file_name().unwrap_or_default().to_string_lossy();
            hash.update(format!("{name}\0{}\0{}\n", example.id, example.label).as_bytes());
        }
    }
    let counts = [&dataset.train, &dataset.val].map(|split| split.examples.len());
    format!("{} training and {} validation images, crc {:08x}", counts[0], counts[1], hash.finalize())
}

/// Set by the first Ctrl-C; the second ends the program at once.
fn interrupt_flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if shared.swap(true, Ordering::Relaxed) {
            std::process::exit(Error::Interrupted.exit_status());
        }
        eprintln!("\nStopping after this step and saving the state (Ctrl-C again: at once)");
    })
    .map_err(|error| Error::Input(format!("cannot watch for Ctrl-C: {error}")))?;
    Ok(flag)
}
