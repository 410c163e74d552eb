//! `ocellus evaluate`.

use std::path::{Path, PathBuf};

use clap::Args;
use image::RgbImage;

use super::left_out::LeftOut;
use super::model::{Model, checkpoint_file, run_settings};
use super::output::{say, show, warn};
use super::{CacheArgs, ColumnArgs, DeviceArgs, existing_folder, plannable};
use crate::app::cam::{self, Head};
use crate::app::config::Config;
use crate::app::data::decode::{load_image, open_image};
use crate::app::data::findings::listed;
use crate::app::data::prepare::split_path;
use crate::app::data::stream::{self, Chunk};
use crate::app::data::{Faint, Findings, Images, Resampling, Split};
use crate::app::page::{self, Mistake, Page};
use crate::app::plot;
use crate::app::predict::{self, Explained};
use crate::app::report::Report;
use crate::app::train::files;
use crate::engine::image_size::ImageSize;
use crate::engine::run::Engine;
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::notes::note;

/// Test weights on a labelled split: the classification report as scikit-learn prints it.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// A run's folder (its best weights) or a .safetensors file
    weights: PathBuf,
    /// The folder with img/ (and the split's CSV file)
    #[arg(long)]
    data: PathBuf,
    /// The folder with the split's CSV file, where it is not in --data [default: --data, else where
    /// the run has it]
    #[arg(long, value_name = "DIR")]
    tables: Option<PathBuf>,
    /// Which split: test, val or train
    #[arg(long, default_value = "test")]
    split: String,
    /// Where report.txt, report.json, report.html and confusion.png go [default: nowhere]
    #[arg(long)]
    out: Option<PathBuf>,
    /// How photographs are brought to the network's input size [default: as the run tests, else lanczos]
    #[arg(long, value_enum)]
    resize: Option<Resampling>,
    /// Leave out photographs and rows that cannot be read, and list them at the end, with exit
    /// status 1
    #[arg(long)]
    keep_going: bool,
    /// Images at a time
    #[arg(long, default_value_t = 32)]
    batch: usize,
    #[command(flatten)]
    columns: ColumnArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

pub fn run(args: EvaluateArgs) -> Result<()> {
    let path = checkpoint_file(&args.weights)?;
    existing_folder(&args.data, "--data names a folder with img/ and a CSV file")?;
    let settings = run_settings(&args.weights)?;
    let model = Model::load(&path)?;
    let csv = args.table(&settings);
    let mut found = Findings::default();
    let columns = args.columns.over(settings.columns);
    let split = Split::read_in(&args.data, &csv, &columns, &model.metadata.classes, &mut found)?;
    let Findings { faults, warnings } = found;
    warn(&warnings);
    let rows = split.examples.len() + faults.len();
    let mut left_out = LeftOut::new(args.keep_going);
    if !args.keep_going {
        listed(&faults)?;
    }
    left_out.add(faults)?;
    let Model { network, metadata, tensors } = &model;
    let (size, batch) = (metadata.image_size, args.batch.min(split.examples.len()).max(1));
    plannable(network, batch)?;
    let resize = args.resize.unwrap_or(settings.test_resize);
    let cache = args.cache.open();
    let faint = Faint::default();
    let load = |position: usize| load_image(&split.examples[position].path, size, resize, cache.as_ref(), &faint);
    let named = |position: usize, fault: Error| Error::at(&split.csv, split.examples[position].line, fault);
    let tested = std::thread::scope(|scope| {
        let mut chunks = stream::chunks(scope, split.examples.len(), size, stream::per_chunk(size, batch), load);
        // A bad file among the first stops the command before it opens the device or makes a
        // folder.
        let first = chunks.next().map(|chunk| left_out.without(chunk, named)).transpose()?;
        if let Some(out) = &args.out {
            std::fs::create_dir_all(out).map_err(Error::io(out))?;
        }
        let (mut engine, program) = model.place(&args.device, batch)?;
        let chunks = first.map(Ok).into_iter().chain(chunks.map(|chunk| left_out.without(chunk, named)));
        let tested = Tested { split: &split, classes: &metadata.classes };
        match &args.out {
            None => say(tested.classify(&mut engine, program, chunks)?.report.to_text()),
            Some(out) => {
                let run = path.parent().unwrap_or(Path::new("."));
                tested.report(&mut engine, program, chunks, Head::of(network, tensors).as_ref(), run, out)
            }
        }
    });
    warn(faint.warning());
    match (tested, left_out.end(rows)) {
        // That there is nothing else follows from the list.
        (Ok(()) | Err(Error::Check(_)), Err(listed)) => Err(listed),
        (tested, _) => tested,
    }
}

impl EvaluateArgs {
    /// The split's table: in the folder that is named for tables; else where the run had it, if
    /// these are its data or have no such table; else beside the photographs.
    fn table(&self, settings: &Config) -> PathBuf {
        if let Some(tables) = &self.tables {
            return split_path(tables, &self.split);
        }
        let beside = split_path(&self.data, &self.split);
        let real = |path: &Path| path.canonicalize().ok();
        let is_of_run = settings.data.as_deref().is_some_and(|data| real(data) == real(&self.data));
        let of_run = settings.tables_of(&self.weights).map(|tables| split_path(&tables, &self.split));
        match of_run.filter(|csv| csv.exists()) {
            Some(csv) if is_of_run || !beside.exists() => {
                note!("The split is the run's: {}", csv.display());
                csv
            }
            _ => beside,
        }
    }
}

/// A split that weights are tested on.
pub struct Tested<'a> {
    pub split: &'a Split,
    pub classes: &'a [String],
}

/// A photograph that was taken for something else, as the network saw it.
struct Mistaken {
    /// Its position in the split.
    position: usize,
    predicted: usize,
    probability: f32,
    pixels: Vec<u8>,
}

/// Outcome of a test.
pub struct Outcome {
    report: Report,
    /// Most confident first, `MISTAKES` of them at most.
    mistaken: Vec<Mistaken>,
    /// Of their pixels.
    size: ImageSize,
}

/// How many of the most confident mistakes report.html shows, and the longest side of their pictures.
const MISTAKES: usize = 12;
const MISTAKE_SIDE: u32 = 320;

impl Tested<'_> {
    /// Classifies the split and prints its report, once everything is written: the same as text,
    /// JSON, picture and page go to `out`. The page has the curves and the settings of the run in
    /// the folder `run`, if there are any.
    pub fn report(
        &self,
        engine: &mut Engine,
        program: usize,
        chunks: impl Iterator<Item = Result<Chunk>>,
        head: Option<&Head>,
        run: &Path,
        out: &Path,
    ) -> Result<()> {
        let outcome = self.classify(engine, program, chunks)?;
        let report = &outcome.report;
        let text = report.to_text();
        write_atomic(&out.join(files::REPORT), |file| file.write_all(text.as_bytes()))?;
        let json = serde_json::to_string_pretty(&report.to_json()).expect("a report is plain JSON");
        write_atomic(&out.join(files::REPORT_JSON), |file| file.write_all(json.as_bytes()))?;
        let confusion = out.join(files::CONFUSION_PLOT);
        plot::confusion(&confusion, report)?;
        let page = Page {
            title: &format!("ocellus: {}", self.split.csv.display()),
            report,
            curves: std::fs::read(run.join(files::HISTORY_PLOT)).ok(),
            confusion: std::fs::read(&confusion).map_err(Error::io(&confusion))?,
            mistakes: &self.mistakes(engine, program, head, &outcome)?,
            settings: std::fs::read_to_string(run.join(files::CONFIG)).ok(),
        };
        page::write(&out.join(files::PAGE), &page)?;
        show(text);
        Ok(())
    }

    /// The report, and the mistakes that a page shows. No other pixels are kept.
    pub fn classify(
        &self,
        engine: &mut Engine,
        program: usize,
        mut chunks: impl Iterator<Item = Result<Chunk>>,
    ) -> Result<Outcome> {
        let bar = super::file_bar("Classifying", self.split.examples.len());
        let (mut truth, mut predicted, mut mistaken, mut size) =
            (Vec::new(), Vec::new(), Vec::new(), ImageSize::square(0));
        let done: Result<()> = chunks.try_for_each(|chunk| {
            let Chunk { positions, images, end, .. } = chunk?;
            let probabilities = predict::probabilities(engine, program, &images, |_| ())?;
            let labels = positions.iter().map(|&position| self.split.examples[position].label);
            let tops = predict::top_classes(&probabilities, self.classes.len());
            for (index, ((label, &top), &position)) in labels.clone().zip(&tops).zip(&positions).enumerate() {
                if label != top {
                    let probability = probabilities[index * self.classes.len() + top];
                    let pixels = images.image(index).to_vec();
                    mistaken.push(Mistaken { position, predicted: top, probability, pixels });
                }
            }
            // Of equals, those stay in front that come first.
            mistaken.sort_by(|a, b| b.probability.total_cmp(&a.probability));
            mistaken.truncate(MISTAKES);
            truth.extend(labels);
            predicted.extend(tops);
            size = images.size;
            bar.set_position(end as u64);
            Ok(())
        });
        bar.finish_and_clear();
        done?;
        if truth.is_empty() {
            return Err(Error::Check(format!("{}: no photograph can be read", self.split.csv.display())));
        }
        let report = Report::over_all_classes(self.classes, &truth, &predicted);
        Ok(Outcome { report, mistaken, size })
    }

    /// The photographs that were taken for something else with the highest probabilities; with maps
    /// where there is a head that has several positions.
    fn mistakes(
        &self,
        engine: &mut Engine,
        program: usize,
        head: Option<&Head>,
        outcome: &Outcome,
    ) -> Result<Vec<Mistake>> {
        let Outcome { mistaken, size, .. } = outcome;
        let pixels: Vec<u8> = mistaken.iter().flat_map(|one| &one.pixels).copied().collect();
        let images = Images { size: *size, count: mistaken.len(), pixels };
        let explained = match head.filter(|head| head.positions() > 1) {
            Some(head) => predict::explain(engine, program, &images, head)?.into_iter().map(Some).collect(),
            None => vec![None; mistaken.len()],
        };
        let mistake = |(one, explained): (&Mistaken, &Option<Explained>)| {
            let example = &self.split.examples[one.position];
            let photograph = photograph(&example.path, *size, &one.pixels);
            Mistake {
                file: example.path.display().to_string(),
                truth: self.classes[example.label].clone(),
                predicted: self.classes[one.predicted].clone(),
                probability: one.probability,
                map: explained.as_ref().map(|explained| cam::overlay(&photograph, &explained.map)),
                photograph,
            }
        };
        Ok(mistaken.iter().zip(&explained).map(mistake).collect())
    }
}

/// A photograph as the page shows it. One that can no longer be read (a run takes hours, a folder
/// may be gone by then) is shown as the network saw it, with a warning: the report of a run does not
/// hang on it. `seen` is `[height, width, 3]`.
fn photograph(path: &Path, size: ImageSize, seen: &[u8]) -> RgbImage {
    let whole = open_image(path).unwrap_or_else(|error| {
        note!("warning: {error}; {} shows it as the network saw it", files::PAGE);
        RgbImage::from_raw(size.width as u32, size.height as u32, seen.to_vec())
            .expect("an image has three numbers a pixel")
    });
    cam::shrunk(&whole, MISTAKE_SIDE)
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn photographs_that_are_gone_are_shown_as_the_network_saw_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1_left.png");
        let (size, seen) = (ImageSize { height: 2, width: 4 }, (12..36).collect::<Vec<u8>>());
        RgbImage::from_pixel(3, 5, Rgb([7, 8, 9])).save(&path).unwrap();
        assert_eq!(photograph(&path, size, &seen), RgbImage::from_pixel(3, 5, Rgb([7, 8, 9])));
        std::fs::remove_file(&path).unwrap();
        let shown = photograph(&path, size, &seen);
        assert_eq!((shown.dimensions(), shown.into_raw()), ((4, 2), seen));
    }
}
