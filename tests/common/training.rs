//! Small runs of the training loop, and what they leave behind.

use std::path::Path;

use ocellus::app::checkpoint::{self, Metadata, Tensor};
use ocellus::app::config::Config;
use ocellus::app::data::{self, Columns, Faint, Resampling, Split, synthetic};
use ocellus::app::train::feed::Labelled;
use ocellus::app::train::{Data, Trainer, files};
use ocellus::engine::run::Engine;
use ocellus::network::{Network, tutorial};

const SIZE: usize = 32;
pub const BATCH: usize = 5;

/// About thirty photographs to train on, in batches that do not divide them.
pub fn config(epochs: usize) -> Config {
    Config { epochs, batch: BATCH, image_size: SIZE.into(), width: 0.125, seed: 5, ..Config::default() }
}

pub fn network(config: &Config, data: &Data) -> Network {
    tutorial(config.image_size, config.width, data.classes.len())
}

pub fn photographs() -> Data {
    let folder = tempfile::tempdir().unwrap();
    let options = synthetic::Options { images: 48, size: SIZE.into(), seed: 1 };
    synthetic::write(folder.path(), &options, |_, _| ()).unwrap();
    data::prepare(folder.path(), &Columns::default(), 1).unwrap();
    let dataset = data::open(folder.path(), &Columns::default()).unwrap();
    let labelled = |split: &Split| {
        let images = data::decode(split, SIZE.into(), Resampling::Nearest, &Faint::default(), |_, _| ()).unwrap();
        Labelled::new(images, split.examples.iter().map(|example| example.label as u32).collect())
    };
    let (train, val) = (labelled(&dataset.train), labelled(&dataset.val));
    assert!(train.labels.len() % BATCH != 0, "{} photographs: a short batch must occur", train.labels.len());
    let train_files = dataset.train.examples.iter().map(|example| example.path.clone()).collect();
    Data { classes: dataset.classes, train, val, train_files, fingerprint: "48 drawn photographs".into() }
}

pub fn trainer<'a>(engine: Engine, config: &'a Config, data: &'a Data) -> Trainer<'a> {
    Trainer::new(engine, config, network(config, data), data).unwrap()
}

/// All of a state that does not depend on the clock.
pub fn state(folder: &Path) -> (Vec<Tensor>, Metadata) {
    let (tensors, mut metadata) = checkpoint::load(&folder.join(files::STATE)).unwrap();
    let training = metadata.training.as_mut().unwrap();
    (training.sums.seconds, training.sums.waited, training.sums.exchanged) = (0.0, 0.0, 0.0);
    for record in &mut training.history {
        assert!(record.loss.is_finite() && record.val_loss.is_finite());
        (record.seconds, record.images_per_second, record.data_wait) = (0.0, 0.0, 0.0);
    }
    (tensors, metadata)
}

#[track_caller]
pub fn assert_same_state(a: &Path, b: &Path) {
    let ((tensors_a, metadata_a), (tensors_b, metadata_b)) = (state(a), state(b));
    assert_eq!(metadata_a, metadata_b);
    assert_eq!(tensors_a.len(), tensors_b.len());
    for (a, b) in tensors_a.iter().zip(&tensors_b) {
        let bits = |tensor: &Tensor| tensor.data.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert!(a.name == b.name && bits(a) == bits(b), "{} differs", a.name);
    }
}
