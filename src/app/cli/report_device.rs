//! `ocellus report-device`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::output::say;
use super::{DeviceArgs, devices, doctor, tune as tuning};
use crate::app::config::Config;
use crate::engine::gpu::Device;
use crate::engine::gpu::session::Session;
use crate::engine::image_size::ImageSize;
use crate::engine::run::Engine;
use crate::error::{Error, Result};
use crate::files;
use crate::network::compile::training;
use crate::network::{Architecture, Network};
use crate::notes::note;
use crate::proof::doctor::open;
use crate::proof::profile::{self, Profile};
use crate::proof::tune::Choice;

/// Classes of the tutorial's network.
const CLASSES: usize = 8;

/// Write one file with all that this project wants to know of a device: the adapter, the doctor's table, and for each
/// image size what `tune` chose and `profile` measured. Made to be sent in; nothing else is in it.
#[derive(Debug, Args)]
pub struct ReportDeviceArgs {
    /// Where to write the JSON file
    #[arg(long, value_name = "FILE", default_value = "device.json")]
    out: PathBuf,
    /// Sizes of the network's input in pixels, N or height x width [default: 64,224 on a GPU, 64 on a software adapter]
    #[arg(long, value_name = "N|HxW", value_delimiter = ',')]
    image_size: Vec<ImageSize>,
    /// Images per training step
    #[arg(long, default_value_t = Config::default().batch)]
    batch: usize,
    /// Multiplier of the network's channel counts
    #[arg(long, default_value_t = Config::default().width)]
    width: f64,
    #[command(flatten)]
    device: DeviceArgs,
}

/// A training step of one size.
struct Step {
    choice: Choice,
    profile: Profile,
}

pub fn run(args: ReportDeviceArgs) -> Result<()> {
    let Engine::Gpu(session) = args.device.open(&Config::default())? else {
        return Err(Error::Input("the CPU reference is no device to report; choose another --device".into()));
    };
    let device = session.device.clone();
    drop(session);
    let software = device.listed.is_software();
    let sizes = match &args.image_size[..] {
        [] if software => vec![ImageSize::square(64)],
        [] => [64, 224].map(ImageSize::square).to_vec(),
        sizes => sizes.to_vec(),
    };
    let networks: Vec<Network> = sizes.iter().map(|size| args.network(*size)).collect::<Result<_>>()?;

    note!("Proving every kernel");
    let report = doctor::quick(&device)?;
    let steps: Vec<Step> =
        networks.iter().map(|network| measure(&device, network, args.batch)).collect::<Result<_>>()?;
    let file = json!({
        "ocellus": env!("CARGO_PKG_VERSION"),
        "system": [std::env::consts::OS, std::env::consts::ARCH],
        "cores": std::thread::available_parallelism().map_or(0, |cores| cores.get()),
        "adapter": devices::as_json(&device.listed),
        "doctor": report.to_json(),
        "steps": steps.iter().map(Step::to_json).collect::<Vec<_>>(),
    });
    let text = serde_json::to_string_pretty(&file).expect("plain data");
    files::write_atomic(&args.out, |file| file.write_all(text.as_bytes()))?;
    say(row(&device, report.passed(), &steps))?;
    note!("Written to {}", args.out.display());
    if report.passed() { Ok(()) } else { Err(Error::Check("kernels give wrong results on this device".into())) }
}

impl ReportDeviceArgs {
    fn network(&self, image_size: ImageSize) -> Result<Network> {
        let &ReportDeviceArgs { batch, width, .. } = self;
        Config { image_size, batch, width, ..Config::default() }.validate()?;
        let network = Architecture::default().build(image_size, width, CLASSES).map_err(Error::Input)?;
        super::plannable(&network, batch)?;
        Ok(network)
    }
}

/// Tunes, then times the steps of what was chosen.
fn measure(device: &Device, network: &Network, batch: usize) -> Result<Step> {
    note!("{} pixels, batch {batch}", network.image_size);
    let choice = tuning::choose(device, network, batch)?;
    let mut engine = Engine::Gpu(Box::new(Session::new(device.clone())));
    open::choose(&mut engine, choice.variant.clone())?;
    let plan = training(network, batch, &engine.target());
    Ok(Step { profile: profile::run(&mut engine, network, plan)?, choice })
}

impl Step {
    fn to_json(&self) -> Value {
        json!({ "tune": tuning::to_json(&self.choice), "profile": self.profile.to_json() })
    }
}

/// The row of `docs/devices.md`.
fn row(device: &Device, passed: bool, steps: &[Step]) -> String {
    let info = &device.listed.info;
    let doctor = if passed { "passed" } else { "FAILED" };
    let of = |Step { choice, profile }: &Step| {
        let (size, batch, ms) = (profile.image_size, profile.batch, 1e3 * profile.step_seconds);
        format!("{size}/{batch}: {ms:.1} ms ({})", choice.variant)
    };
    let peaks = steps.first().map_or(String::new(), |Step { profile, .. }| {
        format!("{:.0} GFLOP/s, {:.0} GB/s", profile.peaks.gflops, profile.peaks.gbytes_per_second)
    });
    format!(
        "| {} | {} {}, {} | {doctor} | {peaks} | {} |",
        info.name,
        info.driver,
        info.driver_info,
        info.backend,
        steps.iter().map(of).collect::<Vec<_>>().join("; ")
    )
}
