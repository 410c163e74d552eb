//! `ocellus atlas`.

use std::path::PathBuf;

use clap::Args;

use super::output::show;
use super::{MemoryArgs, NetworkArgs};
use crate::app::atlas;
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::network::compile::training;

/// Write a training step as one page that needs no network: every step with its shader, twin, bound, cases and mutants.
/// Nothing runs.
#[derive(Debug, Args)]
pub struct AtlasArgs {
    /// The page
    #[arg(long, value_name = "FILE.html")]
    out: PathBuf,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    /// Times of the same network, image size and batch, as `profile --json` prints them
    #[arg(long, value_name = "FILE.json")]
    profile: Option<PathBuf>,
}

pub fn run(args: AtlasArgs) -> Result<()> {
    let (network, batch) = (args.network.build()?, args.network.batch);
    let read = |path: &PathBuf| {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Input(format!("{}: {error}", path.display())))
    };
    let profile: Option<serde_json::Value> = args.profile.as_ref().map(read).transpose()?;
    let named = |error: Error| match (&args.profile, error) {
        (Some(path), Error::Input(problem)) => Error::Input(format!("{}: {problem}", path.display())),
        (_, error) => error,
    };
    let target = atlas::target(profile.as_ref()).map_err(named)?;
    let target = args.memory.fit(target, batch, |target| training(&network, batch, target))?;
    let plan = training(&network, batch, &target);
    let title = format!("{}, {} pixels, batch {batch}", args.network.network, args.network.image_size);
    let page = atlas::page(&network, &plan, &title, profile.as_ref()).map_err(named)?;
    write_atomic(&args.out, |file| file.write_all(page.as_bytes()))?;
    show(format_args!("{} steps in {}", plan.steps.len(), args.out.display()));
    Ok(())
}
