//! `ocellus prepare`, `check-data` and `synth`: data on disk.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::output::{say, say_json, show, warn};
use super::{ColumnArgs, existing_folder};
use crate::app::bars::file_bar;
use crate::app::data::findings::counted;
use crate::app::data::folds::{FEWEST, MOST};
use crate::app::data::{self, Columns, Findings, synthetic};
use crate::engine::image_size::ImageSize;
use crate::error::{Error, Result};
use crate::files::is_read_only;
use crate::notes::note;

/// Make dataset.csv and the three splits, or folds, from data.csv; files that exist are kept.
#[derive(Debug, Args)]
pub struct PrepareArgs {
    /// The folder with data.csv or dataset.csv
    data: PathBuf,
    /// Where the tables go, for a folder that is read-only; `train --tables` takes them from there
    /// [default: beside the data]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Make folds.csv, with so many folds of one size and nobody in two of them, and no splits;
    /// `train --fold I` tests on fold I, validates on the next and trains on the others
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(FEWEST as u64..=MOST as u64))]
    folds: Option<u64>,
    /// Seed of the split
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    columns: ColumnArgs,
    /// Print JSON: the files made, the classes with their photographs in each split, the warnings
    #[arg(long)]
    json: bool,
}

pub fn run(args: PrepareArgs) -> Result<()> {
    existing_folder(&args.data, "it should hold img/ and data.csv")?;
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).map_err(Error::io(out))?;
    }
    let (tables, columns) = (args.out.as_ref().unwrap_or(&args.data), args.columns.over(Columns::default()));
    let prepared = match args.folds {
        Some(folds) => data::prepare_folds(&args.data, tables, &columns, folds as usize, args.seed),
        None => data::prepare_in(&args.data, tables, &columns, args.seed),
    };
    let what = if args.folds.is_some() { "folds" } else { "splits" };
    let prepared = prepared.map_err(|error| match error {
        Error::Io { source, .. } if is_read_only(&source) => Error::Input(format!(
            "{}: the {what} are missing, and nothing can be written there ({source}); name another folder for them: --out DIR",
            tables.display()
        )),
        error => error,
    })?;
    warn(&prepared.warnings);
    if args.json {
        return say_json(&prepared.to_json());
    }
    for path in &prepared.made {
        note!("Made {}", path.display());
    }
    if prepared.made.is_empty() {
        note!("Everything was there; nothing was written");
    }
    show(format_args!("{}\n", prepared.table));
    Ok(())
}

/// Open every image strictly, list every bad row and file, and warn of copies, stale splits and
/// labels that look alike.
///
/// Faults are what training refuses: with one the exit status is 2. Warnings do not change it.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The folder with img/ and the splits, or dataset.csv, or data.csv
    data: PathBuf,
    /// The folder with the CSV files, where they are not beside the data
    #[arg(long, value_name = "DIR")]
    tables: Option<PathBuf>,
    #[command(flatten)]
    columns: ColumnArgs,
    /// Print JSON: the faults and the warnings
    #[arg(long)]
    json: bool,
}

pub fn check(args: CheckArgs) -> Result<()> {
    existing_folder(&args.data, "it should hold img/ and a CSV file")?;
    let tables = args.tables.as_ref().unwrap_or(&args.data);
    existing_folder(tables, "--tables names a folder with CSV files")?;
    let bar = file_bar("Checking", 0);
    let columns = args.columns.over(Columns::default());
    let Findings { faults, warnings } = data::check_in(&args.data, tables, &columns, |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    if args.json {
        let texts: Vec<String> = faults.iter().map(Error::to_string).collect();
        say_json(&json!({ "data": args.data, "faults": texts, "warnings": warnings }))?;
    }
    for warning in warnings.iter().filter(|_| !args.json) {
        say(format_args!("warning: {warning}"))?;
    }
    for fault in faults.iter().filter(|_| !args.json) {
        say(fault)?;
    }
    let and_warnings = |joined: &str| match warnings.len() {
        0 => String::new(),
        count => format!("{joined}{}", counted(count, "warning")),
    };
    match faults.len() {
        0 if args.json => Ok(()),
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
    /// Size in pixels, N or height x width
    #[arg(long, value_name = "N|HxW", default_value_t = synthetic::Options::default().size)]
    size: ImageSize,
    /// Seed of the drawing
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub fn synth(args: SynthArgs) -> Result<()> {
    let options = synthetic::Options { images: args.images, size: args.size, seed: args.seed };
    let bar = file_bar("Drawing", options.images);
    synthetic::write(&args.out, &options, |done, _| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    let synthetic::Options { images, size: ImageSize { height, width }, .. } = options;
    show(format_args!("{images} photographs of {height} x {width} pixels in {}", args.out.display()));
    Ok(())
}
