//! `ocellus calibrate`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::evaluate::{Asked, CHOSEN_ON, TestArgs, not_on_test};
use super::model::{Model, checkpoint_file, logits_layer};
use super::output::show;
use crate::app::checkpoint::{self, Operation};
use crate::app::metrics::{Predictions, temperature};
use crate::error::{Error, Result};
use crate::notes::note;

/// Fit one temperature by which logits are divided, so that probabilities match observed
/// frequencies. It is kept with the weights, and predict, evaluate and every export use it; no
/// predicted class changes.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// A run's folder (its best weights) or a .safetensors file
    weights: PathBuf,
    #[command(flatten)]
    test: TestArgs,
    /// Which split: val, or train
    #[arg(long, default_value = CHOSEN_ON)]
    split: String,
}

pub fn run(args: CalibrateArgs) -> Result<()> {
    let path = checkpoint_file(&args.weights)?;
    not_on_test("a temperature is never fitted", &args.split)?;
    let model = Model::uncalibrated(&path)?;
    if logits_layer(&model.network).is_none() {
        return Err(Error::Input(format!("{}: the network does not end in a dense layer", path.display())));
    }
    let prepare = || Ok(());
    args.test.run(&args.weights, &model, Asked::plain(&args.split), prepare, |_, outcome, _, _| {
        keep_temperature(&path, &args.split, outcome.predictions())
    })
}

/// Fits the temperature and writes it to the weights' file.
fn keep_temperature(path: &Path, split: &str, predictions: &Predictions) -> Result<()> {
    let fitted = temperature::fit(predictions).ok_or_else(|| {
        Error::Input(format!(
            "no temperature is best on {split}: the log loss falls without end, as it does where every prediction is \
             correct, or where they are no better than chance"
        ))
    })?;
    checkpoint::change_operation(path, |operation| {
        if !operation.thresholds.is_empty() {
            note!("warning: the thresholds that were chosen before are dropped: probabilities are others now");
        }
        *operation = Operation { temperature: Some(fitted), thresholds: Vec::new() };
    })?;
    let [before, after] = [1.0, fitted].map(|temperature| temperature::log_loss(predictions, temperature));
    let kept = path.display();
    show(format_args!(
        "temperature {fitted:.4}: log loss on {split} {before:.4} before, {after:.4} now; kept in {kept}"
    ));
    Ok(())
}
