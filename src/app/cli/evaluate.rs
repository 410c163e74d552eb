//! `ocellus evaluate`.

mod folds;

use std::path::{Path, PathBuf};

use clap::Args;

use super::left_out::LeftOut;
use super::model::{Model, checkpoint_file, run_settings};
use super::output::{say, warn};
use super::tested::{Bootstrap, Outcome, RESAMPLES, Tested};
use super::{CacheArgs, ColumnArgs, DeviceArgs, existing_folder, plannable};
use crate::app::cam::Head;
use crate::app::checkpoint::{self, Threshold};
use crate::app::config::Config;
use crate::app::data::augment::Transform;
use crate::app::data::findings::listed;
use crate::app::data::folds as folds_of_data;
use crate::app::data::groups::Grouping;
use crate::app::data::prepare::split_path;
use crate::app::data::renaming::Renaming;
use crate::app::data::source::Once;
use crate::app::data::{FOLDS, Fold, records, stream};
use crate::app::data::{Findings, Resampling, Split};
use crate::app::metrics::Predictions;
use crate::app::metrics::operating::{Goal, choose};
use crate::app::predict::flips;
use crate::engine::run::Engine;
use crate::error::{Error, Result};
use crate::notes::note;

/// Test weights on a labelled split: the classification report as scikit-learn prints it, then sensitivity, specificity,
/// ROC-AUC, kappa, calibration and others with 95 % intervals.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// A run's folder (its best weights) or a .safetensors file
    #[arg(required_unless_present = "folds")]
    weights: Option<PathBuf>,
    /// Runs of all folds (train --fold), or a folder of them: mean and deviation over the folds, and the figures of
    /// what each run predicted for its own fold (its predictions.csv), together
    #[arg(long, value_name = "RUN", num_args = 1.., conflicts_with_all = ["weights", "data", "at_specificity", "at_sensitivity", "tta", "map", "by"])]
    folds: Vec<PathBuf>,
    #[command(flatten)]
    test: TestArgs,
    /// Which split: test, val or train
    #[arg(long, default_value = "test")]
    split: String,
    /// Show each photograph to the network as it is and flipped (4 passes), and average the probabilities
    #[arg(long)]
    tta: bool,
    /// Take the label OLD of the table for the class NEW of the network, as often as needed; labels that are then
    /// unknown to the network are counted and left out
    #[arg(long, value_name = "OLD=NEW", value_parser = renamed)]
    map: Vec<(String, String)>,
    /// Figures of each value of this column (sex, age, camera, eye) of the split's table, of dataset.csv or of data.csv too, as often
    /// as needed; numbers of many values are cut into bands
    #[arg(long, value_name = "COLUMN")]
    by: Vec<String>,
    /// Where report.txt, report.json, report.html, predictions.csv and the pictures go [default: nowhere]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Bootstrap resamples of the persons for each 95 % interval; 0 leaves the intervals out
    #[arg(long, default_value_t = RESAMPLES)]
    resamples: usize,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Choose each class's threshold on val: at least this specificity (0..1), then the highest sensitivity. It is kept with
    /// the weights, used by predict, and reported by evaluate
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with_all = ["at_sensitivity", "tta"])]
    at_specificity: Option<f64>,
    /// Choose each class's threshold on val: at least this sensitivity (0..1), then the highest specificity
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with = "tta")]
    at_sensitivity: Option<f64>,
}

/// Weights, and labelled photographs to test them on.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The folder with img/ (and the split's CSV file) [default: the run's]
    #[arg(long)]
    data: Option<PathBuf>,
    /// The folder with the split's CSV file, where it is not in --data [default: --data, else where
    /// the run has it]
    #[arg(long, value_name = "DIR")]
    tables: Option<PathBuf>,
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

fn share(text: &str) -> std::result::Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "a share is a number from 0 to 1".to_string())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("a share is a number from 0 to 1".into()) }
}

fn renamed(text: &str) -> std::result::Result<(String, String), String> {
    let (old, new) = text.split_once('=').ok_or("two labels with = between them: OLD=NEW")?;
    Ok((old.trim().to_string(), new.trim().to_string()))
}

/// The split on which things are chosen.
pub const CHOSEN_ON: &str = "val";

/// Refuses the test split.
pub fn not_on_test(never: &str, split: &str) -> Result<()> {
    if split == "test" {
        let message = format!("{never} on the split that weights are tested on: give --split {CHOSEN_ON}");
        return Err(Error::Input(message));
    }
    Ok(())
}

pub fn run(args: EvaluateArgs) -> Result<()> {
    let Some(weights) = &args.weights else {
        return folds::run(&args.folds, args.out.as_deref(), args.resamples, args.json);
    };
    let path = checkpoint_file(weights)?;
    let goal = args.at_specificity.map(Goal::Specificity).or(args.at_sensitivity.map(Goal::Sensitivity));
    if goal.is_some() {
        not_on_test("thresholds are never chosen", &args.split)?;
    }
    let model = Model::load(&path)?;
    let prepare = || match &args.out {
        Some(out) => std::fs::create_dir_all(out).map_err(Error::io(out)),
        None => Ok(()),
    };
    let asked = Asked {
        split: &args.split,
        resamples: args.resamples,
        json: args.json,
        views: views(args.tta),
        renaming: Renaming::new(&args.map, &model.metadata.classes)?,
        by: &args.by,
    };
    if args.tta && !model.metadata.operation.thresholds.is_empty() {
        note!("warning: the thresholds were chosen without --tta");
    }
    args.test.run(weights, &model, asked, prepare, |tested, outcome, engine, program| {
        if let Some(goal) = goal {
            keep_thresholds(&path, outcome.predictions(), goal)?;
        }
        match &args.out {
            None => say(tested.printed(outcome)),
            Some(out) => {
                let head = Head::of(&model.network, &model.tensors);
                tested.report(outcome, (engine, program), head.as_ref(), path.parent().unwrap_or(Path::new(".")), out)
            }
        }
    })
}

/// Chooses a threshold for each class and writes them to the weights' file.
fn keep_thresholds(path: &Path, predictions: &Predictions, goal: Goal) -> Result<()> {
    let mut thresholds = Vec::new();
    for (class, name) in predictions.classes.iter().enumerate() {
        let of_class = predictions.labels.iter().filter(|&&label| label == class).count();
        if of_class == 0 || of_class == predictions.samples() {
            note!("warning: {name}: no threshold, since {of_class} of {} photographs are of it", predictions.samples());
            continue;
        }
        let point = choose(&predictions.curve(class), goal)
            .ok_or_else(|| Error::Input(format!("{name}: no probability on this split gives {goal}")))?;
        note!(
            "{name}: positive from {:.4} on, with sensitivity {:.3} and specificity {:.3} here",
            point.threshold,
            point.sensitivity,
            point.specificity
        );
        thresholds.push(Threshold { class: name.clone(), goal: goal.to_string(), probability: point.threshold as f32 });
    }
    checkpoint::change_operation(path, |operation| operation.thresholds = thresholds)?;
    note!("The thresholds are kept in {}", path.display());
    Ok(())
}

/// Details of a test.
pub struct Asked<'a> {
    pub split: &'a str,
    /// Of the bootstrap.
    pub resamples: usize,
    pub json: bool,
    /// Of each photograph.
    pub views: Vec<Transform>,
    pub renaming: Option<Renaming>,
    /// Columns of groups.
    pub by: &'a [String],
}

impl Asked<'_> {
    /// A test of a split without intervals, and with nothing changed.
    pub fn plain(split: &str) -> Asked<'_> {
        Asked { split, resamples: 0, json: false, views: views(false), renaming: None, by: &[] }
    }
}

/// Views of each photograph: as it is, and its flips too for test-time augmentation.
pub fn views(tta: bool) -> Vec<Transform> {
    if tta { flips().to_vec() } else { vec![Transform::default()] }
}

impl TestArgs {
    /// Classifies a split. `prepare` is called once it is known that the first photographs can be read, before a device is
    /// opened; `then` gets what came of it.
    pub fn run(
        &self,
        weights: &Path,
        model: &Model,
        asked: Asked,
        prepare: impl FnOnce() -> Result<()>,
        then: impl FnOnce(&Tested, &Outcome, &mut Engine, usize) -> Result<()>,
    ) -> Result<()> {
        let settings = run_settings(weights)?;
        let Some(data) = self.data.as_ref().or(settings.data.as_ref()) else {
            let weights = weights.display();
            return Err(Error::Input(format!("{weights}: names no data: give the folder with img/ by --data")));
        };
        existing_folder(data, "--data names a folder with img/ and a CSV file")?;
        let mut found = Findings::default();
        let columns = self.columns.over(settings.columns.clone());
        let Model { network, metadata, .. } = model;
        let (csv, fold) = self.table(weights, &settings, data, asked.split);
        let mut records = match fold {
            Some(fold) => folds_of_data::read_split(&csv, &columns, fold, asked.split, &mut found),
            None => records::read(&csv, &columns, &mut found),
        }?;
        if let Some(renaming) = &asked.renaming {
            renaming.apply(&mut records, &metadata.classes)?.iter().for_each(|line| note!("{line}"));
        }
        let split = Split::of(data, records, &columns, &metadata.classes, &mut found.faults);
        let Findings { faults, warnings } = found;
        warn(&warnings);
        let rows = split.examples.len() + faults.len();
        let mut left_out = LeftOut::new(self.keep_going);
        if !self.keep_going {
            listed(&faults)?;
        }
        left_out.add(faults)?;
        let (size, batch) = (metadata.image_size, self.batch.min(split.examples.len()).max(1));
        plannable(network, batch)?;
        let tables: Vec<&Path> = csv.parent().into_iter().chain([data.as_path()]).collect();
        let by = asked.by.iter().map(|column| Grouping::read(column, &tables, &columns, &split));
        let by: Vec<Grouping> = by.collect::<Result<_>>()?;
        let resize = self.resize.unwrap_or(settings.test_resize);
        let of = split.examples.iter().map(|_| &*split.dir);
        let once = Once::new(self.cache.open().as_ref(), self.cache.verify, (size, resize), of);
        let load = |position: usize| once.load(&split.dir, &split.examples[position].path);
        let named = |position: usize, fault: Error| Error::at(&split.csv, split.examples[position].line, fault);
        let tested = std::thread::scope(|scope| {
            let mut chunks = stream::chunks(scope, split.examples.len(), size, stream::per_chunk(size, batch), load);
            // A bad file among the first stops the command before it opens the device or makes a
            // folder.
            let first = chunks.next().map(|chunk| left_out.without(chunk, named)).transpose()?;
            prepare()?;
            let (mut engine, program) = model.place(&self.device, batch)?;
            let chunks = first.map(Ok).into_iter().chain(chunks.map(|chunk| left_out.without(chunk, named)));
            let Asked { resamples, json, views, .. } = &asked;
            let bootstrap = Bootstrap { seed: settings.seed, resamples: *resamples };
            let (classes, operation) = (&metadata.classes, &metadata.operation);
            let tested = Tested { split: &split, classes, operation, bootstrap, views, by: &by, json: *json };
            let outcome = tested.classify(&mut engine, program, chunks)?;
            then(&tested, &outcome, &mut engine, program)
        });
        warn(once.end());
        match (tested, left_out.end(rows)) {
            // That there is nothing else follows from the list.
            (Ok(()) | Err(Error::Check(_)), Err(listed)) => Err(listed),
            (tested, _) => tested,
        }
    }

    /// The split's table: in the folder that is named for tables; else where the run had it, if
    /// these are its data or have no such table; else beside the photographs. Of a run of a fold,
    /// the table of the folds stands for those of the splits.
    fn table(&self, weights: &Path, settings: &Config, data: &Path, split: &str) -> (PathBuf, Option<Fold>) {
        let in_folder = |folder: &Path| {
            let (folds, csv) = (folder.join(FOLDS), split_path(folder, split));
            match settings.fold.filter(|_| folds.exists()) {
                Some(fold) => (folds, Some(fold)),
                None => (csv, None),
            }
        };
        if let Some(tables) = &self.tables {
            return in_folder(tables);
        }
        let beside = split_path(data, split);
        let real = |path: &Path| path.canonicalize().ok();
        let is_of_run = settings.data.as_deref().is_some_and(|of_run| real(of_run) == real(data));
        let of_run = settings.tables_of(weights).or(is_of_run.then(|| data.to_path_buf()));
        match of_run.map(|tables| in_folder(&tables)).filter(|(csv, _)| csv.exists()) {
            Some((csv, fold)) if is_of_run || !beside.exists() => {
                if csv != beside {
                    let fold = fold.map(|fold| format!(", {fold}")).unwrap_or_default();
                    note!("The split is the run's: {}{fold}", csv.display());
                }
                (csv, fold)
            }
            _ => (beside, None),
        }
    }
}
