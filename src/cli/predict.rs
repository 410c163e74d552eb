//! `ocellus predict`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rayon::prelude::*;
use serde_json::{Map, Value, json};

use super::model::{Model, checkpoint_file, run_settings};
use super::output::{say, say_json};
use super::{CacheArgs, DeviceArgs};
use crate::cam::{self, Head};
use crate::data::decode::{load_image, open_image};
use crate::data::{ENDINGS, Images, Resampling};
use crate::error::{Error, Result};
use crate::files::write_png;
use crate::predict::{self, Explained};

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
    /// How photographs are brought to the network's input size [default: as the run tests, else lanczos]
    #[arg(long, value_enum)]
    resize: Option<Resampling>,
    /// Write each photograph with the map of what speaks for its most probable class to this folder
    #[arg(long, value_name = "DIR")]
    cam: Option<PathBuf>,
    /// Images at a time
    #[arg(long, default_value_t = 32)]
    batch: usize,
    #[command(flatten)]
    cache: CacheArgs,
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
    let resize = args.resize.unwrap_or(run_settings(&args.weights)?.test_resize);
    let paths = find_images(&args.images)?;
    let pictures = args.cam.as_deref().map(|folder| picture_paths(folder, &paths)).transpose()?;
    // Every file is opened before the device is: a bad one stops the command before it prints anything.
    let size = model.metadata.image_size;
    let cache = args.cache.open();
    let decoded: Vec<Vec<u8>> =
        paths.par_iter().map(|path| load_image(path, size, resize, cache.as_ref())).collect::<Result<_>>()?;
    if let Some(folder) = &args.cam {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    let (mut engine, program) = model.place(&args.device, args.batch.min(paths.len()).max(1))?;
    let head = Head::new(&model.network, &model.tensors);
    if args.cam.is_some() && head.positions() == 1 {
        eprintln!("warning: at {size} pixels a photograph is a single position to the network: a map has one colour");
    }
    let mut rows = Vec::new();
    for (index, chunk) in decoded.chunks(CHUNK).enumerate() {
        let images = Images { size, count: chunk.len(), pixels: chunk.concat() };
        let Some(pictures) = &pictures else {
            let probabilities = predict::probabilities(&mut engine, program, &images, |_| ())?;
            rows.extend(probabilities.chunks_exact(model.metadata.classes.len()).map(<[f32]>::to_vec));
            continue;
        };
        let explained = predict::explain(&mut engine, program, &images, &head)?;
        let places = index * CHUNK..;
        let draw = |(image, explained): (usize, &Explained)| {
            write_png(&pictures[image], &cam::overlay(&open_image(&paths[image])?, &explained.map))
        };
        places.zip(&explained).par_bridge().try_for_each(draw)?;
        rows.extend(explained.into_iter().map(|explained| explained.probabilities));
    }
    let classes = &model.metadata.classes;
    match args.format {
        Format::Table => say(table(&paths, classes, &rows)),
        Format::Csv => say(csv(&paths, classes, &rows)),
        Format::Json => say_json(&json(&paths, classes, &rows)),
    }
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

/// Where the map of each photograph goes; the folder need not be there yet. Refuses to write among the photographs, where the next
/// search would find the maps, and to write two maps to one place.
fn picture_paths(folder: &Path, photographs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let real = folder.canonicalize().ok();
    let mut places: BTreeMap<PathBuf, &Path> = BTreeMap::new();
    let mut paths = Vec::new();
    for photograph in photographs {
        let place = photograph.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        if real.is_some() && real == Some(place.canonicalize().map_err(Error::io(photograph))?) {
            let (folder, photograph) = (folder.display(), photograph.display());
            return Err(Error::Input(format!("--cam {folder} holds {photograph}: name another folder for the maps")));
        }
        let name = photograph.file_name().unwrap_or_default().to_string_lossy();
        let path = folder.join(format!("{name}.cam.png"));
        if let Some(other) = places.insert(path.clone(), photograph) {
            let (other, photograph, path) = (other.display(), photograph.display(), path.display());
            return Err(Error::Input(format!("the maps of {other} and {photograph} would both be {path}")));
        }
        paths.push(path);
    }
    Ok(paths)
}

fn table(paths: &[PathBuf], classes: &[String], rows: &[Vec<f32>]) -> String {
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let columns: Vec<usize> = classes.iter().map(|class| class.chars().count().max(6)).collect();
    let first = columns.iter().zip(classes).map(|(width, class)| format!("  {class:>width$}")).collect::<String>();
    let mut lines = vec![format!("{:width$}{first}  predicted", "")];
    for (name, row) in names.iter().zip(rows) {
        let cells = columns.iter().zip(row).map(|(width, p)| format!("  {p:width$.4}")).collect::<String>();
        lines.push(format!("{name:width$}{cells}  {}", top(classes, row)));
    }
    lines.join("\n")
}

fn csv(paths: &[PathBuf], classes: &[String], rows: &[Vec<f32>]) -> String {
    let header = ["filename", "predicted"].into_iter().map(str::to_string).chain(classes.iter().cloned()).collect();
    let record = |(path, row): (&PathBuf, &Vec<f32>)| {
        let cells = [path.display().to_string(), top(classes, row).to_string()].into_iter();
        cells.chain(row.iter().map(|p| p.to_string())).collect()
    };
    let records: Vec<Vec<String>> = std::iter::once(header).chain(paths.iter().zip(rows).map(record)).collect();
    let mut table = csv::Writer::from_writer(Vec::new());
    records.iter().for_each(|record| table.write_record(record).expect("rows of one length go into memory"));
    String::from_utf8(table.into_inner().expect("memory takes everything")).expect("text stays text")
}

fn json(paths: &[PathBuf], classes: &[String], rows: &[Vec<f32>]) -> Value {
    let entry = |(path, row): (&PathBuf, &Vec<f32>)| {
        let probabilities: Map<String, Value> = classes.iter().cloned().zip(row.iter().map(|&p| p.into())).collect();
        json!({
            "filename": path.display().to_string(),
            "predicted": top(classes, row),
            "probabilities": probabilities,
        })
    };
    paths.iter().zip(rows).map(entry).collect()
}

/// The most probable class.
fn top<'a>(classes: &'a [String], row: &[f32]) -> &'a str {
    &classes[predict::top_classes(row, classes.len())[0]]
}
