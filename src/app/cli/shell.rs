//! `ocellus completions` and `ocellus man`: what a shell and `man` take from the definition of the command line.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use super::output::{say, show};
use crate::error::{Error, Result};

/// Print a script with which a shell completes commands and options.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub fn completions(args: CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::definition(), env!("CARGO_PKG_NAME"), &mut script);
    say(String::from_utf8_lossy(&script))
}

/// Write a manual page for each command.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder for ocellus.1, ocellus-train.1 and so on; it is made if it is not there
    #[arg(long, value_name = "DIR", default_value = "man")]
    out: PathBuf,
}

pub fn man(args: ManArgs) -> Result<()> {
    std::fs::create_dir_all(&args.out).map_err(Error::io(&args.out))?;
    clap_mangen::generate_to(super::definition(), &args.out).map_err(Error::io(&args.out))?;
    show(format_args!("Written to {0}: man -l {0}/ocellus.1", args.out.display()));
    Ok(())
}
