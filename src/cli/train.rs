//! `ocellus train`.

mod settings;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use blake3::Hash;

use super::evaluate::Tested;
use super::model::load_weights;
use super::output::{say, warn_in_short};
use super::{CacheArgs, decode, existing_folder, file_bar, plannable, read_shaders};
use crate::cam::Head;
use crate::checkpoint::{self, Tensor};
use crate::config::Config;
use crate::data::copies::{self, Printed};
use crate::data::{self, Cache, Dataset, Images, Split, synthetic};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::files as disk;
use crate::network::Network;
use crate::train::feed::Labelled;
use crate::train::overfit::{GOAL, Overfit};
use crate::train::{Data, Trainer, files};
use crate::tune::{self, Workload};
pub use settings::TrainArgs;
use settings::without_a_run;

pub fn run(args: TrainArgs) -> Result<()> {
    let started = Instant::now();
    let (mut config, folder) = args.settle()?;
    if let Some(data) = &config.data {
        existing_folder(data, "--data names a folder with img/ and a CSV file")?;
    }
    // A device that is not there is found out before anything is drawn or prepared.
    let shaders = read_shaders(&mut config.shaders)?;
    let mut engine = args.device.open_with(&config, shaders)?;
    if config.half_activations {
        engine.check_halves()?;
    }
    if let Some(images) = args.look.overfit {
        return overfit(&args, &mut config, engine, images as usize);
    }
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
    let mut dataset = open_data(&data_folder, &config)?;
    if args.look.fast_dev_run {
        eprintln!("Fast dev run: one batch of {} images of everything; the figures mean nothing", config.batch);
        dataset.train.thin_out(config.batch);
        dataset.val.thin_out(config.batch);
        dataset.test.iter_mut().for_each(|test| test.thin_out(config.batch));
    }
    let ready = Ready::new(&args, &config, &dataset)?;
    ready.warn_of_copies(&dataset);

    let network = config.network.to_string();
    let workload = Workload { network, image_size: config.image_size, batch: config.batch, width: config.width };
    // A run that goes on computes as it began, whatever was tuned meanwhile.
    let tuned = args.resume.is_none().then_some(&workload);
    config.kernels = tune::settle(&mut engine, config.kernels.take(), tuned)?;
    let (cut, own) = (*config.cut.get_or_insert(engine.target().cut()), engine.target().binding_bytes);
    if own < cut.binding_bytes {
        let [own, begun] = [own, cut.binding_bytes].map(|bytes| bytes >> 20);
        eprintln!(
            "warning: the run began with bindings of {begun} MiB, here they are of {own}: sums are rounded otherwise now"
        );
    }
    let compiling = Instant::now();
    let mut trainer = Trainer::new(engine, &config, ready.network.clone(), &ready.data)?;
    eprintln!("Prepared the plans in {:.1} s", compiling.elapsed().as_secs_f64());
    if let Some(weights) = &ready.init {
        trainer.set_weights(weights);
    }
    if args.resume.is_some() {
        trainer.restore(&folder.join(files::STATE))?;
        eprintln!("Resuming after epoch {}", trainer.history().len());
    }
    if let Some(folder) = &config.tensorboard {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    // Only now: a run that could not begin leaves no folder behind that looks like one that did.
    let _lock = match lock {
        Some(lock) => lock,
        None => claim(&folder, &args)?,
    };
    disk::remove_unfinished(&folder)?;
    let text = config.clone().with_absolute_paths()?.to_toml()?;
    disk::write_atomic(&folder.join(files::CONFIG), |file| file.write_all(text.as_bytes()))?;
    eprintln!("Run: {}", folder.display());
    let interrupt = Interrupt::watch()?;
    trainer.run(&folder, &interrupt.asked)?;
    interrupt.over()?;

    if let (Some(split), Some(images)) = (&dataset.test, &ready.test) {
        let tested = Tested { split, images, classes: &dataset.classes };
        test_best(&mut trainer, &ready.network, &tested, &config, &folder)?;
    }
    if args.look.fast_dev_run {
        eprintln!("Fast dev run: one batch of everything went through; the figures mean nothing");
    }
    eprintln!("Done in {:.1} s: {}", started.elapsed().as_secs_f64(), folder.display());
    Ok(())
}

/// Everything of a run that is read before its folder is written to.
struct Ready {
    network: Network,
    init: Option<Vec<Tensor>>,
    data: Data,
    test: Option<Images>,
    /// What the files of each split are recognised by.
    hashes: Vec<Vec<Option<Hash>>>,
}

impl Ready {
    fn new(args: &TrainArgs, config: &Config, dataset: &Dataset) -> Result<Ready> {
        let classes = dataset.classes.len();
        let network = config.network.build(config.image_size, config.width, classes).map_err(Error::Input)?;
        plannable(&network, config.batch)?;
        let init = args.init.as_deref().map(|path| load_weights(path, &network)).transpose()?;
        let (size, resize) = (config.image_size, config.train_resize);
        let cache = CacheArgs { no_cache: !config.cache }.open();
        let (train, of_train) = labelled("Decoding training images", &dataset.train, size, resize, cache.as_ref())?;
        let (val, of_val) = labelled("Decoding validation images", &dataset.val, size, resize, cache.as_ref())?;
        let data = Data {
            classes: dataset.classes.clone(),
            train_files: dataset.train.examples.iter().map(|example| example.path.clone()).collect(),
            fingerprint: fingerprint([(&dataset.train, &train.images), (&dataset.val, &val.images)]),
            train,
            val,
        };
        // A damaged one must not be found out after hours of training.
        let test = |split| decode("Decoding test images", split, size, config.test_resize, cache.as_ref());
        let (test, of_test) = dataset.test.as_ref().map(test).transpose()?.unzip();
        let hashes = [of_train, of_val].into_iter().chain(of_test).collect();
        Ok(Ready { network, init, data, test, hashes })
    }

    /// Warns of files with the same bytes that are in two splits or have two labels.
    fn warn_of_copies(&self, dataset: &Dataset) {
        let splits = [&dataset.train, &dataset.val].into_iter().chain(&dataset.test);
        let splits = splits.zip(&self.hashes).map(|(split, prints)| Printed { split, prints });
        warn_in_short(&copies::harmful(&splits.collect::<Vec<_>>()));
    }
}

/// Makes what is missing in the folder, prints the table of its classes, and reads the splits.
fn open_data(folder: &Path, config: &Config) -> Result<Dataset> {
    let prepared = data::prepare(folder, &config.columns, config.seed)?;
    warn_in_short(&prepared.warnings);
    for path in &prepared.made {
        eprintln!("Made {}", path.display());
    }
    say(format_args!("{}\n", prepared.table))?;
    data::open(folder, &config.columns)
}

/// The report of the run's best weights.
fn test_best(trainer: &mut Trainer, network: &Network, tested: &Tested, config: &Config, folder: &Path) -> Result<()> {
    let (path, monitor) = (folder.join(files::BEST), config.callbacks.best_checkpoint.monitor);
    if !path.is_file() {
        return Err(Error::NotFinite(format!("no epoch had a finite {monitor}: there are no best weights to test")));
    }
    let (tensors, metadata) = checkpoint::load(&path)?;
    trainer.set_weights(&tensors);
    let program = trainer.inference_program();
    say(format_args!("\nTest split with the weights of epoch {}, which had the best {monitor}:\n\n", metadata.epoch))?;
    tested.report(&mut trainer.engine, program, &Head::new(network, &tensors), folder, folder)
}

/// `--overfit`: drives a few images to zero loss, and says whether that worked.
fn overfit(args: &TrainArgs, config: &mut Config, engine: Engine, images: usize) -> Result<()> {
    let scratch = tempfile::tempdir().map_err(Error::io(&std::env::temp_dir()))?;
    let data_folder = match &config.data {
        Some(data) => data.clone(),
        None => {
            draw_builtin(scratch.path(), config.seed)?;
            scratch.path().to_path_buf()
        }
    };
    let mut dataset = open_data(&data_folder, config)?;
    let count = dataset.train.examples.len();
    if images > count {
        return Err(Error::Input(format!("--overfit {images}: the training split has {count} images")));
    }
    dataset.train.thin_out(images);
    dataset.val = dataset.train.clone();
    dataset.test = None;
    let ready = Ready::new(args, config, &dataset)?;
    let mut trainer = Trainer::new(engine, config, ready.network.clone(), &ready.data)?;
    if let Some(weights) = &ready.init {
        trainer.set_weights(weights);
    }
    let reached = trainer.overfit(&Interrupt::watch()?.asked, |now| {
        if now.epochs % 10 == 0 {
            eprintln!("Epoch {}/{}: loss: {:.4} - accuracy: {:.4}", now.epochs, config.epochs, now.loss, now.accuracy);
        }
    })?;
    let Overfit { epochs, loss, accuracy } = reached;
    let line = format!(
        "{images} images after {epochs} epochs: loss {loss:.6}, accuracy {accuracy:.4} (asked: loss {GOAL} or less)"
    );
    if !reached.passed() {
        return Err(Error::Check(format!("overfit failed: {line}")));
    }
    say(format_args!("Overfit passed: {line}"))
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

/// Refuses a folder with anything in it, even what a run left that was stopped before it began: whose it is cannot be
/// known.
fn draw_builtin(folder: &Path, seed: u64) -> Result<()> {
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
) -> Result<(Labelled, Vec<Option<Hash>>)> {
    let (images, hashes) = decode(what, split, size, resize, cache)?;
    Ok((Labelled { images, labels: split.examples.iter().map(|example| example.label as u32).collect() }, hashes))
}

/// Names, labels and pixels of the training and validation rows, in order. Where the set's folder is does not matter.
fn fingerprint(splits: [(&Split, &Images); 2]) -> String {
    let mut hash = crc32fast::Hasher::new();
    for (split, images) in splits {
        let folder = split.csv.parent().unwrap_or(Path::new(""));
        for (index, example) in split.examples.iter().enumerate() {
            let name = example.path.strip_prefix(folder).unwrap_or(&example.path).to_string_lossy();
            hash.update(format!("{name}\0{}\0{}\n", example.id, example.label).as_bytes());
            hash.update(images.image(index));
        }
    }
    let [train, val] = splits.map(|(split, _)| split.examples.len());
    format!("{train} training and {val} validation images, crc {:08x}", hash.finalize())
}

/// Ctrl-C while a run has something to save.
struct Interrupt {
    asked: AtomicBool,
    /// Nothing is left to save.
    over: AtomicBool,
}

impl Interrupt {
    /// The first Ctrl-C is remembered; the second ends the program at once, and so does one after `over`.
    fn watch() -> Result<Arc<Interrupt>> {
        let interrupt = Arc::new(Interrupt { asked: AtomicBool::new(false), over: AtomicBool::new(false) });
        let shared = Arc::clone(&interrupt);
        ctrlc::set_handler(move || {
            if shared.asked.swap(true, Ordering::Relaxed) || shared.over.load(Ordering::Relaxed) {
                std::process::exit(Error::Interrupted.exit_status());
            }
            // Nobody may be there to read it.
            let _ =
                writeln!(std::io::stderr(), "\nStopping after this step and saving the state (Ctrl-C again: at once)");
        })
        .map_err(|error| Error::Input(format!("cannot watch for Ctrl-C: {error}")))?;
        Ok(interrupt)
    }

    /// From here on Ctrl-C ends the program at once; one that came before does so now.
    fn over(&self) -> Result<()> {
        self.over.store(true, Ordering::Relaxed);
        if self.asked.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}
