//! `ocellus predict`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rayon::prelude::*;

use super::evaluate::Model;
use super::{DeviceArgs, checkpoint_file};
use crate::data::decode::open_image;
use crate::data::resize::resize;
use crate::data::{Images, Resampling};
use crate::error::{Error, Result};
use crate::predict;

/// Endings of the files that a folder is searched for.
const ENDINGS: [&str; 6] = ["jpg", "jpeg", "png", "bmp", "tif", "tiff"];
/// Images decoded and classified together.
const CHUNK: usize = 256;

/// Class probabilities of photographs.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// A run's folder (its best weights) or a .safetensors file
    weights: PathBuf,
    /// Photographs, or folders of them
    #[arg(required = true)]
    images: Vec<PathBuf>,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// How photographs are brought to the network's input size
    #[arg(long, value_enum, default_value = "lanczos")]
    resize: Resampling,
    /// Images at a time
    #[arg(long, default_value_t = 32)]
    batch: usize,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Csv,
    Json,
}

pub fn run(args: PredictArgs) -> Result<()> {
    let model = Model::load(&checkpoint_file(&args.weights)?)?;
    let paths = find_images(&args.images)?;
    // Every file is opened before the device is: a bad one stops the command before it prints anything.
    let size = model.metadata.image_size;
    let decoded: Vec<Vec<u8>> = paths
        .par_iter()
        .map(|path| Ok(resize(&open_image(path)?, size, size, args.resize).into_raw()))
        .collect::<Result<_>>()?;
    let (mut engine, program) = model.place(&args.device, args.batch.min(paths.len()).max(1))?;
    let mut rows = Vec::new();
    for chunk in decoded.chunks(CHUNK) {
        let images = Images { size, count: chunk.len(), pixels: chunk.concat() };
        let probabilities = predict::probabilities(&mut engine, program, &images, |_| ())?;
        rows.extend(probabilities.chunks_exact(model.metadata.classes.len()).map(<[f32]>::to_vec));
    }
    let mut out = std::io::stdout().lock();
    let written = match args.format {
        Format::Table => write_table(&mut out, &paths, &model.metadata.classes, &rows),
        Format::Csv => write_csv(&mut out, &paths, &model.metadata.classes, &rows),
        Format::Json => write_json(&mut out, &paths, &model.metadata.classes, &rows),
    };
    written.map_err(Error::io(Path::new("standard output")))
}

/// The files named, and those in the folders named, sorted.
fn find_images(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in named {
        if path.is_dir() {
            let mut inside: Vec<PathBuf> = std::fs::read_dir(path)
                .map_err(Error::io(path))?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<std::io::Result<_>>()
                .map_err(Error::io(path))?;
            inside.retain(|path| {
                path.extension().is_some_and(|e| ENDINGS.contains(&&*e.to_string_lossy().to_lowercase()))
            });
            if inside.is_empty() {
                return Err(Error::Input(format!("{}: no image in it ({})", path.display(), ENDINGS.join(", "))));
            }
            inside.sort();
            found.extend(inside);
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn write_table(out: &mut dyn Write, paths: &[PathBuf], classes: &[String], rows: &[Vec<f32>]) -> std::io::Result<()> {
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let columns: Vec<usize> = classes.iter().map(|class| class.chars().count().max(6)).collect();
    let first = columns.iter().zip(classes).map(|(width, class)| format!("  {class:>width$}")).collect::<String>();
    writeln!(out, "{:width$}{first}  predicted", "")?;
    for (name, row) in names.iter().zip(rows) {
        let cells = columns.iter().zip(row).map(|(width, p)| format!("  {p:width$.4}")).collect::<String>();
        let top = predict::top_classes(row, classes.len())[0];
        writeln!(out, "{name:width$}{cells}  {}", classes[top])?;
    }
    Ok(())
}

fn write_csv(out: &mut dyn Write, paths: &[PathBuf], classes: &[String], rows: &[Vec<f32>]) -> std::io::Result<()> {
    let mut table = csv::Writer::from_writer(out);
    let header = ["filename", "predicted"].into_iter().map(str::to_string).chain(classes.iter().cloned());
    table.write_record(header)?;
    for (path, row) in paths.iter().zip(rows) {
        let top = predict::top_classes(row, classes.len())[0];
        let cells = [path.display().to_string(), classes[top].clone()].into_iter();
        table.write_record(cells.chain(row.iter().map(|p| p.to_string())))?;
    }
    table.flush()
}

fn write_json(out: &mut dyn Write, paths: &[PathBuf], classes: &[String], rows: &[Vec<f32>]) -> std::io::Result<()> {
    let entry = |(path, row): (&PathBuf, &Vec<f32>)| {
        let probabilities: serde_json::Map<String, serde_json::Value> =
            classes.iter().cloned().zip(row.iter().map(|&p| p.into())).collect();
        let top = predict::top_classes(row, classes.len())[0];
        serde_json::json!({
            "filename": path.display().to_string(),
            "predicted": classes[top],
            "probabilities": probabilities,
        })
    };
    let all: Vec<serde_json::Value> = paths.iter().zip(rows).map(entry).collect();
    writeln!(out, "{}", serde_json::to_string_pretty(&all)?)
}
