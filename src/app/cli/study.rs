//! `ocellus study`.

use std::path::PathBuf;

use clap::Args;

use super::output::{say, say_json};
use super::{DeviceArgs, ReplacedArgs};
use crate::app::config::Config;
use crate::app::plot;
use crate::engine::run::Engine;
use crate::engine::shader::Shaders;
use crate::error::{Error, Result};
use crate::nearest::offer;
use crate::proof::study;
use crate::proof::study::ladder::{self, Ladder};
use crate::proof::study::rung::rungs;

/// Climb an operation's ladder: kernels from naive to what training runs, each proved against the f64 twin, then timed
/// beside the others, with the reason for its step. Without an operation, list them.
#[derive(Debug, Args)]
pub struct StudyArgs {
    /// The operation: gemm, conv2d/forward, or conv2d for all of its passes
    op: Option<String>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Draw the speeds of one ladder
    #[arg(long, value_name = "FILE.png")]
    plot: Option<PathBuf>,
    /// Time rungs of this folder beside the built-in ones of the same names: two versions of one file
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Rungs of your own: DIR/OP/rungs/N_name.wgsl is added to the ladder, or stands in for the built-in one of that name; so
    /// do other .wgsl files below DIR. They run without bounds checks, unless --checked-shaders is given
    #[arg(long, value_name = "DIR")]
    shaders: Option<PathBuf>,
}

pub fn run(args: StudyArgs) -> Result<()> {
    let shaders = ReplacedArgs { shaders: args.shaders }.read()?;
    let Some(op) = &args.op else { return list(&shaders) };
    let ladders = ladder::named(op);
    if ladders.is_empty() {
        let ladders = ladder::all();
        let offered = offer(op, ladders.iter().map(|ladder| ladder.op));
        return Err(Error::Input(format!("no ladder of the name {op}; {offered}")));
    }
    if let (Some(_), [first, .., last]) = (&args.plot, &ladders[..]) {
        return Err(Error::Input(format!(
            "--plot draws one ladder, and {op} has several: {} to {}",
            first.op, last.op
        )));
    }
    let against = args.against.as_ref().map(|folder| Ok((folder.display().to_string(), Shaders::read(folder)?)));
    let against = against.transpose()?;
    let Engine::Gpu(session) = args.device.open_with(&Config::default(), shaders)? else {
        return Err(Error::Input("the CPU reference runs no kernels to study; choose a device by --device".into()));
    };
    let device = session.device.clone();
    drop(session);
    let against = against.as_ref().map(|(folder, shaders)| (&folder[..], shaders));
    let studies = ladders.iter().map(|ladder| study::run(&device, ladder, against)).collect::<Result<Vec<_>>>()?;
    if let (Some(path), [study]) = (&args.plot, &studies[..]) {
        plot::ladder(path, study)?;
    }
    if args.json {
        say_json(&studies.iter().map(study::Study::to_json).collect())?;
    } else {
        say(studies.iter().map(study::Study::to_text).collect::<Vec<_>>().join("\n"))?;
    }
    match studies.iter().find(|study| !study.passed()) {
        None => Ok(()),
        Some(study) => Err(Error::Check(format!("a rung of {} is not what it says", study.op))),
    }
}

/// Prints every ladder with its rungs.
fn list(shaders: &Shaders) -> Result<()> {
    let mut out = String::new();
    for ladder in ladder::all() {
        out += &describe(&ladder, shaders)?;
    }
    say(out)
}

fn describe(ladder: &Ladder, shaders: &Shaders) -> Result<String> {
    let bindings: Vec<&str> = ladder.bindings.iter().map(|(binding, _)| *binding).collect();
    let constants: Vec<&str> = ladder.sizes[0].constants.iter().map(|(constant, _)| *constant).collect();
    let mut out = format!("{}\n    {}\n", ladder.op, ladder.formula);
    out += &format!("    binds {}; sets {}\n", bindings.join(", "), constants.join(", "));
    for rung in rungs(ladder, shaders).map_err(Error::Input)? {
        out += &format!("    {}{}\n", rung.name, if rung.wrong.is_some() { "   (wrong on purpose)" } else { "" });
    }
    Ok(out)
}
