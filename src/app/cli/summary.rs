//! `ocellus summary`.

use std::path::PathBuf;

use clap::Args;

use super::NetworkArgs;
use super::model::{Model, checkpoint_file};
use super::output::{say, say_json};
use crate::error::Result;

/// Print the network layer by layer, as Keras's model.summary() does.
#[derive(Debug, Args)]
pub struct SummaryArgs {
    /// The network of these weights, a run's folder or a .safetensors file [default: the tutorial's, with the options below]
    #[arg(conflicts_with_all = ["network", "image_size", "batch", "width", "classes"])]
    weights: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgs,
    /// Print JSON: the layers with their inputs, output shapes and numbers of parameters, and the totals
    #[arg(long)]
    json: bool,
}

pub fn run(args: SummaryArgs) -> Result<()> {
    let network = match &args.weights {
        Some(path) => Model::load(&checkpoint_file(path)?)?.network,
        None => args.network.build()?,
    };
    if args.json { say_json(&network.to_json()) } else { say(network.summary()) }
}
