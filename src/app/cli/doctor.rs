//! `ocellus doctor`.

mod report;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;

use self::report::Report;
use super::output::{say, say_json};
use super::{DeviceArgs, ReplacedArgs, UnitsArgs};
use crate::app::config::Config;
use crate::app::golden::{Place, SETS};
use crate::engine::gpu::session::Session;
use crate::engine::gpu::{self, Choice, Device, Options};
use crate::engine::image_size::ImageSize;
use crate::engine::run::Engine;
use crate::error::{Error, Result};
use crate::network::{Architecture, Network};
use crate::ops;
use crate::ops::case::Case;
use crate::ops::probe::ITERATIONS;
use crate::proof::doctor::{self, Row, gradients, open, probe};

/// Image size, width, classes and batch of the training step, by default.
const STEP: (usize, f64, usize, usize) = (32, 0.125, 3, 5);

/// Options that say which kernels and what training step are proved.
const OF_THE_KERNELS: [&str; 7] = ["thorough", "bisect", "network", "image_size", "batch", "width", "classes"];
/// Options of `DeviceArgs`.
const OF_A_DEVICE: [&str; 6] =
    ["device", "checked_shaders", "default_limits", "max_binding_mib", "max_dispatch_ms", "matrix_units"];

/// Prove every kernel on this device: each variant against its f64 twin, then a whole training step.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    units: UnitsArgs,
    /// Every usable device, one after the other
    #[arg(long, conflicts_with = "device")]
    all: bool,
    /// Every case of the test suite, not only the most telling ones
    #[arg(long)]
    thorough: bool,
    /// Only the training step; names the first kernel whose result differs, given the device's own inputs
    #[arg(long, conflicts_with = "thorough")]
    bisect: bool,
    /// Only the cases that run this shader file (conv2d/forward, lib/gemm), and no training step
    #[arg(long, value_name = "SHADER", conflicts_with_all = ["bisect", "golden", "gradients"])]
    only: Option<String>,
    #[command(flatten)]
    replaced: ReplacedArgs,
    /// Instead, compare the device (or the twins: --device cpu) with the golden files of a folder,
    /// whichever are there: dataset, report, callbacks, resize, augment, ops, tiny, full
    #[arg(long, value_name = "DIR", conflicts_with_all = OF_THE_KERNELS)]
    golden: Option<PathBuf>,
    /// Instead, compare the twins' gradients with finite differences, layer by layer and through a
    /// network; needs no device
    #[arg(long, conflicts_with_all = OF_THE_KERNELS)]
    #[arg(conflicts_with_all = ["golden", "all", "shaders"], conflicts_with_all = OF_A_DEVICE)]
    gradients: bool,
    /// Size of the training step's images in pixels, N or height x width
    #[arg(long, value_name = "N|HxW", default_value_t = ImageSize::square(STEP.0))]
    image_size: ImageSize,
    /// The training step's network: tutorial, residual, or a TOML file of layers
    #[arg(long, value_name = "NAME|FILE", default_value_t = Architecture::default().to_string())]
    network: String,
    /// Images of the training step
    #[arg(long, default_value_t = STEP.3)]
    batch: usize,
    /// Multiplier of the training step's channel counts
    #[arg(long, default_value_t = STEP.1)]
    width: f64,
    /// Classes of the training step
    #[arg(long, default_value_t = STEP.2)]
    classes: usize,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub fn run(args: DoctorArgs) -> Result<()> {
    let DoctorArgs { image_size, batch, width, classes, .. } = args;
    Config { image_size, batch, width, ..Config::default() }.validate()?;
    let network = Architecture::read(&args.network, image_size)?;
    let network = network.build(image_size, width, classes).map_err(Error::Input)?;
    super::plannable(&network, batch)?;

    let mut reports = Vec::new();
    for subject in subjects(&args)? {
        let report = examine(&subject, &network, &args)?;
        if !args.json {
            say(report.to_text())?;
        }
        reports.push(report);
    }
    if args.json {
        say_json(&reports.iter().map(Report::to_json).collect())?;
    }
    let faulty: Vec<&str> =
        reports.iter().filter(|report| !report.passed()).map(|report| &report.subject[..]).collect();
    if faulty.is_empty() { Ok(()) } else { Err(Error::Check(format!("checks failed on {}", faulty.join(" and ")))) }
}

/// Subject of an examination: a device, or the twins.
enum Subject {
    Device(Box<Device>),
    Twins,
}

impl Subject {
    fn describe(&self) -> String {
        match self {
            Subject::Twins => "the f64 CPU reference".into(),
            Subject::Device(device) if device.options.checked_shaders => {
                format!("{}, checked shaders", device.listed.describe())
            }
            Subject::Device(device) => device.listed.describe(),
        }
    }

    fn engine(&self) -> Engine {
        match self {
            Subject::Device(device) => Engine::Gpu(Box::new(Session::new(Device::clone(device)))),
            Subject::Twins => Engine::Cpu(Default::default()),
        }
    }
}

fn subjects(args: &DoctorArgs) -> Result<Vec<Subject>> {
    let DeviceArgs { device, .. } = &args.device;
    let matrix_units = args.units.matrix_units;
    let options = Options { shaders: args.replaced.read()?, matrix_units, ..args.device.options() };
    let open = |choice: &Choice| {
        let mut device = Device::open(choice, options.clone())?;
        open::measure(&mut device)?;
        Ok(Subject::Device(Box::new(device)))
    };
    let Ok(choice) = device.as_deref().unwrap_or("auto").parse::<Choice>();
    if args.gradients || choice == Choice::Cpu && args.golden.is_some() {
        return Ok(vec![Subject::Twins]);
    }
    if choice == Choice::Cpu {
        return Err(Error::Input(
            "the CPU reference is what devices are compared with: choose another --device".into(),
        ));
    }
    if !args.all {
        return Ok(vec![open(&choice)?]);
    }
    let usable = gpu::list().into_iter().enumerate().filter(|(_, listed)| listed.problem.is_none());
    let devices: Vec<Subject> = usable.map(|(index, _)| open(&Choice::Index(index))).collect::<Result<_>>()?;
    if devices.is_empty() {
        return Err(Error::Device(gpu::no_adapter()));
    }
    Ok(devices)
}

fn examine(subject: &Subject, network: &Network, args: &DoctorArgs) -> Result<Report> {
    let start = Instant::now();
    let mut notes = Vec::new();
    let rows = match (subject, &args.golden) {
        (_, Some(dir)) => check_golden(subject, dir, &mut notes)?,
        (Subject::Twins, None) => gradients::run(),
        (Subject::Device(device), None) => {
            notes.push(match probe::iterations(device)? {
                Some(limit) => {
                    format!("ends loops after {limit} iterations; kernels need {} at most", ITERATIONS)
                }
                None => "lets loops run".into(),
            });
            check_device(device, network, args)?
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    Ok(Report { subject: subject.describe(), rows, notes, seconds, bisect: args.bisect })
}

fn check_device(device: &Device, network: &Network, args: &DoctorArgs) -> Result<Vec<Row>> {
    let mut cases = if args.bisect { Vec::new() } else { ops::cases() };
    if let Some(only) = &args.only {
        cases = doctor::running(device, cases, only.strip_suffix(".wgsl").unwrap_or(only))?;
    }
    let quick = |case: &Case| case.telling || args.thorough;
    // A shader that no quick case runs is proved by the others.
    if cases.iter().any(quick) {
        cases.retain(quick);
    }
    doctor::check_shaders(device, &cases, network, args.batch)?;
    let mut rows = doctor::run_cases(device, &cases, |_| {})?;
    if args.only.is_none() {
        rows.extend(check_steps(device, network, args.batch, !args.bisect)?);
    }
    Ok(rows)
}

/// A training step and, where the device can and it is wanted, one with activations in half precision.
fn check_steps(device: &Device, network: &Network, batch: usize, halves: bool) -> Result<Vec<Row>> {
    let mut rows = vec![doctor::run_step(device, network, batch, |_| {})?];
    if halves && device.listed.halves {
        rows.push(doctor::run_half_step(device, network, batch, |_| {})?);
    }
    Ok(rows)
}

/// The telling cases of every kernel, then a training step of the default size.
pub(super) fn quick(device: &Device) -> Result<Report> {
    let start = Instant::now();
    let (image_size, width, classes, batch) = STEP;
    let network = Architecture::default().build(ImageSize::square(image_size), width, classes).map_err(Error::Input)?;
    let cases: Vec<Case> = ops::cases().into_iter().filter(|case| case.telling).collect();
    let mut rows = doctor::run_cases(device, &cases, |_| {})?;
    rows.extend(check_steps(device, &network, batch, true)?);
    let (subject, seconds) = (device.listed.describe(), start.elapsed().as_secs_f64());
    Ok(Report { subject, rows, notes: Vec::new(), seconds, bisect: false })
}

fn check_golden(subject: &Subject, dir: &Path, notes: &mut Vec<String>) -> Result<Vec<Row>> {
    super::existing_folder(dir, "golden files")?;
    let place = Place { open: &|| Ok(subject.engine()), target: subject.engine().target() };
    let mut rows = Vec::new();
    for set in SETS {
        match set.missing(dir)[..] {
            [] => rows.push(set.check(dir, &place)?),
            ref missing => notes.push(format!("{} not checked: no {}", set.name, missing.join(", no "))),
        }
    }
    if rows.is_empty() {
        return Err(Error::Input(format!("{}: no set of golden files; {}", dir.display(), notes.join("; "))));
    }
    Ok(rows)
}
