//! `ocellus predict`.

mod rows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rayon::prelude::*;

use super::evaluate::views;
use super::left_out::LeftOut;
use super::model::{Model, checkpoint_file, run_settings};
use super::output::warn;
use super::{CacheArgs, DeviceArgs, plannable};
use crate::app::bars::file_bar;
use crate::app::cam::{self, Head};
use crate::app::checkpoint::Operation;
use crate::app::data::Resampling;
use crate::app::data::augment::Transform;
use crate::app::data::decode::open_image;
use crate::app::data::renaming::class_named;
use crate::app::data::search::{data_of, photographs};
use crate::app::data::source::Once;
use crate::app::data::stream::{self, Chunk};
use crate::app::predict::{self, Explained};
use crate::engine::run::Engine;
use crate::error::{Error, Result};
use crate::files::write_png;
use crate::notes::note;
use rows::Rows;

/// Class probabilities of photographs, any number of them. Rows of CSV are printed as they come, a
/// table and JSON at the end.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// A run's folder (its best weights) or a .safetensors file
    weights: PathBuf,
    /// Photographs, or folders of them
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// More runs or .safetensors files, of the same classes and image size: probabilities are averaged over all networks
    #[arg(long, value_name = "RUN", num_args = 1.., conflicts_with = "cam")]
    with: Vec<PathBuf>,
    /// Show each photograph to the network as it is and flipped (4 passes), and average the probabilities
    #[arg(long)]
    tta: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// How photographs are brought to the network's input size [default: as the run tests, else lanczos]
    #[arg(long, value_enum)]
    resize: Option<Resampling>,
    /// Write each photograph under the class activation map of its most probable class to this
    /// folder
    #[arg(long, value_name = "DIR")]
    cam: Option<PathBuf>,
    /// Draw the maps of this class, whatever class is the most probable
    #[arg(long, value_name = "NAME", requires = "cam")]
    cam_class: Option<String>,
    /// Leave out photographs that cannot be read, and list them at the end, with exit status 1
    #[arg(long)]
    keep_going: bool,
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
    let of_class = args.cam_class.as_ref().map(|name| {
        let unknown = |problem| Error::Input(format!("--cam-class {name}: {problem}"));
        class_named(name, &model.metadata.classes).map_err(unknown)
    });
    let of_class = of_class.transpose()?;
    let others = others(&args, &model)?;
    let operation = operation(&args, &model.metadata.operation);
    let resize = args.resize.unwrap_or(run_settings(&args.weights)?.test_resize);
    let found = photographs(&args.images)?;
    warn(found.warning());
    let paths = found.paths;
    let pictures = args.cam.as_deref().map(|folder| picture_paths(folder, &paths)).transpose()?;
    let head = Head::of(&model.network, &model.tensors);
    if args.cam.is_some() && head.is_none() {
        return Err(Error::Input(format!(
            "{}: no maps for --cam: only dense layers may follow the network's global average pool, so that maps are exact",
            args.weights.display()
        )));
    }
    let (size, batch) = (model.metadata.image_size, args.batch.min(paths.len()).max(1));
    plannable(&model.network, batch)?;
    let mut left_out = LeftOut::new(args.keep_going);
    if !args.keep_going {
        left_out.add(args.images.iter().filter_map(|path| Some(Error::io(path)(path.metadata().err()?))))?;
    }
    let of = paths.iter().map(|path| data_of(path));
    let once = Once::new(args.cache.open().as_ref(), args.cache.verify, (size, resize), of);
    let load = |position: usize| once.load(data_of(&paths[position]), &paths[position]);
    let done = std::thread::scope(|scope| {
        let mut chunks = stream::chunks(scope, paths.len(), size, stream::per_chunk(size, batch), load);
        // A bad file among the first stops the command before it opens the device or makes a
        // folder.
        let first = chunks.next().map(|chunk| left_out.without(chunk, |_, fault| fault)).transpose()?;
        if let Some(folder) = &args.cam {
            std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        }
        let (mut engine, program) = model.place(&args.device, batch)?;
        let mut more = Vec::new();
        for other in &others {
            more.push(other.place_beside(&args.device, batch)?);
        }
        let views = views(args.tta);
        if args.cam.is_some() && head.as_ref().is_some_and(|head| head.positions() == 1) {
            note!("warning: at {size} pixels a photograph is a single position to the network: a map has one colour");
        }
        let mut rows = Rows::new(args.format, &paths, &model.metadata.classes, &operation);
        let bar = file_bar("Classifying", paths.len());
        let mut chunks = first.map(Ok).into_iter().chain(chunks.map(|chunk| left_out.without(chunk, |_, fault| fault)));
        let done: Result<()> = chunks.try_for_each(|chunk| {
            let chunk = chunk?;
            let probabilities = match head.as_ref().zip(pictures.as_ref()) {
                None => {
                    let mut of_each = vec![predict::mean_over(&mut engine, program, &chunk.images, &views)?];
                    for (engine, program) in &mut more {
                        of_each.push(predict::mean_over(engine, *program, &chunk.images, &views)?);
                    }
                    predict::mean(&of_each)
                }
                Some((head, pictures)) => {
                    let maps = Maps { head, views: &views, of_class, paths: &paths, pictures };
                    maps.draw(&mut engine, program, &chunk)?
                }
            };
            bar.suspend(|| rows.add(&chunk.positions, &probabilities))?;
            bar.set_position(chunk.end as u64);
            Ok(())
        });
        bar.finish_and_clear();
        done?;
        rows.end()
    });
    warn(once.end());
    done?;
    left_out.end(paths.len())
}

/// The other networks whose probabilities are averaged with those of `model`.
///
/// Errors: other classes, another image size.
fn others(args: &PredictArgs, model: &Model) -> Result<Vec<Model>> {
    let mut others = Vec::new();
    for path in &args.with {
        let other = Model::load(&checkpoint_file(path)?)?;
        let (one, two) = (&model.metadata, &other.metadata);
        let differ = |what: &str, here: String, there: String| {
            let (path, first) = (path.display(), args.weights.display());
            Err(Error::Input(format!("{path}: its {what} {there} and that of {first} {here}: they cannot be averaged")))
        };
        if one.classes != two.classes {
            return differ("list of classes is", one.classes.join(", "), two.classes.join(", "));
        }
        if one.image_size != two.image_size {
            return differ("image size is", one.image_size.to_string(), two.image_size.to_string());
        }
        others.push(other);
    }
    Ok(others)
}

/// Thresholds hold for the probabilities that they were chosen on: not for means over networks.
fn operation(args: &PredictArgs, own: &Operation) -> Operation {
    if own.thresholds.is_empty() {
        return own.clone();
    }
    if args.tta {
        note!("warning: the thresholds were chosen without --tta");
    }
    if args.with.is_empty() {
        return own.clone();
    }
    note!("warning: the thresholds of {} are not for means over networks, and are not used", args.weights.display());
    Operation { thresholds: Vec::new(), ..own.clone() }
}

/// Maps of photographs, and where they are drawn.
struct Maps<'a> {
    head: &'a Head,
    views: &'a [Transform],
    /// The class of all maps; `None` for the most probable of each photograph.
    of_class: Option<usize>,
    paths: &'a [PathBuf],
    pictures: &'a [PathBuf],
}

impl Maps<'_> {
    /// The probabilities of a chunk; writes each photograph with its map to its place among `pictures`.
    fn draw(&self, engine: &mut Engine, program: usize, chunk: &Chunk) -> Result<Vec<f32>> {
        let (images, views) = (&chunk.images, self.views);
        let means = (views.len() > 1).then(|| predict::mean_over(engine, program, images, views)).transpose()?;
        let most_probable = |index: usize, row: &[f32]| match &means {
            Some(means) => predict::top_class(&means[index * row.len()..][..row.len()]),
            None => predict::top_class(row),
        };
        let class = |index: usize, row: &[f32]| self.of_class.unwrap_or_else(|| most_probable(index, row));
        let explained = predict::explain(engine, program, images, self.head, class)?;
        let draw = |(&position, explained): (&usize, &Explained)| {
            let photograph = open_image(&self.paths[position])?;
            write_png(&self.pictures[position], &cam::overlay(&photograph, &explained.map))
        };
        chunk.positions.par_iter().zip(&explained).try_for_each(draw)?;
        let own = || explained.iter().flat_map(|explained| explained.probabilities.clone()).collect();
        Ok(means.unwrap_or_else(own))
    }
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
