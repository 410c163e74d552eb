//! `ocellus evaluate`.

use std::path::{Path, PathBuf};

use clap::Args;
use image::RgbImage;

use super::model::{Model, checkpoint_file, run_settings};
use super::output::{say, warn};
use super::{CacheArgs, ColumnArgs, DeviceArgs, decode, existing_folder};
use crate::cam::{self, Head};
use crate::data::decode::open_image;
use crate::data::findings::listed;
use crate::data::prepare::split_path;
use crate::data::{Findings, Images, Resampling, Split};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::page::{self, Mistake, Page};
use crate::plot;
use crate::predict::{self, Explained};
use crate::report::Report;
use crate::train::files;

/// Test weights on a labelled split: the classification report as scikit-learn prints it.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// A run's folder (its best weights) or a .safetensors file
    weights: PathBuf,
    /// The folder with img/ and the split's CSV file
    #[arg(long)]
    data: PathBuf,
    /// Which split: test, val or train
    #[arg(long, default_value = "test")]
    split: String,
    /// Where report.txt, report.json, report.html and confusion.png go [default: nowhere]
    #[arg(long)]
    out: Option<PathBuf>,
    /// How photographs are brought to the network's input size [default: as the run tests, else lanczos]
    #[arg(long, value_enum)]
    resize: Option<Resampling>,
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
    let csv = split_path(&args.data, &args.split);
    let mut found = Findings::default();
    let columns = args.columns.over(settings.columns);
    let split = Split::read(&csv, &columns, &model.metadata.classes, &mut found)?;
    warn(&found.warnings);
    listed(&found.faults)?;
    let (mut engine, program) = model.place(&args.device, args.batch.min(split.examples.len()).max(1))?;
    let resize = args.resize.unwrap_or(settings.test_resize);
    let (images, _) = decode("Decoding", &split, model.metadata.image_size, resize, args.cache.open().as_ref())?;
    let Model { network, metadata, tensors } = &model;
    let tested = Tested { split: &split, images: &images, classes: &metadata.classes };
    let Some(out) = &args.out else {
        return say(tested.classify(&mut engine, program)?.0.to_text());
    };
    std::fs::create_dir_all(out).map_err(Error::io(out))?;
    let run = path.parent().unwrap_or(Path::new("."));
    tested.report(&mut engine, program, &Head::new(network, tensors), run, out)
}

/// A split that weights are tested on.
pub struct Tested<'a> {
    pub split: &'a Split,
    pub images: &'a Images,
    pub classes: &'a [String],
}

/// How many of the most confident mistakes report.html shows, and the longest side of their pictures.
const MISTAKES: usize = 12;
const MISTAKE_SIDE: u32 = 320;

impl Tested<'_> {
    /// Classifies the split and prints its report, once everything is written: the same as text, JSON, picture and page go to `out`. The page has the
    /// curves and the settings of the run in the folder `run`, if there are any.
    pub fn report(&self, engine: &mut Engine, program: usize, head: &Head, run: &Path, out: &Path) -> Result<()> {
        let (report, probabilities) = self.classify(engine, program)?;
        let text = report.to_text();
        write_atomic(&out.join(files::REPORT), |file| file.write_all(text.as_bytes()))?;
        let json = serde_json::to_string_pretty(&report.to_json()).expect("a report is plain JSON");
        write_atomic(&out.join(files::REPORT_JSON), |file| file.write_all(json.as_bytes()))?;
        let confusion = out.join(files::CONFUSION_PLOT);
        plot::confusion(&confusion, &report)?;
        let page = Page {
            title: &format!("ocellus: {}", self.split.csv.display()),
            report: &report,
            curves: std::fs::read(run.join(files::HISTORY_PLOT)).ok(),
            confusion: std::fs::read(&confusion).map_err(Error::io(&confusion))?,
            mistakes: &self.mistakes(engine, program, head, &probabilities)?,
            settings: std::fs::read_to_string(run.join(files::CONFIG)).ok(),
        };
        page::write(&out.join(files::PAGE), &page)?;
        say(text)
    }

    /// The report, and the probabilities behind it.
    fn classify(&self, engine: &mut Engine, program: usize) -> Result<(Report, Vec<f32>)> {
        let bar = super::file_bar("Classifying", self.images.count);
        let probabilities = predict::probabilities(engine, program, self.images, |done| bar.inc(done as u64))?;
        bar.finish_and_clear();
        let truth: Vec<usize> = self.split.examples.iter().map(|example| example.label).collect();
        let predicted = predict::top_classes(&probabilities, self.classes.len());
        Ok((Report::over_all_classes(self.classes, &truth, &predicted), probabilities))
    }

    /// The photographs that were taken for something else with the highest probabilities.
    fn mistakes(
        &self,
        engine: &mut Engine,
        program: usize,
        head: &Head,
        probabilities: &[f32],
    ) -> Result<Vec<Mistake>> {
        let n = self.classes.len();
        let predicted = predict::top_classes(probabilities, n);
        let certainty = |index: &usize| probabilities[index * n + predicted[*index]];
        let is_wrong = |index: &usize| predicted[*index] != self.split.examples[*index].label;
        let mut wrong: Vec<usize> = (0..self.images.count).filter(is_wrong).collect();
        wrong.sort_by(|a, b| certainty(b).total_cmp(&certainty(a)));
        wrong.truncate(MISTAKES);
        let pixels: Vec<u8> = wrong.iter().flat_map(|&index| self.images.image(index)).copied().collect();
        let images = Images { size: self.images.size, count: wrong.len(), pixels };
        let explained = predict::explain(engine, program, &images, head)?;
        let mistake = |(&index, explained): (&usize, &Explained)| {
            let example = &self.split.examples[index];
            let photograph = photograph(&example.path, self.images, index);
            Mistake {
                file: example.path.display().to_string(),
                truth: self.classes[example.label].clone(),
                predicted: self.classes[predicted[index]].clone(),
                probability: certainty(&index),
                map: (head.positions() > 1).then(|| cam::overlay(&photograph, &explained.map)),
                photograph,
            }
        };
        Ok(wrong.iter().zip(&explained).map(mistake).collect())
    }
}

/// A photograph as the page shows it. One that can no longer be read (a run takes hours, a folder may be gone by then) is
/// shown as the network saw it, with a warning: the report of a run does not hang on it.
fn photograph(path: &Path, seen: &Images, index: usize) -> RgbImage {
    let whole = open_image(path).unwrap_or_else(|error| {
        eprintln!("warning: {error}; {} shows it as the network saw it", files::PAGE);
        let side = seen.size as u32;
        RgbImage::from_raw(side, side, seen.image(index).to_vec()).expect("an image has three numbers a pixel")
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
        let seen = Images { size: 2, count: 2, pixels: (0..24).collect() };
        RgbImage::from_pixel(3, 5, Rgb([7, 8, 9])).save(&path).unwrap();
        assert_eq!(photograph(&path, &seen, 1), RgbImage::from_pixel(3, 5, Rgb([7, 8, 9])));
        std::fs::remove_file(&path).unwrap();
        let shown = photograph(&path, &seen, 1);
        assert_eq!((shown.dimensions(), shown.into_raw()), ((2, 2), (12..24).collect::<Vec<u8>>()));
    }
}
