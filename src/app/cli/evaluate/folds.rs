//! `ocellus evaluate --folds`: runs of all folds of a data set, from what each predicted for its own test fold.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::model::run_settings;
use super::super::output::say;
use super::super::tested;
use crate::app::data::findings::counted;
use crate::app::data::folds::Fold;
use crate::app::metrics::Figures;
use crate::app::metrics::folds::OverFolds;
use crate::app::predictions::Named;
use crate::app::report::Report;
use crate::app::train::files;
use crate::error::{Error, Result};
use crate::files::write_atomic;

/// A run and its test fold.
struct OfFold {
    run: PathBuf,
    fold: usize,
    named: Named,
}

/// Prints mean and deviation over folds, then the figures of all out-of-fold predictions together. The same as text,
/// JSON, table and pictures goes to `out`.
pub fn run(runs: &[PathBuf], out: Option<&Path>, resamples: usize, as_json: bool) -> Result<()> {
    let runs = runs_in(runs)?;
    let seed = run_settings(&runs[0])?.seed;
    let folds = read(runs)?;
    let pooled = Named::pooled(&folds.iter().map(|fold| fold.named.clone()).collect::<Vec<_>>());
    let of_each: Vec<Figures> = folds.iter().map(|fold| fold.named.predictions.figures(seed, 0)).collect();
    let figures = pooled.predictions.figures(seed, resamples);
    let report =
        Report::over_all_classes(&pooled.predictions.classes, &pooled.predictions.labels, &pooled.predictions.tops());
    let text = text(&folds, &of_each, &report, &figures);
    let json = json(&folds, &of_each, &report, &figures);
    if let Some(out) = out {
        std::fs::create_dir_all(out).map_err(Error::io(out))?;
        write_atomic(&out.join(files::REPORT), |file| file.write_all(text.as_bytes()))?;
        write_atomic(&out.join(files::REPORT_JSON), |file| file.write_all(json.as_bytes()))?;
        write_atomic(&out.join(files::PREDICTIONS), |file| pooled.write(file))?;
        tested::draw(out, &report, &pooled.predictions, &figures)?;
    }
    say(if as_json { json } else { text })
}

/// The runs, and the runs in folders of them, which are sorted by their names.
fn runs_in(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut runs = Vec::new();
    for path in named {
        if path.join(files::CONFIG).is_file() {
            runs.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(Error::io(path))?;
        let mut inside: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        inside.retain(|path| path.join(files::CONFIG).is_file());
        inside.sort();
        if inside.is_empty() {
            return Err(Error::Input(format!("{}: neither a run's folder nor a folder of runs", path.display())));
        }
        runs.extend(inside);
    }
    Ok(runs)
}

/// The predictions of every fold, in the order of the folds.
///
/// Errors: a run of no fold, a run without a test, two runs of one fold, a fold without a run, other classes, a person
/// in two folds.
fn read(runs: Vec<PathBuf>) -> Result<Vec<OfFold>> {
    let mut folds: Vec<OfFold> = Vec::new();
    let mut count: Option<(usize, PathBuf)> = None;
    for run in runs {
        let shown = run.display();
        let Some(Fold { number, of: Some(of) }) = run_settings(&run)?.fold else {
            return Err(Error::Input(format!("{shown}: no run of a fold (train --fold)")));
        };
        let (known, first) = count.get_or_insert((of, run.clone()));
        if *known != of {
            let first = first.display();
            return Err(Error::Input(format!("{shown}: of {of} folds, and {first} is of {known}")));
        }
        if let Some(other) = folds.iter().find(|other| other.fold == number) {
            let other = other.run.display();
            return Err(Error::Input(format!("{shown}: of fold {number}, as {other} is: one run per fold")));
        }
        let table = run.join(files::PREDICTIONS);
        if !table.is_file() {
            return Err(Error::Input(format!("{}: no such file; the run has not ended with a test", table.display())));
        }
        let named = Named::read(&table)?;
        if let Some(other) = folds.first().filter(|other| other.named.predictions.classes != named.predictions.classes)
        {
            let (classes, other) = (named.predictions.classes.join(", "), other.run.display());
            return Err(Error::Input(format!("{shown}: its classes ({classes}) are not those of {other}")));
        }
        folds.push(OfFold { run, fold: number, named });
    }
    let (of, _) = count.ok_or_else(|| Error::Input("--folds: no run".into()))?;
    let missing: Vec<String> =
        (1..=of).filter(|fold| !folds.iter().any(|run| run.fold == *fold)).map(|fold| fold.to_string()).collect();
    if !missing.is_empty() {
        let (noun, verb) = if missing.len() == 1 { ("fold", "is") } else { ("folds", "are") };
        return Err(Error::Input(format!(
            "{noun} {} of {of} {verb} missing: no run is tested on it",
            missing.join(", ")
        )));
    }
    folds.sort_by_key(|fold| fold.fold);
    one_fold_a_person(&folds)?;
    Ok(folds)
}

/// Figures of a person who is in two folds are of a network that has seen the person.
fn one_fold_a_person(folds: &[OfFold]) -> Result<()> {
    let mut first: HashMap<&str, &OfFold> = HashMap::new();
    for fold in folds {
        for person in &fold.named.persons {
            let other = first.entry(person).or_insert(fold);
            if other.fold != fold.fold {
                let [one, two] = [*other, fold].map(|of| (of.fold, of.run.join(files::PREDICTIONS)));
                return Err(Error::Input(format!(
                    "person {person} is in fold {} ({}) and in fold {} ({}): the runs are of other folds",
                    one.0,
                    one.1.display(),
                    two.0,
                    two.1.display()
                )));
            }
        }
    }
    Ok(())
}

fn text(folds: &[OfFold], of_each: &[Figures], report: &Report, pooled: &Figures) -> String {
    let mut text = format!("{:>4}  photographs  persons  run\n\n", "fold");
    for (OfFold { run, fold, named }, figures) in folds.iter().zip(of_each) {
        let samples = named.predictions.samples();
        text += &format!("{fold:>4}  {samples:>11}  {:>7}  {}\n", figures.persons, run.display());
    }
    let names: Vec<String> = folds.iter().map(|fold| format!("fold {}", fold.fold)).collect();
    text += &format!("\n{}\n", OverFolds::new(of_each).to_text(&names));
    let samples = counted(pooled.supports.iter().sum(), "photograph");
    text +=
        &format!("All {samples} together, each as the network of its fold had it, which was not trained on it:\n\n");
    text + &format!("{}\n{}", report.to_text(), pooled.to_text())
}

/// `folds`: each with its figures; `over_folds`: mean and standard deviation; `pooled`: as the report of one run.
fn json(folds: &[OfFold], of_each: &[Figures], report: &Report, pooled: &Figures) -> String {
    let mut all = report.to_json();
    all["figures"] = pooled.to_json();
    let fold = |(of, figures): (&OfFold, &Figures)| {
        json!({
            "fold": of.fold, "run": of.run.display().to_string(), "photographs": of.named.predictions.samples(),
            "figures": figures.to_json(),
        })
    };
    let each: Value = folds.iter().zip(of_each).map(fold).collect();
    let json = json!({ "folds": each, "over_folds": OverFolds::new(of_each).to_json(), "pooled": all });
    serde_json::to_string_pretty(&json).expect("a report is plain JSON")
}
