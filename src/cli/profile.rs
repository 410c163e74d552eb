//! `ocellus profile`.

use clap::Args;

use super::DeviceArgs;
use crate::config::Config;
use crate::error::Result;
use crate::{network, profile};

/// Time every part of a training step on the device, and hold it to the peaks that the device shows in the same run.
#[derive(Debug, Args)]
pub struct ProfileArgs {
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
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

pub fn run(args: ProfileArgs) -> Result<()> {
    let ProfileArgs { image_size, batch, width, .. } = args;
    let config = Config { image_size, batch, width, ..Config::default() };
    config.validate()?;
    let network = network::tutorial(image_size, width, args.classes);
    super::plannable(&network, batch)?;
    let mut engine = args.device.open(&config)?;
    let profile = profile::run(&mut engine, &network, batch, config.seed)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&profile.to_json()).expect("plain values are JSON"));
    } else {
        print!("{}", profile.to_text());
    }
    Ok(())
}
