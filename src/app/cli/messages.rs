//! Options of every command that say how much is written to standard error.

use std::io::Write;

use clap::{ArgAction, Args};
use log::{Level, LevelFilter};

use crate::notes;

/// How much is said beside the results.
#[derive(Debug, Args)]
pub struct MessageArgs {
    /// Say nothing beside the results but warnings and errors; no progress bars
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say also what wgpu and naga do; twice for details. RUST_LOG chooses by module
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
}

impl MessageArgs {
    /// Lets through what libraries log: warnings, and more with `-v` or as RUST_LOG says.
    pub fn apply(&self) {
        if self.quiet {
            notes::be_quiet();
        }
        let level = [LevelFilter::Warn, LevelFilter::Info, LevelFilter::Debug][self.verbose.min(2) as usize];
        let mut log = env_logger::Builder::new();
        log.filter_level(level).parse_default_env().format(|to, record| {
            let level = match record.level() {
                Level::Error => "error",
                Level::Warn => "warning",
                Level::Info => "info",
                Level::Debug | Level::Trace => "debug",
            };
            writeln!(to, "{level}: {}: {}", record.target(), record.args())
        });
        log.init();
    }
}
