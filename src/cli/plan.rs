//! `ocellus plan`.

use clap::Args;

use super::NetworkArgs;
use super::output::{say, say_json};
use crate::config::MOST_MIB;
use crate::error::Result;
use crate::plan::{Target, budget, network as plans, print};

/// Print the network and its plan: every step, shape, cost and slot, and the memory in all. Nothing runs.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    network: NetworkArgs,
    /// The plan of inference instead of that of training
    #[arg(long)]
    inference: bool,
    /// Cut the batch into windows, so that the plan takes no more of the device's memory
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=MOST_MIB))]
    memory_budget: Option<u64>,
    #[arg(long)]
    json: bool,
}

pub fn run(args: PlanArgs) -> Result<()> {
    let (network, batch) = (args.network.build()?, args.network.batch);
    let plan_for = |target: &Target| match args.inference {
        false => plans::training(&network, batch, target),
        true => plans::inference(&network, batch, target),
    };
    let mut target = Target::default();
    if let Some(mib) = args.memory_budget {
        target = budget::fit(target, mib << 20, batch, |target| vec![plan_for(target)])?;
    }
    let plan = plan_for(&target);
    if args.json { say_json(&print::to_json(&network, &plan)) } else { say(print::to_text(&network, &plan)) }
}
