//! `ocellus plan`.

use std::path::PathBuf;

use clap::Args;

use super::output::{say, say_json};
use super::{MemoryArgs, NetworkArgs, units_of};
use crate::app::plot;
use crate::app::train::shares;
use crate::engine::plan::{Shares, Target};
use crate::engine::variant::{Abilities, MatrixUnits, Variant};
use crate::error::Result;
use crate::network::{compile as plans, print};

/// Print the network and its plan: every step, shape, cost and slot, and the memory in all. Nothing runs.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    network: NetworkArgs,
    /// The plan of inference instead of that of training
    #[arg(long)]
    inference: bool,
    #[command(flatten)]
    memory: MemoryArgs,
    /// Draw the memory over the steps, slot by slot
    #[arg(long, value_name = "FILE.png")]
    plot: Option<PathBuf>,
    /// The largest binding of the device that the plan is for, in MiB; 128 is WebGPU's default, GPUs have 2047 or more
    #[arg(long, value_name = "MIB", default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..1 << 20))]
    max_binding_mib: u64,
    /// A discrete GPU: more and larger pieces of work
    #[arg(long)]
    discrete: bool,
    /// A device with matrix units of this size, asked for by `train --matrix-units`
    #[arg(long, value_name = "SIZE", value_parser = units_of)]
    matrix_units: Option<MatrixUnits>,
    /// The plan of the first of so many devices that share the batch out, with the exchanges between them
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "inference", value_parser = clap::value_parser!(u64).range(1..))]
    devices: u64,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub fn run(args: PlanArgs) -> Result<()> {
    let (network, batch) = (args.network.build()?, args.network.batch);
    let plan_for = |target: &Target| match args.inference {
        false => plans::training(&network, batch, target),
        true => plans::inference(&network, batch, target),
    };
    let matrix_units = args.matrix_units;
    let abilities = Abilities { discrete: args.discrete, matrix_units, ..Abilities::default() };
    let variant = Variant::all(&abilities).swap_remove(0);
    let devices = args.devices as usize;
    shares::check(devices, devices, batch)?;
    let shares = Shares::of_rank(devices, 0, devices);
    let target = Target { binding_bytes: args.max_binding_mib << 20, variant, shares, ..Target::default() };
    let plan = plan_for(&args.memory.fit(target, batch, plan_for)?);
    if let Some(path) = &args.plot {
        let NetworkArgs { network, image_size, .. } = &args.network;
        plot::memory(path, &plan, &format!("{network}, {image_size} pixels, batch {batch}"))?;
    }
    if args.json { say_json(&print::to_json(&network, &plan)) } else { say(print::to_text(&network, &plan)) }
}
