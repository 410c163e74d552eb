//! Tests of a labelled split, by `evaluate` and at the end of `train`.

use std::path::Path;

use image::RgbImage;
use serde_json::json;

use super::output::show;
use crate::app::bars::file_bar;
use crate::app::cam::{self, Head};
use crate::app::checkpoint::{Operation, Threshold};
use crate::app::data::augment::Transform;
use crate::app::data::decode::open_image;
use crate::app::data::groups::Grouping;
use crate::app::data::stream::Chunk;
use crate::app::data::{Images, Split};
use crate::app::metrics::groups::{self, OfGroups};
use crate::app::metrics::operating::at_threshold;
use crate::app::metrics::{Figures, Predictions};
use crate::app::page::{self, Mistake, Page};
use crate::app::plot;
use crate::app::predict::{self, Explained};
use crate::app::predictions::Named;
use crate::app::report::Report;
use crate::app::train::files;
use crate::engine::image_size::ImageSize;
use crate::engine::run::Engine;
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::notes::note;

/// How intervals come about.
#[derive(Clone, Copy, Debug)]
pub struct Bootstrap {
    pub seed: u64,
    pub resamples: usize,
}

/// Resamples of a run's own report.
pub const RESAMPLES: usize = 2000;

/// A split that weights are tested on.
pub struct Tested<'a> {
    pub split: &'a Split,
    pub classes: &'a [String],
    /// Temperature and thresholds chosen for the weights.
    pub operation: &'a Operation,
    pub bootstrap: Bootstrap,
    /// Ways in which each photograph is shown to the network; probabilities are averaged over them.
    pub views: &'a [Transform],
    /// Columns by which figures are given.
    pub by: &'a [Grouping],
    /// JSON is printed instead of text.
    pub json: bool,
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
    figures: Figures,
    named: Named,
    /// Of each prediction, in the split.
    positions: Vec<usize>,
    /// Most confident first, `MISTAKES` of them at most.
    mistaken: Vec<Mistaken>,
    /// Of their pixels.
    size: ImageSize,
}

impl Outcome {
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    pub fn predictions(&self) -> &Predictions {
        &self.named.predictions
    }
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
        outcome: &Outcome,
        (engine, program): (&mut Engine, usize),
        head: Option<&Head>,
        run: &Path,
        out: &Path,
    ) -> Result<()> {
        let Outcome { report, figures, named, .. } = outcome;
        write_atomic(&out.join(files::REPORT), |file| file.write_all(self.to_text(outcome).as_bytes()))?;
        write_atomic(&out.join(files::REPORT_JSON), |file| file.write_all(self.to_json(outcome).as_bytes()))?;
        write_atomic(&out.join(files::PREDICTIONS), |file| named.write(file))?;
        let [confusion, roc, pr, reliability] =
            [files::CONFUSION_PLOT, files::ROC_PLOT, files::PR_PLOT, files::RELIABILITY_PLOT]
                .map(|name| out.join(name));
        draw(out, report, &named.predictions, figures)?;
        let read = |path: &Path| std::fs::read(path).map_err(Error::io(path));
        let page = Page {
            title: &format!("ocellus: {}", self.split.csv.display()),
            report,
            figures,
            groups: groups::text(&self.of_groups(outcome)),
            curves: std::fs::read(run.join(files::HISTORY_PLOT)).ok(),
            confusion: read(&confusion)?,
            of_probabilities: vec![
                ("Receiver operating characteristic of each class", read(&roc)?),
                ("Precision and recall of each class", read(&pr)?),
                ("Share correct by probability of the predicted class", read(&reliability)?),
            ],
            mistakes: &self.mistakes(engine, program, head, outcome)?,
            settings: std::fs::read_to_string(run.join(files::CONFIG)).ok(),
        };
        page::write(&out.join(files::PAGE), &page)?;
        show(self.printed(outcome));
        Ok(())
    }

    /// The report as it is printed.
    pub fn printed(&self, outcome: &Outcome) -> String {
        if self.json { self.to_json(outcome) } else { self.to_text(outcome) }
    }

    /// The report as scikit-learn prints it, to the letter, then what it lacks.
    fn to_text(&self, outcome: &Outcome) -> String {
        let mut text = format!("{}\n{}", outcome.report.to_text(), outcome.figures.to_text());
        if self.views.len() > 1 {
            text += &format!("\nProbabilities are means over {} views of each photograph.\n", self.views.len());
        }
        if let Some(temperature) = self.operation.temperature {
            text += &format!("\nLogits are divided by a temperature of {temperature:.4}.\n");
        }
        text += &self.at_thresholds_text(outcome);
        text + &groups::text(&self.of_groups(outcome))
    }

    fn at_thresholds_text(&self, outcome: &Outcome) -> String {
        let at = self.at_thresholds(outcome);
        let Some((Threshold { goal, .. }, _)) = at.first() else { return String::new() };
        let mut text = String::new();
        text += &format!("\nAt the thresholds that were chosen for {goal}:\n\n");
        let width = self.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0);
        text += &format!("{:>width$}  threshold  sensitivity  specificity    PPV    NPV\n", "");
        for (Threshold { class, probability, .. }, shares) in at {
            let [a, b, c, d] = shares.map(|share| share.map_or("-".into(), |share| format!("{share:.3}")));
            text += &format!("{class:>width$}  {probability:>9.4}  {a:>11}  {b:>11}  {c:>5}  {d:>5}\n");
        }
        text
    }

    /// scikit-learn's dictionary, with more keys: `figures`, and `thresholds` where some were chosen.
    fn to_json(&self, outcome: &Outcome) -> String {
        let mut json = outcome.report.to_json();
        json["figures"] = outcome.figures.to_json();
        if self.views.len() > 1 {
            json["views"] = self.views.len().into();
        }
        if !self.by.is_empty() {
            json["by"] = groups::json(&self.of_groups(outcome));
        }
        let at = self.at_thresholds(outcome);
        if !at.is_empty() {
            let entry = |(threshold, [sensitivity, specificity, ppv, npv]): (&Threshold, [Option<f64>; 4])| {
                json!({
                    "class": threshold.class, "goal": threshold.goal, "threshold": threshold.probability,
                    "sensitivity": sensitivity, "specificity": specificity, "ppv": ppv, "npv": npv,
                })
            };
            json["thresholds"] = at.into_iter().map(entry).collect();
        }
        serde_json::to_string_pretty(&json).expect("a report is plain JSON")
    }

    /// File, truth, predicted class and its probability of the most confident mistakes.
    pub fn most_confident(&self, outcome: &Outcome) -> Vec<(String, String, String, f32)> {
        let named = |one: &Mistaken| {
            let example = &self.split.examples[one.position];
            let file = self.split.name_of(&example.path).display().to_string();
            let class = |class: usize| self.classes[class].clone();
            (file, class(example.label), class(one.predicted), one.probability)
        };
        outcome.mistaken.iter().map(named).collect()
    }

    /// Figures of the groups of each column.
    fn of_groups(&self, outcome: &Outcome) -> Vec<OfGroups<'_>> {
        let Bootstrap { seed, resamples } = self.bootstrap;
        self.by.iter().map(|by| OfGroups::new(by, &outcome.named, &outcome.positions, seed, resamples)).collect()
    }

    /// Results of the weights' thresholds on this split.
    fn at_thresholds(&self, outcome: &Outcome) -> Vec<(&Threshold, [Option<f64>; 4])> {
        let mut results = Vec::new();
        for threshold in &self.operation.thresholds {
            if let Some(class) = threshold.index(self.classes) {
                results.push((threshold, at_threshold(outcome.predictions(), class, threshold.probability)));
            }
        }
        results
    }

    /// The report, and the mistakes that a page shows. No other pixels are kept.
    pub fn classify(
        &self,
        engine: &mut Engine,
        program: usize,
        mut chunks: impl Iterator<Item = Result<Chunk>>,
    ) -> Result<Outcome> {
        let bar = file_bar("Classifying", self.split.examples.len());
        let (mut mistaken, mut size) = (Vec::new(), ImageSize::square(0));
        let (mut places, mut all) = (Vec::new(), Vec::new());
        let done: Result<()> = chunks.try_for_each(|chunk| {
            let Chunk { positions, images, end, .. } = chunk?;
            let probabilities = predict::mean_over(engine, program, &images, self.views)?;
            let label = |position: usize| self.split.examples[position].label;
            let tops = predict::top_classes(&probabilities, self.classes.len());
            for (index, (&top, &position)) in tops.iter().zip(&positions).enumerate() {
                if label(position) != top {
                    let probability = probabilities[index * self.classes.len() + top];
                    let pixels = images.image(index).to_vec();
                    mistaken.push(Mistaken { position, predicted: top, probability, pixels });
                }
            }
            // Of equals, those stay in front that come first.
            mistaken.sort_by(|a, b| b.probability.total_cmp(&a.probability));
            mistaken.truncate(MISTAKES);
            places.extend(positions);
            all.extend(probabilities);
            size = images.size;
            bar.set_position(end as u64);
            Ok(())
        });
        bar.finish_and_clear();
        done?;
        if places.is_empty() {
            return Err(Error::Check(format!("{}: no photograph can be read", self.split.csv.display())));
        }
        let named = self.named(&places, all);
        let predictions = &named.predictions;
        let report = Report::over_all_classes(self.classes, &predictions.labels, &predictions.tops());
        let Bootstrap { seed, resamples } = self.bootstrap;
        let figures = predictions.figures(seed, resamples);
        Ok(Outcome { report, figures, named, positions: places, mistaken, size })
    }

    /// The probabilities of the photographs at these positions, with their files, labels and persons.
    fn named(&self, positions: &[usize], probabilities: Vec<f32>) -> Named {
        let examples = || positions.iter().map(|&position| &self.split.examples[position]);
        let file = |path: &Path| self.split.name_of(path).display().to_string();
        let files = examples().map(|example| file(&example.path)).collect();
        let persons = examples().map(|example| example.id.clone()).collect();
        let labels = examples().map(|example| example.label).collect();
        Named::new(self.classes, files, persons, labels, probabilities)
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
            Some(head) => {
                let of = |index: usize, _: &[f32]| mistaken[index].predicted;
                predict::explain(engine, program, &images, head, of)?.into_iter().map(Some).collect()
            }
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

/// Draws the confusion matrix, the two curves and the reliability diagram of a test to their files in `folder`.
pub fn draw(folder: &Path, report: &Report, predictions: &Predictions, figures: &Figures) -> Result<()> {
    plot::confusion(&folder.join(files::CONFUSION_PLOT), report)?;
    plot::roc(&folder.join(files::ROC_PLOT), predictions, figures)?;
    plot::precision_recall(&folder.join(files::PR_PLOT), predictions, figures)?;
    plot::reliability(&folder.join(files::RELIABILITY_PLOT), predictions)
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
