//! `ocellus train`.

mod claim;
pub mod devices;
mod interrupt;
pub mod others;
mod ready;
mod settings;
mod shown;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::output::{show, warn_in_short};
use super::tested::{Bootstrap, Outcome, RESAMPLES, Tested};
use super::{existing_folder, read_shaders};
use crate::app::bars::file_bar;
use crate::app::cam::Head;
use crate::app::card::Card;
use crate::app::checkpoint::{self, Operation};
use crate::app::config::{Config, TABLES};
use crate::app::data::augment::Transform;
use crate::app::data::folds::Opened;
use crate::app::data::{self, Dataset, Pixels, stream, synthetic};
use crate::app::train::overfit::{GOAL, Overfit};
use crate::app::train::{Trainer, files};
use crate::engine::run::Engine;
use crate::error::{Error, Result};
use crate::files as disk;
use crate::network::Network;
use crate::notes::{self, note};
use crate::proof::doctor::open;
use crate::proof::tune::Workload;
use claim::Claim;
use interrupt::Interrupt;
use others::Others;
use ready::Ready;
pub use settings::TrainArgs;

pub fn run(args: TrainArgs) -> Result<()> {
    if args.shown.ends(&args)? {
        return Ok(());
    }
    let mut others = Others::join()?;
    let result = train(args, &mut others);
    others.end(result)
}

fn train(args: TrainArgs, others: &mut Others) -> Result<()> {
    let started = Instant::now();
    let (mut config, named) = args.settle()?;
    if let Some(data) = &config.data {
        match &args.resume {
            Some(run) if !data.is_dir() => return Err(moved(data, run, "--data")),
            _ => existing_folder(data, "--data names a folder with img/ and a CSV file")?,
        }
    }
    if let Some(tables) = &config.tables {
        match &args.resume {
            Some(run) if !tables.is_dir() => return Err(moved(tables, run, "--tables")),
            _ => existing_folder(tables, "--tables names a folder with the CSV files")?,
        }
    }
    // A network that cannot be, or a device that is not there, is found out before anything is drawn or prepared.
    ready::check_network(&config)?;
    let shaders = read_shaders(&mut config.shaders)?;
    let version = env!("CARGO_PKG_VERSION");
    others.agree("settings", &format!("ocellus {version}\n{}{:?}\n{:?}", config.to_toml()?, args.look, args.resume))?;
    let engines = devices::open_all(&args, &config, shaders, others)?;
    if config.half_activations {
        engines.iter().try_for_each(open::check_halves)?;
    }
    if let Some(images) = args.look.overfit {
        if others.exist() {
            return Err(Error::Input("--overfit runs in one process".into()));
        }
        return overfit(&args, &mut config, devices::as_one(engines)?, images as usize);
    }
    // A run that is resumed must not move on between the reading of its state and the going on from it.
    let resumed = args.resume.as_deref().filter(|_| others.are_led_here());
    let mut claim = resumed.map(Claim::again).transpose()?;
    let (mut read, mut temporary) = (None, None);
    if others.are_led_here() {
        let mut room = Room::OfRun { claim: &mut claim, named: named.as_deref() };
        read = Some(read_data(&args, &mut config, &mut room)?);
    }
    config = others.config_of_first(config)?;
    let (dataset, ready) = match read {
        Some(read) => read,
        // Its tables are made, and its pixels are in the cache, if there is one.
        None => read_data(&args, &mut config, temporary.insert(Room::temporary()?))?,
    };
    others.agree("data", &ready.data.fingerprint)?;
    ready.warn_of_copies(&dataset);

    let network = config.network.to_string();
    let workload = Workload { network, image_size: config.image_size, batch: config.batch, width: config.width };
    // A run that goes on computes as it began, whatever was tuned meanwhile.
    let tuned = args.resume.is_none().then_some(&workload);
    let engine;
    (engine, config.kernels) = devices::settle(engines, config.kernels.take(), tuned, others)?;
    let (cut, own) = (*config.cut.get_or_insert(engine.target().cut()), engine.target().binding_bytes);
    if own < cut.binding_bytes {
        let [own, begun] = [own, cut.binding_bytes].map(|bytes| bytes >> 20);
        note!(
            "warning: the run began with bindings of {begun} MiB, here they are of {own}: sums are rounded otherwise now"
        );
    }
    let compiling = Instant::now();
    let mut trainer = Trainer::new(engine, &config, ready.network.clone(), &ready.data)?;
    note!("Prepared the plans in {:.1} s", compiling.elapsed().as_secs_f64());
    if let Some(weights) = &ready.init {
        trainer.set_weights(weights);
    }
    if let Some(run) = &args.resume {
        trainer.restore(&run.join(files::STATE))?;
        match trainer.steps_done() {
            0 => note!("Resuming after epoch {}", trainer.history().len()),
            steps => note!("Resuming in epoch {}, after step {steps}", trainer.history().len() + 1),
        }
    }
    if !others.are_led_here() {
        // It writes nothing.
        return run_epochs(&mut trainer, Path::new("")).map(drop);
    }
    if let Some(folder) = &config.tensorboard {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    // Only now: a run that could not begin leaves no folder behind that looks like one that did.
    let mut claim = claim.map_or_else(|| Claim::fresh(named.as_deref()), Ok)?;
    let folder = claim.folder.clone();
    let recorded = Config { out: Some(folder.clone()), ..config.clone() }.with_absolute_paths()?.to_toml()?;
    disk::write_atomic(&claim.make(files::CONFIG), |file| file.write_all(recorded.as_bytes()))?;
    if args.resume.is_none() {
        let _ = claim.make(files::STATE);
        trainer.save_state(&folder)?;
    }
    claim.begun();
    note!("Run: {}", folder.display());
    shown::started(&folder, &config, &dataset, &trainer);
    run_epochs(&mut trainer, &folder)?.over()?;

    let device = trainer.engine.describe();
    trainer.engine.go_alone();
    let mut card = Card {
        config: &config,
        dataset: &dataset,
        network: &ready.network,
        device: &device,
        history: &[],
        best: None,
        fingerprint: &ready.data.fingerprint,
        init: config.init.as_ref().map(|init| init.display().to_string()),
        figures: None,
        mistakes: &[],
    };
    let history = trainer.history().to_vec();
    card.history = &history;
    let best = checkpoint::load(&folder.join(files::BEST)).ok().map(|(_, metadata)| metadata.epoch);
    card.best = best;
    if let (Some(split), Some(images)) = (&dataset.test, &ready.test) {
        let bootstrap = Bootstrap { seed: config.seed, resamples: RESAMPLES };
        let (classes, operation, views) = (&dataset.classes, &Operation::default(), &[Transform::default()]);
        let tested = Tested { split, classes, operation, bootstrap, views, by: &[], json: false };
        let outcome = test_best(&mut trainer, &ready.network, &tested, images, &config, &folder)?;
        card.figures = Some(outcome.figures());
        write_card(&folder, &Card { mistakes: &tested.most_confident(&outcome), ..card })?;
    } else {
        write_card(&folder, &card)?;
    }
    if args.look.fast_dev_run {
        note!("Fast dev run: one batch of everything went through; the figures mean nothing");
    }
    note!("Done in {:.1} s: {}", started.elapsed().as_secs_f64(), folder.display());
    shown::ended(&folder, history.len(), best, started.elapsed());
    Ok(())
}

/// Trains to the end, or until a signal asks any of the run's processes to stop.
fn run_epochs(trainer: &mut Trainer, folder: &Path) -> Result<Arc<Interrupt>> {
    let interrupt = Interrupt::watch()?;
    let stop = trainer.engine.agreed(&interrupt.asked);
    trainer.run(folder, &stop).map_err(|error| interrupt.named(error))?;
    Ok(interrupt)
}

/// Where a run puts what it makes before it begins.
enum Room<'a> {
    /// The run's folder, which is claimed once something goes there.
    OfRun { claim: &'a mut Option<Claim>, named: Option<&'a Path> },
    /// A folder that is removed in the end.
    Temporary(tempfile::TempDir),
}

impl Room<'_> {
    fn temporary() -> Result<Room<'static>> {
        tempfile::tempdir().map(Room::Temporary).map_err(Error::io(&std::env::temp_dir()))
    }

    fn folder(&mut self) -> Result<PathBuf> {
        Ok(match self {
            Room::OfRun { claim, named } => Claim::of_run(claim, *named)?.folder.clone(),
            Room::Temporary(folder) => folder.path().to_path_buf(),
        })
    }

    /// The folder of tables that cannot be made beside the data.
    fn tables(&mut self) -> Result<PathBuf> {
        Ok(match self {
            Room::OfRun { claim, named } => Claim::of_run(claim, *named)?.make(TABLES),
            Room::Temporary(folder) => folder.path().join(TABLES),
        })
    }

    /// The built-in set, drawn.
    fn builtin(&mut self, seed: u64) -> Result<PathBuf> {
        match self {
            Room::OfRun { claim, named } => draw_builtin(Claim::of_run(claim, *named)?, seed),
            Room::Temporary(folder) => {
                draw(folder.path(), seed)?;
                Ok(folder.path().to_path_buf())
            }
        }
    }
}

/// Draws the built-in set where no data are named, and reads what a run trains on.
fn read_data(args: &TrainArgs, config: &mut Config, room: &mut Room) -> Result<(Dataset, Ready)> {
    let folder = match config.data.clone() {
        Some(folder) => folder,
        None => config.data.insert(room.builtin(config.seed)?).clone(),
    };
    let mut dataset = open_data(&folder, config, || room.tables())?;
    if args.look.fast_dev_run {
        note!("Fast dev run: one batch of {} images of everything; the figures mean nothing", config.batch);
        let splits = [&mut dataset.train, &mut dataset.val].into_iter().chain(&mut dataset.test);
        splits.for_each(|split| Arc::make_mut(split).thin_out(config.batch));
    }
    if let Some(images) = args.look.overfit {
        let (count, images) = (dataset.train.examples.len(), images as usize);
        if images > count {
            return Err(Error::Input(format!("--overfit {images}: the training split has {count} images")));
        }
        Arc::make_mut(&mut dataset.train).thin_out(images);
        dataset.val = dataset.train.clone();
        dataset.test = None;
    }
    let ready = Ready::new(args, config, &dataset, || room.folder())?;
    Ok((dataset, ready))
}

/// Error for a recorded folder that is gone, with the remedy.
fn moved(folder: &Path, run: &Path, option: &str) -> Error {
    let (folder, run) = (folder.display(), run.display());
    Error::Input(format!(
        "{folder}: there is no such folder any more; say where it is now: ocellus train --resume {run} {option} DIR"
    ))
}

/// Makes what is missing, prints the table of the classes, and reads the splits. Where the folder
/// of the data is read-only, tables are made in the folder that `elsewhere` gives, which the config
/// then names.
fn open_data(data: &Path, config: &mut Config, elsewhere: impl FnOnce() -> Result<PathBuf>) -> Result<Dataset> {
    if let Some(fold) = config.fold {
        let tables = config.tables.as_deref().unwrap_or(data);
        let Opened { dataset, fold, table, warnings } = data::open_fold(data, tables, &config.columns, fold)?;
        config.fold = Some(fold);
        warn_in_short(&warnings);
        show(format_args!("The test split is {fold}\n\n{table}\n"));
        return Ok(dataset);
    }
    let prepare = |tables: &Path, config: &Config| data::prepare_in(data, tables, &config.columns, config.seed);
    let mut tables = config.tables.clone().unwrap_or(data.to_path_buf());
    let prepared = match prepare(&tables, config) {
        Err(Error::Io { source, .. }) if config.tables.is_none() && disk::is_read_only(&source) => {
            tables = elsewhere()?;
            std::fs::create_dir_all(&tables).map_err(Error::io(&tables))?;
            note!("{}: nothing can be written there ({source}); the splits go to {}", data.display(), tables.display());
            config.tables = Some(tables.clone());
            prepare(&tables, config)
        }
        prepared => prepared,
    }?;
    warn_in_short(&prepared.warnings);
    for path in &prepared.made {
        note!("Made {}", path.display());
    }
    show(format_args!("{}\n", prepared.table));
    data::open_in(data, &tables, &config.columns)
}

/// The report of the run's best weights.
fn test_best(
    trainer: &mut Trainer,
    network: &Network,
    tested: &Tested,
    images: &dyn Pixels,
    config: &Config,
    folder: &Path,
) -> Result<Outcome> {
    let (path, monitor) = (folder.join(files::BEST), config.callbacks.best_checkpoint.monitor);
    if !path.is_file() {
        return Err(Error::NotFinite(format!("no epoch had a finite {monitor}: there are no best weights to test")));
    }
    let (tensors, metadata) = checkpoint::load(&path)?;
    trainer.set_weights(&tensors);
    let program = trainer.inference_program();
    show(format_args!("\nTest split with the weights of epoch {}, which had the best {monitor}:\n\n", metadata.epoch));
    let per_chunk = stream::per_chunk(images.size(), config.batch);
    let outcome = std::thread::scope(|scope| {
        let chunks = stream::of_pixels(scope, images, per_chunk);
        tested.classify(&mut trainer.engine, program, chunks)
    })?;
    tested.report(&outcome, (&mut trainer.engine, program), Head::of(network, &tensors).as_ref(), folder, folder)?;
    Ok(outcome)
}

fn write_card(folder: &Path, card: &Card) -> Result<()> {
    disk::write_atomic(&folder.join(files::CARD), |file| file.write_all(card.to_markdown().as_bytes()))
}

/// `--overfit`: drives a few images to zero loss, and says whether that worked.
fn overfit(args: &TrainArgs, config: &mut Config, engine: Engine, images: usize) -> Result<()> {
    let mut room = Room::temporary()?;
    let (_, ready) = read_data(args, config, &mut room)?;
    let mut trainer = Trainer::new(engine, config, ready.network.clone(), &ready.data)?;
    if let Some(weights) = &ready.init {
        trainer.set_weights(weights);
    }
    let interrupt = Interrupt::watch()?;
    let reached = trainer.overfit(&interrupt.asked, |now| {
        if now.epochs % 10 == 0 {
            note!("Epoch {}/{}: loss: {:.4} - accuracy: {:.4}", now.epochs, config.epochs, now.loss, now.accuracy);
        }
    });
    let reached = reached.map_err(|error| interrupt.named(error))?;
    let Overfit { epochs, loss, accuracy } = reached;
    notes::event(
        "info",
        "overfit",
        &json!({ "images": images, "epochs": epochs, "loss": loss, "accuracy": accuracy, "passed": reached.passed() }),
    );
    let line = format!(
        "{images} images after {epochs} epochs: loss {loss:.6}, accuracy {accuracy:.4} (asked: loss {GOAL} or less)"
    );
    if !reached.passed() {
        return Err(Error::Check(format!("overfit failed: {line}")));
    }
    show(format_args!("Overfit passed: {line}"));
    Ok(())
}

/// Draws the built-in set in the run's folder, and gives its place there. Refuses a folder with
/// anything in it: whose it is cannot be known.
fn draw_builtin(claim: &mut Claim, seed: u64) -> Result<PathBuf> {
    let data = claim.folder.join("data");
    if std::fs::read_dir(&data).is_ok_and(|mut entries| entries.next().is_some()) {
        let data = data.display();
        return Err(Error::Input(format!("{data}: not empty, nothing was written; name another folder by --out")));
    }
    // One that is there is whole, whatever stops the program.
    let drawing = disk::unfinished_folder(&claim.folder, "data")?;
    draw(drawing.path(), seed)?;
    let _ = std::fs::remove_dir(&data);
    std::fs::rename(drawing.path(), claim.make("data")).map_err(Error::io(&data))?;
    let _ = drawing.keep();
    Ok(data)
}

fn draw(folder: &Path, seed: u64) -> Result<()> {
    let options = synthetic::Options { seed, ..Default::default() };
    note!("No --data: drawing {} fundus photographs", options.images);
    let bar = file_bar("Drawing", options.images);
    synthetic::write(folder, &options, |done, _| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    Ok(())
}
