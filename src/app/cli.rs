//! The command line: parse, call, print. Each command is a file under `cli/`.

mod atlas;
mod cache;
mod calibrate;
mod devices;
mod doctor;
mod evaluate;
mod export;
mod left_out;
mod messages;
mod model;
mod output;
mod plan;
mod predict;
mod prepare;
mod profile;
mod report_device;
mod shaders;
mod shell;
mod study;
mod summary;
mod tested;
mod train;
mod tune;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::app::config::Config;
use crate::app::data::{Cache, Columns};
use crate::engine::gpu::{Choice, Options};
use crate::engine::image_size::ImageSize;
use crate::engine::plan::{Plan, Target, budget};
use crate::engine::run::Engine;
use crate::engine::shader::{Replaced, Shaders};
use crate::engine::variant::{MATRICES, MatrixUnits};
use crate::error::{Error, Result};
use crate::network::{Architecture, Network};
use crate::notes::note;
use crate::proof::doctor::open;
use crate::proof::tune::Workload;

/// Trains a convolutional image classifier with hand-written WGSL kernels on any Vulkan, Metal or DX12 GPU.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    messages: messages::MessageArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(Box<train::TrainArgs>),
    Prepare(prepare::PrepareArgs),
    Evaluate(evaluate::EvaluateArgs),
    Calibrate(calibrate::CalibrateArgs),
    Predict(predict::PredictArgs),
    Export(export::ExportArgs),
    CheckData(prepare::CheckArgs),
    Synth(prepare::SynthArgs),
    Devices(devices::DevicesArgs),
    Doctor(doctor::DoctorArgs),
    Summary(summary::SummaryArgs),
    Plan(plan::PlanArgs),
    Profile(profile::ProfileArgs),
    Tune(tune::TuneArgs),
    Atlas(atlas::AtlasArgs),
    Study(study::StudyArgs),
    ReportDevice(report_device::ReportDeviceArgs),
    Cache(cache::CacheCommandArgs),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
    Shaders(shaders::ShadersArgs),
}

/// A network without data.
#[derive(Debug, Args)]
struct NetworkArgs {
    /// The network: tutorial, residual, or a TOML file of layers
    #[arg(long, value_name = "NAME|FILE", default_value_t = Architecture::default().to_string())]
    network: String,
    /// Size of the network's input in pixels, N or height x width
    #[arg(long, value_name = "N|HxW", default_value_t = Config::default().image_size)]
    image_size: ImageSize,
    /// Images per training step
    #[arg(long, default_value_t = Config::default().batch)]
    batch: usize,
    /// Multiplier of the network's channel counts
    #[arg(long, default_value_t = Config::default().width)]
    width: f64,
    /// Number of classes
    #[arg(long, default_value_t = 8)]
    classes: usize,
}

impl NetworkArgs {
    /// Refuses what no plan could be made of.
    fn build(&self) -> Result<Network> {
        let &NetworkArgs { image_size, batch, width, classes, .. } = self;
        Config { image_size, batch, width, ..Config::default() }.validate()?;
        let network = self.architecture()?.build(image_size, width, classes).map_err(Error::Input)?;
        plannable(&network, batch)?;
        Ok(network)
    }

    fn architecture(&self) -> Result<Architecture> {
        Architecture::read(&self.network, self.image_size)
    }

    fn workload(&self) -> Result<Workload> {
        let network = self.architecture()?.to_string();
        Ok(Workload { network, image_size: self.image_size, batch: self.batch, width: self.width })
    }
}

/// Limits of the device memory that plans may take.
#[derive(Clone, Debug, Default, Args)]
struct MemoryArgs {
    /// Store activations in half precision; sums, gradients and weights stay f32
    #[arg(long)]
    half_activations: bool,
    /// Recompute activations and cut batches into windows, so that plans take at most this much
    /// device memory
    #[arg(long, value_name = "MIB")]
    memory_budget: Option<u64>,
}

impl MemoryArgs {
    /// A target for which the plan of a batch fits.
    fn fit(&self, target: Target, batch: usize, plan: impl Fn(&Target) -> Plan) -> Result<Target> {
        Config { memory_budget: self.memory_budget, ..Config::default() }.validate()?;
        let target = Target { half_activations: self.half_activations, ..target };
        budget::fit_mib(target, self.memory_budget, batch, |target| vec![plan(target)])
    }
}

/// Matrix units of the device.
#[derive(Clone, Copy, Debug, Default, Args)]
struct UnitsArgs {
    /// Let the device's matrix units compute the large products of convolutions, from factors in half precision and with sums
    /// in f32; experimental, and proved on the device first
    #[arg(long)]
    matrix_units: bool,
}

/// Matrix units of a size, as a GPU with subgroups of [`MatrixUnits::USUAL_LANES`] has them.
fn units_of(size: &str) -> std::result::Result<MatrixUnits, String> {
    let found = MATRICES.into_iter().find(|one| one.to_string() == size);
    let of = |size| MatrixUnits::new(size, MatrixUnits::USUAL_LANES);
    found.map(of).ok_or_else(|| format!("sizes are {}", MATRICES.map(|size| size.to_string()).join(" and ")))
}

/// Which device to use, and how.
#[derive(Clone, Debug, Default, Args)]
struct DeviceArgs {
    /// auto (a GPU, else a software adapter), cpu (the slow f64 reference), or as `devices` lists them: a number, vulkan, dx12,
    /// metal, a part of a name, or both as in dx12:nvidia
    #[arg(long)]
    device: Option<String>,
    /// Compile the kernels with bounds checks, checked division and zeroed workgroup memory
    #[arg(long)]
    checked_shaders: bool,
    /// Stay within WebGPU's default limits, whatever the adapter offers
    #[arg(long)]
    default_limits: bool,
    /// Bind no more than this much memory at once; more batch windows then
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=4096))]
    max_binding_mib: Option<u64>,
    /// Cut work into dispatches of about this length at most [default: 100 on a GPU, any on a software adapter]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..))]
    max_dispatch_ms: Option<u32>,
}

/// Kernels that are read from a folder.
#[derive(Clone, Debug, Default, Args)]
struct ReplacedArgs {
    /// Use the .wgsl files of this folder in the place of the built-in ones of the same path below it (conv2d/forward.wgsl,
    /// lib/gemm.wgsl). Like these they run without bounds checks, unless --checked-shaders is given
    #[arg(long, value_name = "DIR")]
    shaders: Option<PathBuf>,
}

impl ReplacedArgs {
    /// Reads the files, and says which replace others.
    fn read(&self) -> Result<Shaders> {
        read_shaders(&mut self.shaders.clone().map(|folder| Replaced { folder, ..Replaced::default() }))
    }
}

/// Reads the shader files of a folder, if one is named, and says which replace others.
fn read_shaders(replaced: &mut Option<Replaced>) -> Result<Shaders> {
    let Some(replaced) = replaced else { return Ok(Shaders::default()) };
    let shaders = replaced.read()?;
    let Replaced { folder, files, hash } = replaced;
    let hash = hash.as_deref().unwrap_or_default();
    note!("Shaders: {} of {} (hash {hash})", files.join(", "), folder.display());
    Ok(shaders)
}

/// Names of the tables' columns.
#[derive(Clone, Debug, Default, Args)]
struct ColumnArgs {
    /// The column of file names [default: the run's or the config's, else filename]
    #[arg(long, value_name = "NAME")]
    filename_column: Option<String>,
    /// The column of labels [default: the run's or the config's, else label]
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
    /// The column that tells persons apart [default: the run's or the config's, else id; without
    /// it, file names (no folders) up to the first _ or .]; none: each photograph is a person of
    /// its own (unless a column is called none)
    #[arg(long, value_name = "NAME")]
    id_column: Option<String>,
}

impl ColumnArgs {
    /// `columns` with the names that the command line gives.
    fn over(&self, columns: Columns) -> Columns {
        Columns {
            filename: self.filename_column.clone().unwrap_or(columns.filename),
            label: self.label_column.clone().unwrap_or(columns.label),
            id: self.id_column.clone().or(columns.id),
        }
    }
}

/// Where decoded photographs are kept.
#[derive(Clone, Copy, Debug, Default, Args)]
struct CacheArgs {
    /// Decode every photograph, and keep none in the user's cache folder (or the one that OCELLUS_CACHE names)
    #[arg(long)]
    no_cache: bool,
    /// Read photographs, too, whose size and time are as an earlier run found them; `train` then reads all that it needs of
    /// the cache before the first step
    #[arg(long)]
    verify: bool,
}

impl CacheArgs {
    fn open(self) -> Option<Cache> {
        if self.no_cache { None } else { Cache::of_user() }
    }
}

impl DeviceArgs {
    /// The device that the command line, else the config, asks for.
    fn choice(&self, config: &Config) -> Choice {
        let Ok(choice) = self.device.as_deref().unwrap_or(&config.device).parse();
        choice
    }

    /// Opens the device that the command line, else the config, asks for.
    fn open(&self, config: &Config) -> Result<Engine> {
        self.open_with(config, Shaders::default())
    }

    /// Opens the device that the command line asks for, and says nothing of it.
    fn open_again(&self) -> Result<Engine> {
        open::open(&self.choice(&Config::default()), self.options())
    }

    /// Opens that device with these shader files.
    fn open_with(&self, config: &Config, shaders: Shaders) -> Result<Engine> {
        let choice = self.choice(config);
        let engine = open::open(&choice, Options { shaders, matrix_units: config.matrix_units, ..self.options() })?;
        note!("Device: {}", engine.describe());
        if choice == Choice::Auto && engine.is_software() {
            note!("warning: no GPU found; this is a software adapter, which computes on the CPU and is slow");
        }
        Ok(engine)
    }

    fn options(&self) -> Options {
        Options {
            checked_shaders: self.checked_shaders,
            default_limits: self.default_limits,
            binding_bytes: self.max_binding_mib.map(|mib| mib << 20),
            dispatch_ms: self.max_dispatch_ms,
            ..Options::default()
        }
    }
}

/// The definition of the command line, for checks of documents that quote it.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Runs the program; the exit status is 0, or `Error::exit_status`.
pub fn main() -> ExitCode {
    quiet_mesa();
    messages::apply_early(&std::env::args_os().collect::<Vec<_>>());
    let Cli { command, messages } = Cli::try_parse().unwrap_or_else(|error| messages::refuse(error));
    messages.apply();
    let result = match command {
        Command::Train(args) => train::run(*args),
        Command::Prepare(args) => prepare::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Calibrate(args) => calibrate::run(args),
        Command::Predict(args) => predict::run(args),
        Command::Export(args) => export::run(args),
        Command::CheckData(args) => prepare::check(args),
        Command::Synth(args) => prepare::synth(args),
        Command::Devices(args) => devices::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Summary(args) => summary::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Profile(args) => profile::run(args),
        Command::Tune(args) => tune::run(args),
        Command::Atlas(args) => atlas::run(args),
        Command::Study(args) => study::run(args),
        Command::ReportDevice(args) => report_device::run(args),
        Command::Cache(args) => cache::run(args),
        Command::Completions(args) => shell::completions(args),
        Command::Man(args) => shell::man(args),
        Command::Shaders(args) => shaders::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            messages::failed(&error);
            ExitCode::from(error.exit_status() as u8)
        }
    }
}

/// Without a desktop session, Mesa's device-selection layer looks for a Wayland display all the same and prints an error
/// for every Vulkan instance. It chooses among GPUs for windows, which this program has none of: switch it off there.
fn quiet_mesa() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: this is the first thing the program does; no other thread exists that could read the environment.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

/// Refuses a folder that is not there, with a word on what should be in it.
fn existing_folder(path: &Path, what: &str) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    Err(Error::Input(format!("{}: there is no such folder ({what})", path.display())))
}

/// Refuses sizes with which no adapter could do anything. Plans count in 32 bits and rely on it.
fn plannable(network: &Network, batch: usize) -> Result<()> {
    if network.classes == 0 {
        return Err(Error::Input("a network without classes: --classes is at least 1".into()));
    }
    match too_large(network, batch) {
        Some(TooLarge { what, lower }) => Err(Error::Input(format!("{what}: lower {lower}"))),
        None => Ok(()),
    }
}

/// Part of a network that no adapter could hold, and the options that make it smaller.
struct TooLarge {
    what: String,
    lower: &'static str,
}

/// A tensor of one image, a parameter or the pixels of a batch that takes 8 GiB, where the largest bindings are of four.
fn too_large(network: &Network, batch: usize) -> Option<TooLarge> {
    const MOST: f64 = (1u64 << 31) as f64;
    // Products of sizes as absurd as these overflow integers.
    let is_absurd = |shape: &[usize]| shape.iter().map(|&size| size as f64).product::<f64>() > MOST;
    let found = |what: &str, lower| Some(TooLarge { what: format!("{what} would take over 8 GiB"), lower });
    if is_absurd(&[batch, network.image_size.height, network.image_size.width]) {
        return found("the pixels of a batch", "--batch or --image-size");
    }
    if is_absurd(&[network.classes]) {
        return found("the probabilities of one image", "--classes");
    }
    for layer in &network.layers {
        if is_absurd(&layer.output) {
            return found(&format!("{} of one image", layer.name), "--image-size or --width");
        }
        if let Some(parameter) = layer.parameters().iter().find(|parameter| is_absurd(&parameter.shape)) {
            // The last layer's parameters grow with the classes, too.
            let of_classes = layer.output == [network.classes];
            return found(&parameter.name, if of_classes { "--width or --classes" } else { "--width" });
        }
    }
    None
}
