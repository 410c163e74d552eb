//! Options of `ocellus train` that say what it shows and how, and the objects that it logs.

use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::super::output::{say, say_json};
use super::TrainArgs;
use crate::app::config::{Config, keys};
use crate::app::data::{Dataset, Split};
use crate::app::train::{Trainer, files};
use crate::error::Result;
use crate::notes;

/// Settings and messages.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings and messages")]
pub struct ShownArgs {
    /// Print the settings that the options come to and end: a file for --config, each key with its meaning above it
    #[arg(long)]
    print_config: bool,
    /// Print the JSON schema of the file that --config takes, and end
    #[arg(long, conflicts_with = "print_config")]
    print_config_schema: bool,
    /// Form of all that is said: text, or one JSON object per line of standard error and nothing on standard output
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Form of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

impl ShownArgs {
    /// Prints what was asked for in the place of a run; false where a run was asked for.
    pub fn ends(&self, args: &TrainArgs) -> Result<bool> {
        if self.print_config_schema {
            say_json(keys::schema())?;
        } else if self.print_config {
            let (config, out) = args.settle()?;
            say(keys::annotated(&Config { out, ..config })?)?;
        }
        Ok(self.print_config || self.print_config_schema)
    }
}

/// Logs that a run begins or goes on.
pub fn started(folder: &Path, config: &Config, dataset: &Dataset, trainer: &Trainer) {
    let count = |split: &Split| split.examples.len();
    let images = json!({
        "train": count(&dataset.train), "val": count(&dataset.val), "test": dataset.test.as_deref().map(count),
    });
    let run = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "device": trainer.engine.describe(),
        "software": trainer.engine.is_software(),
        "run": folder,
        "config": folder.join(files::CONFIG),
        "data": config.data,
        "classes": dataset.classes,
        "images": images,
        "epochs": config.epochs,
        "epochs_done": trainer.history().len(),
        "batch": config.batch,
    });
    notes::event("info", "run_started", &run);
}

/// Logs that a run is over. `best` is the epoch of the weights that are kept.
pub fn ended(folder: &Path, epochs: usize, best: Option<usize>, time: Duration) {
    let report = Some(folder.join(files::REPORT_JSON)).filter(|report| report.is_file());
    let run = json!({
        "run": folder, "epochs": epochs, "best_epoch": best, "report": report, "seconds": time.as_secs_f64(),
    });
    notes::event("info", "run_ended", &run);
}
