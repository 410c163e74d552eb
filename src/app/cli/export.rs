//! `ocellus export`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::model::{Model, checkpoint_file, run_settings};
use super::output::show;
use super::{DeviceArgs, plannable};
use crate::app::config::Config;
use crate::app::data::Images;
use crate::app::data::resize::resize;
use crate::app::exchange::web::{self, Page, Training};
use crate::app::exchange::{keras, onnx};
use crate::app::predict;
use crate::app::train::files;
use crate::error::{Error, Result};
use crate::network::weights;
use crate::notes::note;

/// Write weights for other programs, or a page that classifies or trains in a browser.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A run's folder (its best weights) or a .safetensors file
    #[arg(required_unless_present = "train")]
    weights: Option<PathBuf>,
    /// Format of the file
    #[arg(long, value_enum)]
    format: Format,
    /// The file to write; a name in .weights.h5 gets Keras's newer layout [default: beside the weights; train.html for --train]
    #[arg(long)]
    out: Option<PathBuf>,
    /// In a page, keep the weights as they are instead of rounding those of convolutions and dense layers to half precision;
    /// the page is twice as large
    #[arg(long)]
    exact: bool,
    /// In a page, hold cases of its kernels too, so that a reader can prove them on any device
    #[arg(long)]
    doctor: bool,
    /// Write a page that trains instead, from random weights, on drawn photographs that it holds. --device computes the losses by
    /// which it proves itself
    #[arg(long, conflicts_with_all = ["weights", "exact", "doctor"])]
    train: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The network with its weights; photographs go in as [N, height, width, 3], RGB, 0..1
    Onnx,
    /// An HDF5 file for `load_weights` of the tutorial's model
    Keras,
    /// One HTML file that classifies photographs in a browser with WebGPU; nothing is sent anywhere. --device computes the
    /// probabilities by which it proves itself
    Web,
}

pub fn run(args: ExportArgs) -> Result<()> {
    let of_pages = [("--exact", args.exact), ("--doctor", args.doctor), ("--train", args.train)];
    if let Some((option, _)) = of_pages.iter().find(|(_, given)| *given && args.format != Format::Web) {
        return Err(Error::Input(format!("{option} is for --format web")));
    }
    let Some(weights) = &args.weights else { return write_training(&args) };
    let path = checkpoint_file(weights)?;
    let model = Model::load(&path)?;
    let Model { network, metadata, tensors } = &model;
    let ending = match args.format {
        Format::Onnx => "onnx",
        Format::Keras => "h5",
        Format::Web => "html",
    };
    let out = args.out.clone().unwrap_or_else(|| path.with_extension(ending));
    match args.format {
        Format::Onnx => onnx::write(&out, network, tensors, metadata)?,
        Format::Keras => keras::write(&out, network, tensors)?,
        Format::Web => write_page(&args, weights, &model, &path, &out)?,
    }
    show(format_args!("{}: classes {}", out.display(), metadata.classes.join(", ")));
    Ok(())
}

/// Writes the page, with the probabilities that this program gives its built-in pictures.
fn write_page(args: &ExportArgs, folder: &Path, model: &Model, path: &Path, out: &Path) -> Result<()> {
    let Model { network, metadata, tensors } = model;
    plannable(network, 1)?;
    let resampling = run_settings(folder)?.test_resize;
    let figures = figures(folder, path)?;
    let pictures = web::check_pictures();
    let size = network.image_size;
    let pixels = pictures.iter().flat_map(|picture| resize(picture, size, resampling).into_raw()).collect();
    let images = Images { size, count: pictures.len(), pixels };

    let (mut engine, program) = model.place(&args.device, images.count)?;
    let mut probabilities = predict::probabilities(&mut engine, program, &images, |_| ())?;
    let rounded = if args.exact { tensors.clone() } else { web::rounded(tensors) };
    if !args.exact {
        weights::upload(&mut engine, program, network, &rounded);
        let of_rounded = predict::probabilities(&mut engine, program, &images, |_| ())?;
        let moved = of_rounded.iter().zip(&probabilities).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        show(format_args!("half precision moves the probabilities of the built-in pictures by {moved:.1e} at most"));
        if moved > web::HALF_TOLERANCE {
            note!("warning: that is more than {:.0e}; --exact keeps the weights as they are", web::HALF_TOLERANCE);
        }
        probabilities = of_rounded;
    }
    let rows = probabilities.chunks_exact(network.classes).map(<[f32]>::to_vec);
    let title = folder.canonicalize().ok();
    let title = title.as_deref().and_then(Path::file_stem).map_or("ocellus".into(), |name| name.to_string_lossy());
    let page = Page {
        title: &title,
        network,
        tensors: &rounded,
        metadata,
        resize: resampling,
        exact: args.exact,
        figures,
        checks: pictures.into_iter().zip(rows).collect(),
        doctor: args.doctor,
    };
    save(out, &page.html()?)
}

/// Writes the page that trains, with the losses that this program computes.
fn write_training(args: &ExportArgs) -> Result<()> {
    let out = args.out.clone().unwrap_or_else(|| "train.html".into());
    let mut engine = args.device.open(&Config::default())?;
    let training = Training::default();
    let losses = training.losses(&mut engine)?;
    save(&out, &training.html(&losses, &engine.describe())?)?;
    show(out.display());
    Ok(())
}

fn save(out: &Path, html: &str) -> Result<()> {
    let bytes = web::write(out, html)?;
    show(format_args!("{:.1} MB, for browsers with WebGPU", bytes as f64 / 1e6));
    Ok(())
}

/// The figures of a run's report, and whether the weights' file was changed after it, as by a temperature. `None` for weights
/// without a run, and for a run that was not tested.
fn figures(weights: &Path, file: &Path) -> Result<Option<(Value, bool)>> {
    let path = weights.join(files::REPORT_JSON);
    let Ok(report) = std::fs::read(&path) else { return Ok(None) };
    let mut report: Value = serde_json::from_slice(&report)
        .map_err(|e| Error::Input(format!("{}: damaged report: {e}; run evaluate --out again", path.display())))?;
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).map_err(Error::io(path));
    let outdated = changed(file)? > changed(&path)?;
    Ok(report.get_mut("figures").map(Value::take).map(|figures| (figures, outdated)))
}
