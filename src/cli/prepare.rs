//! `ocellus prepare`, `check-data` and `synth`: data on disk.

use std::path::PathBuf;

use clap::Args;

use super::output::{say, warn};
use super::{ColumnArgs, existing_folder, file_bar};
use crate::data::findings::counted;
use crate::data::{self, Columns, Findings, synthetic};
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
    warn(&prepared.warnings);
    for path in &prepared.made {
        eprintln!("Made {}", path.display());
    }
    if prepared.made.is_empty() {
        eprintln!("Everything was there; nothing was written");
    }
    say(format_args!("{}\n", prepared.table))
}

/// Open every image strictly, list every bad row and file, and warn of copies, stale splits and
/// labels that look alike.
///
/// Faults are what training refuses: with one the exit status is 2. Warnings do not change it.
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
    let Findings { faults, warnings } =
        data::check(&args.data, &args.columns.over(Columns::default()), |done, total| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        })?;
    bar.finish_and_clear();
    for warning in &warnings {
        say(format_args!("warning: {warning}"))?;
    }
    for fault in &faults {
        say(fault)?;
    }
    let and_warnings = |joined: &str| match warnings.len() {
        0 => String::new(),
        count => format!("{joined}{}", counted(count, "warning")),
    };
    match faults.len() {
        0 => say(format_args!("No fault found{}", and_warnings(", but "))),
        count => {
            let (data, warnings) = (args.data.display(), and_warnings(", "));
            Err(Error::Input(format!("{data}: {}{warnings}", counted(count, "fault"))))
        }
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
