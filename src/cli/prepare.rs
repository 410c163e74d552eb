//! `ocellus prepare`, `check-data` and `synth`: data on disk.

use std::path::PathBuf;

use clap::Args;

use super::output::say;
use super::{ColumnArgs, existing_folder, file_bar};
use crate::data::{self, Columns, synthetic};
use crate::error::{Error, Result};

/// Make dataset.csv and the three splits from data.csv; files that exist are kept.
#[derive(Debug, Args)]
pub struct PrepareArgs {
    /// The folder with data.csv or dataset.csv
    data: PathBuf,
    /// What the split follows from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    columns: ColumnArgs,
}

pub fn run(args: PrepareArgs) -> Result<()> {
    existing_folder(&args.data, "it should hold img/ and data.csv")?;
    let prepared = data::prepare(&args.data, &args.columns.over(Columns::default()), args.seed)?;
    for path in &prepared.made {
        eprintln!("Made {}", path.display());
    }
    if prepared.made.is_empty() {
        eprintln!("Everything was there; nothing was written");
    }
    say(format_args!("{}\n", prepared.table))
}

/// Open every image strictly and list every bad row and file.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The folder with img/ and the splits, or dataset.csv, or data.csv
    data: PathBuf,
    #[command(flatten)]
    columns: ColumnArgs,
}

pub fn check(args: CheckArgs) -> Result<()> {
    existing_folder(&args.data, "it should hold img/ and a CSV file")?;
    let bar = file_bar("Checking", 0);
    let faults = data::check(&args.data, &args.columns.over(Columns::default()), |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    for fault in &faults {
        say(fault)?;
    }
    match faults.len() {
        0 => say("No fault found"),
        count => Err(Error::Input(format!("{}: {count} faults", args.data.display()))),
    }
}

/// Write the built-in set of drawn fundus photographs, in the tutorial's format.
#[derive(Debug, Args)]
pub struct SynthArgs {
    /// A folder that does not exist yet, or is empty
    out: PathBuf,
    /// Number of photographs
    #[arg(long, default_value_t = synthetic::Options::default().images)]
    images: usize,
    /// Height and width in pixels
    #[arg(long, default_value_t = synthetic::Options::default().size)]
    size: usize,
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub fn synth(args: SynthArgs) -> Result<()> {
    let options = synthetic::Options { images: args.images, size: args.size, seed: args.seed };
    let bar = file_bar("Drawing", options.images);
    synthetic::write(&args.out, &options, |done, _| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    say(format_args!("{} photographs of {1} x {1} pixels in {2}", options.images, options.size, args.out.display()))
}
