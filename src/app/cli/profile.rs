//! `ocellus profile`.

use std::path::PathBuf;

use clap::Args;

use super::output::{say, say_json};
use super::train::devices;
use super::train::others::Others;
use super::{DeviceArgs, MemoryArgs, NetworkArgs, ReplacedArgs, UnitsArgs};
use crate::app::config::Config;
use crate::app::plot;
use crate::app::train::shares;
use crate::engine::gpu::Options;
use crate::engine::plan::Target;
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::network::compile::training;
use crate::proof::doctor::open;
use crate::proof::profile::{self, exchanges};
use crate::proof::tune;

/// Time every part of a training step on the device, and compare it with the peaks that the device
/// shows in the same run. Times are medians of five runs; beside each stand the shortest and the longest (`range` in JSON).
#[derive(Debug, Args)]
pub struct ProfileArgs {
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    /// Time only the steps that run this shader (conv2d/forward, lib/gemm): what it takes after an edit, with --shaders
    #[arg(long, value_name = "KERNEL")]
    only: Option<String>,
    /// Draw the kernels under the roof of the device's peaks: FLOP per byte, and GFLOP/s
    #[arg(long, value_name = "FILE.png", conflicts_with = "only")]
    plot: Option<PathBuf>,
    /// Write trace events, host and device, for chrome://tracing or Perfetto
    #[arg(long, value_name = "FILE.json", conflicts_with = "only")]
    trace: Option<PathBuf>,
    /// Time the exchanges between these devices, as `train --devices` takes them, and not the parts of a step
    #[arg(long, value_name = "LIST|all", conflicts_with_all = ["device", "only", "plot", "trace"])]
    devices: Option<String>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    units: UnitsArgs,
    #[command(flatten)]
    replaced: ReplacedArgs,
}

pub fn run(args: ProfileArgs) -> Result<()> {
    let (network, batch) = (args.network.build()?, args.network.batch);
    if let Some(list) = &args.devices {
        return run_exchanges(&args, list);
    }
    let config = Config { matrix_units: args.units.matrix_units, ..Config::default() };
    let shaders = args.replaced.read()?;
    let only = args.only.as_deref().map(|only| only.strip_suffix(".wgsl").unwrap_or(only));
    if let Some(only) = only.filter(|only| shaders.source(only).is_err()) {
        let offer = shaders.offer(only, shaders.names());
        return Err(Error::Input(format!("--only: there is no shader of the name {only}{offer}")));
    }
    let mut engine = args.device.open_with(&config, shaders)?;
    if args.memory.half_activations {
        open::check_halves(&engine)?;
    }
    tune::settle(&mut engine, None, Some(&args.network.workload()?))?;
    open::check_replaced(&engine)?;
    let target = args.memory.fit(engine.target(), batch, |target| training(&network, batch, target))?;
    if let Some(only) = only {
        let steps = profile::run_only(&mut engine, &network, training(&network, batch, &target), only)?;
        return if args.json { say_json(&profile::steps_to_json(&steps)) } else { say(profile::steps_to_text(&steps)) };
    }
    let profile = profile::run(&mut engine, &network, training(&network, batch, &target))?;
    if let Some(path) = &args.plot {
        plot::roofline(path, &profile)?;
    }
    if let Some(path) = &args.trace {
        write_atomic(path, |file| Ok(serde_json::to_writer(file, &profile.to_trace())?))?;
    }
    if args.json { say_json(&profile.to_json()) } else { say(profile.to_text()) }
}

/// `--devices`.
fn run_exchanges(args: &ProfileArgs, list: &str) -> Result<()> {
    let (network, batch) = (args.network.build()?, args.network.batch);
    let choices = devices::choices(list)?;
    shares::check(choices.len(), choices.len(), batch)?;
    let own =
        Options { shaders: args.replaced.read()?, matrix_units: args.units.matrix_units, ..args.device.options() };
    let engines = devices::open_each(&choices, &own, choices.len())?;
    if args.memory.half_activations {
        engines.iter().try_for_each(open::check_halves)?;
    }
    let (mut engine, _) = devices::settle(engines, None, Some(&args.network.workload()?), &mut Others::default())?;
    let of_first = |target: &Target| training(&network, batch, &target.of_rank(0, choices.len()));
    let target = args.memory.fit(engine.target(), batch / choices.len(), of_first)?;
    let exchanges = exchanges::run(&mut engine, &network, batch, &target)?;
    if args.json { say_json(&exchanges.to_json()) } else { say(exchanges.to_text()) }
}
