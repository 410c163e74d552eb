//! `ocellus plan`.

use clap::Args;

use crate::config::Config;
use crate::error::Result;
use crate::network;
use crate::plan::{Target, network as plans, print};

/// Print the network and its plan: every step, shape, cost and slot, and the memory in all. Nothing runs.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Height and width of the network's input in pixels
    #[arg(long, default_value_t = Config::default().image_size)]
    image_size: usize,
    /// Images a training step
    #[arg(long, default_value_t = Config::default().batch)]
    batch: usize,
    /// Multiplier of the network's channel counts
    #[arg(long, default_value_t = Config::default().width)]
    width: f64,
    #[arg(long, default_value_t = 8)]
    classes: usize,
    /// The plan of inference instead of that of training
    #[arg(long)]
    inference: bool,
    #[arg(long)]
    json: bool,
}

pub fn run(args: PlanArgs) -> Result<()> {
    let PlanArgs { image_size, batch, width, .. } = args;
    Config { image_size, batch, width, ..Config::default() }.validate()?;
    let network = network::tutorial(image_size, width, args.classes);
    super::plannable(&network, batch)?;
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
