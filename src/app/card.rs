//! `card.md`: an account of a run for those who publish it or use its weights, and CLAIM's items by number, filled in
//! as far as the program knows them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use crate::app::config::Config;
use crate::app::data::records::Persons;
use crate::app::data::{Dataset, Resampling, Split};
use crate::app::metrics::{Figures, OVERALL, PER_CLASS};
use crate::app::train::history::EpochRecord;
use crate::network::Network;

/// Facts of a run, at its end.
pub struct Card<'a> {
    pub config: &'a Config,
    pub dataset: &'a Dataset,
    pub network: &'a Network,
    /// Adapter and driver, as the run's log has them.
    pub device: &'a str,
    pub history: &'a [EpochRecord],
    /// The epoch of the best weights.
    pub best: Option<usize>,
    /// Tells the data of this run from others.
    pub fingerprint: &'a str,
    /// Weights that training went on from.
    pub init: Option<String>,
    /// The test of the best weights, if there is a test split.
    pub figures: Option<&'a Figures>,
    /// File, truth, predicted class and its probability; most confident first.
    pub mistakes: &'a [(String, String, String, f32)],
}

/// CLAIM's items (Mongan, Moy and Kahn, Radiology: Artificial Intelligence 2020, doi 10.1148/ryai.2020200029), each
/// with a section of the card that answers it; an empty one is for the authors.
const CLAIM: [(&str, &str); 42] = [
    ("Title or abstract names the technology", "a convolutional network, trained end to end (Network)"),
    ("Structured abstract", ""),
    ("Background, intended use, clinical role", ""),
    ("Objectives and hypotheses", ""),
    ("Prospective or retrospective", ""),
    ("Goal of the study", ""),
    ("Sources of the data", "the folder only (Data); where it comes from is for the authors"),
    ("Eligibility: how, where and when", ""),
    ("Preprocessing", "Preprocessing"),
    ("Choice of subsets of the data", "rows that training used (Data); which rows were offered is for the authors"),
    ("Definitions of the data's elements", "class names only (Data)"),
    ("De-identification", ""),
    ("Missing data", "rows with an empty file, person or label are refused, and unreadable photographs too"),
    ("Definition of the reference standard", ""),
    ("Reasons for that standard", ""),
    ("Annotators and their qualifications", ""),
    ("Annotation tools", ""),
    ("Variability between and within annotators", ""),
    ("Intended sample size and its reasons", ""),
    ("How data were assigned to partitions", "Data"),
    ("Level at which partitions are disjoint", "Data"),
    ("The model: inputs, outputs, layers", "Network; `ocellus summary` prints every layer"),
    ("Software", "Network"),
    ("Initialisation of the parameters", "Training"),
    ("Training: augmentation, hyperparameters, models trained", "Preprocessing, Training, and config.toml"),
    ("How the final model was chosen", "Training"),
    ("Ensembling", "none in this run"),
    ("Metrics", "Test"),
    ("Statistical measures of uncertainty", "Test: 95 % intervals by bootstrap over persons"),
    ("Robustness or sensitivity analysis", ""),
    ("Explainability and its validation", "class activation maps (report.html); their validation is for the authors"),
    ("External test data", ""),
    ("Flow of participants", ""),
    (
        "Demographic and clinical characteristics by partition",
        "classes only (Data); `evaluate --by` gives figures by sex or age",
    ),
    ("Performance on all partitions", "training and validation by epoch (history.csv), test (Test)"),
    ("Diagnostic accuracy and its precision", "Test"),
    ("Analysis of wrong cases", "Most confident mistakes; their causes are for the authors"),
    ("Limitations", ""),
    ("Implications for practice", ""),
    ("Registration", ""),
    ("Protocol", ""),
    ("Funding", ""),
];

impl Card<'_> {
    pub fn to_markdown(&self) -> String {
        let mut card = String::from("# Card of a run\n\n");
        // Writing to a string cannot fail.
        let _ = self.write(&mut card);
        card
    }

    fn write(&self, card: &mut String) -> std::fmt::Result {
        writeln!(card, "Written by ocellus {} at the end of the run.\n", env!("CARGO_PKG_VERSION"))?;
        self.write_data(card)?;
        self.write_preprocessing(card)?;
        self.write_training(card)?;
        self.write_test(card)?;
        self.write_open(card)?;
        writeln!(card, "## CLAIM\n")?;
        writeln!(card, "Items of the Checklist for Artificial Intelligence in Medical Imaging (2020) by number.")?;
        writeln!(card, "**Open** ones are for the authors.\n\n| item | about | here |\n| --- | --- | --- |")?;
        CLAIM.iter().enumerate().try_for_each(|(index, (about, here))| {
            let here = match (here.is_empty(), self.figures) {
                (true, _) => "**open**",
                (false, None) if here.starts_with("Test") => "**open**: there was no test split",
                (false, _) => here,
            };
            writeln!(card, "| {} | {about} | {here} |", index + 1)
        })
    }

    fn write_data(&self, card: &mut String) -> std::fmt::Result {
        let (config, dataset) = (self.config, self.dataset);
        writeln!(card, "## Data\n\n{}.\n", self.fingerprint)?;
        if let Some(data) = &config.data {
            writeln!(card, "- Photographs: `{}`", data.display())?;
        }
        let splits: Vec<(&str, &Arc<Split>)> = [("train", &dataset.train), ("val", &dataset.val)]
            .into_iter()
            .chain(dataset.test.as_ref().map(|t| ("test", t)))
            .collect();
        let tables: BTreeSet<String> = splits.iter().map(|(_, split)| format!("`{}`", split.csv.display())).collect();
        writeln!(card, "- Tables: {}", tables.into_iter().collect::<Vec<_>>().join(", "))?;
        match config.fold {
            Some(fold) => {
                writeln!(card, "- Partitions: {fold} is the test split, the next one validates, the others train")?
            }
            None => writeln!(card, "- Partitions: the tables'; those that `prepare` makes hold 3, 1 and 1 fifths")?,
        }
        let persons = match dataset.train.persons {
            Persons::Column => format!("by the column `{}`", config.columns.id().unwrap_or_default()),
            Persons::Names => "by the file name up to its first `_` or `.`".into(),
            Persons::Photographs => "not at all: each photograph counts as a person of its own".into(),
        };
        writeln!(card, "- Persons are told apart {persons}; nobody is in two partitions (checked)\n")?;
        let head: String = splits.iter().map(|(name, _)| format!(" {name} |")).collect();
        writeln!(card, "| class |{head}\n| --- |{}", " ---: |".repeat(splits.len()))?;
        let counts: Vec<Vec<usize>> = splits.iter().map(|(_, split)| split.counts(dataset.classes.len())).collect();
        for (index, class) in dataset.classes.iter().enumerate() {
            let cells: String = counts.iter().map(|counts| format!(" {} |", counts[index])).collect();
            writeln!(card, "| {} |{cells}", cell(class))?;
        }
        let cells = |of: &dyn Fn(&Split) -> usize| {
            splits.iter().map(|(_, split)| format!(" {} |", of(split))).collect::<String>()
        };
        writeln!(card, "| photographs |{}", cells(&|split| split.examples.len()))?;
        let persons = |split: &Split| split.examples.iter().map(|example| &example.id).collect::<BTreeSet<_>>().len();
        writeln!(card, "| persons |{}\n", cells(&persons))
    }

    fn write_preprocessing(&self, card: &mut String) -> std::fmt::Result {
        let config = self.config;
        let name = |resampling: Resampling| format!("{resampling:?}").to_lowercase();
        let [train, test] = [config.train_resize, config.test_resize].map(name);
        writeln!(card, "## Preprocessing\n")?;
        writeln!(card, "- Resized to {} pixels: {train} for train and val, {test} for test", config.image_size)?;
        writeln!(card, "- RGB from 0 to 1")?;
        match config.augment {
            false => writeln!(card, "- No augmentation\n"),
            true => {
                let ranges = config.augmentation;
                let flips = [("horizontal", ranges.horizontal_flip), ("vertical", ranges.vertical_flip)];
                let flips: Vec<&str> = flips.into_iter().filter(|(_, flip)| *flip).map(|(name, _)| name).collect();
                let flips = if flips.is_empty() { "none".into() } else { flips.join(" and ") };
                writeln!(
                    card,
                    "- Training photographs vary at random: rotation up to {} degrees, shifts up to {} of the width and {} of the \
                     height, shear up to {} degrees, zoom up to {}; flips: {flips}\n",
                    ranges.rotation, ranges.width_shift, ranges.height_shift, ranges.shear, ranges.zoom
                )
            }
        }
    }

    fn write_training(&self, card: &mut String) -> std::fmt::Result {
        let (config, network) = (self.config, self.network);
        let parameters = network.parameters();
        let trained: usize = parameters.iter().filter(|p| p.trainable).map(|p| p.count()).sum();
        writeln!(card, "## Network\n")?;
        writeln!(
            card,
            "- {}, width {}: {} layers, {trained} parameters",
            config.network,
            config.width,
            network.layers.len()
        )?;
        writeln!(card, "- Output: softmax over {} classes", network.classes)?;
        writeln!(card, "- Software: ocellus {}, on {}\n", env!("CARGO_PKG_VERSION"), self.device)?;
        writeln!(card, "## Training\n")?;
        match &self.init {
            Some(init) => {
                let head = if config.new_head { ", with the last layer drawn anew" } else { "" };
                writeln!(card, "- Started from the weights of `{init}`{head}")?;
            }
            None => writeln!(card, "- Started from random weights (he_normal), seed {}", config.seed)?,
        }
        writeln!(card, "- Adam with AMSGrad on the cross-entropy, weighted by class against the commonest")?;
        writeln!(card, "- Batches of {}, learning rate {}, seed {}", config.batch, config.lr, config.seed)?;
        writeln!(card, "- Schedule {}, warm-up {} epochs", config.schedule, config.warmup)?;
        if config.label_smoothing > 0.0 {
            writeln!(card, "- Label smoothing {}", config.label_smoothing)?;
        }
        if let Some(norm) = config.clip_norm {
            writeln!(card, "- Gradients clipped to a norm of {norm}")?;
        }
        if !config.freeze.is_empty() {
            writeln!(card, "- Frozen layers: {}", config.freeze.join(", "))?;
        }
        let callbacks = config.callbacks;
        writeln!(card, "- {} of at most {} epochs", self.history.len(), config.epochs)?;
        let monitor = callbacks.best_checkpoint.monitor;
        match self.best {
            Some(best) => writeln!(card, "- Weights of epoch {best}, which had the best {monitor}\n"),
            None => writeln!(card, "- No epoch had a finite {monitor}\n"),
        }
    }

    fn write_test(&self, card: &mut String) -> std::fmt::Result {
        writeln!(card, "## Test\n")?;
        let Some(figures) = self.figures else {
            return writeln!(card, "There is no test split: nothing was tested.\n");
        };
        writeln!(card, "{}\n\n| figure | all classes |\n| --- | ---: |", figures.about())?;
        for ((_, title), figure) in OVERALL.iter().zip(&figures.overall) {
            writeln!(card, "| {title} | {} |", figure.shown())?;
        }
        let head: String = PER_CLASS.iter().map(|(_, title)| format!(" {title} |")).collect();
        writeln!(card, "\n| class |{head}\n| --- |{}", " ---: |".repeat(PER_CLASS.len()))?;
        for (class, of_class) in figures.classes.iter().zip(&figures.per_class) {
            let cells: String = of_class.iter().map(|figure| format!(" {} |", figure.shown())).collect();
            writeln!(card, "| {} |{cells}", cell(class))?;
        }
        writeln!(card, "\n## Most confident mistakes\n")?;
        if self.mistakes.is_empty() {
            return writeln!(card, "None.\n");
        }
        writeln!(card, "| photograph | class | taken for | probability |\n| --- | --- | --- | ---: |")?;
        for (file, truth, predicted, probability) in self.mistakes {
            writeln!(card, "| {} | {} | {} | {probability:.3} |", cell(file), cell(truth), cell(predicted))?;
        }
        writeln!(card)
    }

    /// Lists work that a reader might take for done.
    fn write_open(&self, card: &mut String) -> std::fmt::Result {
        writeln!(card, "## What was not done\n")?;
        writeln!(card, "- No test on data of another source (`evaluate --map`)")?;
        if self.config.fold.is_none() {
            writeln!(card, "- One split only: figures vary with it (`prepare --folds`)")?;
        } else {
            writeln!(card, "- This run is one of several folds: `evaluate --folds` has the figures of all")?;
        }
        writeln!(
            card,
            "- Probabilities are not calibrated, and no thresholds were chosen, in this test (`calibrate`)"
        )?;
        writeln!(card, "- No comparison with readers, and no look at groups (`evaluate --by`)")?;
        writeln!(card, "- Which photographs show what the label says was not checked\n")
    }
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\r', '\n'], " ")
}
