//! `ocellus calibrate`.

use clap::Args;

use super::evaluate::{CHOSEN_ON, TestArgs};
use super::model::{Model, checkpoint_file, scale_logits};
use super::output::show;
use crate::app::checkpoint;
use crate::app::metrics::temperature;
use crate::error::{Error, Result};
use crate::notes::note;

/// Fit one temperature by which logits are divided, so that probabilities match observed
/// frequencies. It is kept with the weights, and predict, evaluate and every export use it; no
/// predicted class changes.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    #[command(flatten)]
    test: TestArgs,
    /// Which split: val, or train
    #[arg(long, default_value = CHOSEN_ON)]
    split: String,
}

pub fn run(args: CalibrateArgs) -> Result<()> {
    let path = checkpoint_file(&args.test.weights)?;
    if args.split == "test" {
        let message =
            format!("a temperature is never fitted on the split that it is tested on: give --split {CHOSEN_ON}");
        return Err(Error::Input(message));
    }
    let mut model = Model::uncalibrated(&path)?;
    if !scale_logits(&model.network, &mut model.tensors, 1.0) {
        return Err(Error::Input(format!("{}: the network does not end in a dense layer", path.display())));
    }
    args.test.run(
        &model,
        &args.split,
        0,
        false,
        || Ok(()),
        |_, outcome, _, _| {
            let predictions = &outcome.predictions;
            let fitted = temperature::fit(predictions).ok_or_else(|| {
            Error::Input(format!(
                "no temperature is best on {}: the log loss falls without end, as it does where every prediction is \
                 correct, or where they are no better than chance",
                args.split
            ))
        })?;
            let (tensors, mut metadata) = checkpoint::load(&path)?;
            if !metadata.operation.thresholds.is_empty() {
                note!("warning: the thresholds that were chosen before are dropped: probabilities are others now");
                metadata.operation.thresholds.clear();
            }
            metadata.operation.temperature = Some(fitted);
            checkpoint::save(&path, &tensors, &metadata)?;
            let (before, after) = (temperature::log_loss(predictions, 1.0), temperature::log_loss(predictions, fitted));
            let kept = path.display();
            show(format_args!(
                "temperature {fitted:.4}: log loss on {} {before:.4} before, {after:.4} now; kept in {kept}",
                args.split
            ));
            Ok(())
        },
    )
}
