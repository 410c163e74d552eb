//! `ocellus evaluate`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{CacheArgs, ColumnArgs, DeviceArgs, checkpoint_file, decode, existing_folder};
use crate::checkpoint::{self, Metadata, Tensor};
use crate::config::Config;
use crate::data::dataset::first_of;
use crate::data::prepare::split_path;
use crate::data::{Columns, Images, Resampling, Split};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::network::{self, Network};
use crate::plan::network as plans;
use crate::report::Report;
use crate::train::files;
use crate::{plot, predict, weights};

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
    /// Where report.txt, report.json and confusion.png go [default: nowhere]
    #[arg(long)]
    out: Option<PathBuf>,
    /// How photographs are brought to the network's input size
    #[arg(long, value_enum, default_value = "lanczos")]
    resize: Resampling,
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
    let model = Model::load(&path)?;
    let csv = split_path(&args.data, &args.split);
    let mut faults = Vec::new();
    let columns = args.columns.over(Columns::default());
    let split = Split::read(&csv, &columns, &model.metadata.classes, &mut faults)?;
    first_of(faults)?;
    let (mut engine, program) = model.place(&args.device, args.batch.min(split.examples.len()).max(1))?;
    let images = decode("Decoding", &split, model.metadata.image_size, args.resize, args.cache.open().as_ref())?;
    match &args.out {
        Some(out) => {
            std::fs::create_dir_all(out).map_err(Error::io(out))?;
            report(&mut engine, program, &images, &split, &model.metadata.classes, out)
        }
        None => {
            let report = classify(&mut engine, program, &images, &split, &model.metadata.classes)?;
            print!("{}", report.to_text());
            Ok(())
        }
    }
}

/// A checkpoint with its network.
pub struct Model {
    pub network: Network,
    pub metadata: Metadata,
    pub tensors: Vec<Tensor>,
}

impl Model {
    pub fn load(path: &Path) -> Result<Model> {
        let (tensors, metadata) = checkpoint::load(path)?;
        let network = network::tutorial(metadata.image_size, metadata.width, metadata.classes.len());
        let tensors = only_weights(path, tensors, &network)?;
        Ok(Model { network, metadata, tensors })
    }

    /// Opens the device and puts the weights on it; returns the inference plan's number.
    pub fn place(&self, device: &DeviceArgs, batch: usize) -> Result<(Engine, usize)> {
        let mut engine = device.open(&Config::default())?;
        let plan = plans::inference(&self.network, batch, &engine.target());
        let program = engine.load(plan)?;
        weights::upload(&mut engine, program, &self.network, &self.tensors);
        Ok((engine, program))
    }
}

/// Weights for a network that is already known; `Error::Input` says where they differ.
pub fn load_weights(path: &Path, network: &Network, classes: Option<&[String]>) -> Result<Vec<Tensor>> {
    let path = checkpoint_file(path)?;
    let (tensors, metadata) = checkpoint::load(&path)?;
    if let Some(classes) = classes.filter(|classes| **classes != metadata.classes) {
        return Err(Error::Input(format!(
            "{}: its classes are {:?}, not {classes:?}",
            path.display(),
            metadata.classes
        )));
    }
    only_weights(&path, tensors, network)
}

/// Drops Adam's moments, which a state file has too, and checks the rest against the network.
fn only_weights(path: &Path, mut tensors: Vec<Tensor>, network: &Network) -> Result<Vec<Tensor>> {
    tensors.retain(|tensor| !tensor.name.contains('/'));
    let parameters = network.parameters();
    let expected: Vec<(&str, &[usize])> = parameters.iter().map(|p| (&p.name[..], &p.shape[..])).collect();
    checkpoint::expect(path, tensors, &expected)
}

/// Classifies a split and prints its report; the same as text, JSON and picture go to `out`.
pub fn report(
    engine: &mut Engine,
    program: usize,
    images: &Images,
    split: &Split,
    classes: &[String],
    out: &Path,
) -> Result<()> {
    let report = classify(engine, program, images, split, classes)?;
    let text = report.to_text();
    print!("{text}");
    write_atomic(&out.join(files::REPORT), |file| file.write_all(text.as_bytes()))?;
    let json = serde_json::to_string_pretty(&report.to_json()).expect("a report is plain JSON");
    write_atomic(&out.join(files::REPORT_JSON), |file| file.write_all(json.as_bytes()))?;
    plot::confusion(&out.join(files::CONFUSION_PLOT), &report)
}

fn classify(engine: &mut Engine, program: usize, images: &Images, split: &Split, classes: &[String]) -> Result<Report> {
    let bar = super::file_bar("Classifying", images.count);
    let probabilities = predict::probabilities(engine, program, images, |done| bar.inc(done as u64))?;
    bar.finish_and_clear();
    let truth: Vec<usize> = split.examples.iter().map(|example| example.label).collect();
    Ok(Report::over_all_classes(classes, &truth, &predict::top_classes(&probabilities, classes.len())))
}
