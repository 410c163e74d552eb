//! `ocellus plan`.

use clap::Args;

use super::NetworkArgs;
use crate::error::Result;
use crate::plan::{Target, network as plans, print};

/// Print the network and its plan: every step, shape, cost and slot, and the memory in all. Nothing runs.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    network: NetworkArgs,
    /// The plan of inference instead of that of training
    #[arg(long)]
    inference: bool,
    #[arg(long)]
    json: bool,
}

pub fn run(args: PlanArgs) -> Result<()> {
    let (network, batch) = (args.network.build()?, args.network.batch);
    let target = Target::default();
    let plan = match args.inference {
        false => plans::training(&network, batch, &target),
        true => plans::inference(&network, batch, &target),
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&print::to_json(&network, &plan)).expect("plain values are JSON"));
    } else {
        print!("{}", print::to_text(&network, &plan));
    }
    Ok(())
}
