//! `ocellus export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::model::{Model, checkpoint_file};
use super::output::show;
use crate::app::exchange::{keras, onnx};
use crate::error::Result;

/// Write weights for other programs.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A run's folder (its best weights) or a .safetensors file
    weights: PathBuf,
    /// Format of the file
    #[arg(long, value_enum)]
    format: Format,
    /// The file to write; a name in .weights.h5 gets Keras's newer layout [default: beside the weights]
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The network with its weights; photographs go in as [N, height, width, 3], RGB, 0..1
    Onnx,
    /// An HDF5 file for `load_weights` of the tutorial's model
    Keras,
}

pub fn run(args: ExportArgs) -> Result<()> {
    let path = checkpoint_file(&args.weights)?;
    let Model { network, metadata, tensors } = Model::load(&path)?;
    let ending = match args.format {
        Format::Onnx => "onnx",
        Format::Keras => "h5",
    };
    let out = args.out.unwrap_or_else(|| path.with_extension(ending));
    match args.format {
        Format::Onnx => onnx::write(&out, &network, &tensors, &metadata)?,
        Format::Keras => keras::write(&out, &network, &tensors)?,
    }
    show(format_args!("{}: classes {}", out.display(), metadata.classes.join(", ")));
    Ok(())
}
