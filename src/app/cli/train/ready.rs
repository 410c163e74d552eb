//! Everything of a run that is read before its folder is written to.

use std::path::PathBuf;
use std::sync::Arc;

use blake3::Hash;

use super::super::model::{load_body, load_weights};
use super::super::output::{warn, warn_in_short};
use super::super::{CacheArgs, plannable};
use super::settings::TrainArgs;
use crate::app::bars::file_bar;
use crate::app::checkpoint::Tensor;
use crate::app::config::Config;
use crate::app::data::copies::{self, Printed};
use crate::app::data::decode::VERSION;
use crate::app::data::stored::{Opening, Stored};
use crate::app::data::{Dataset, Faint, Split};
use crate::app::train::Data;
use crate::app::train::feed::Labelled;
use crate::error::{Error, Result};
use crate::network::Network;

pub struct Ready {
    pub network: Network,
    pub init: Option<Vec<Tensor>>,
    pub data: Data,
    pub test: Option<Stored>,
    /// Hashes by which the files of each split are recognised.
    hashes: Vec<Arc<[Hash]>>,
}

impl Ready {
    /// `scratch` gives a folder for decoded photographs that nothing else can take.
    pub fn new(
        args: &TrainArgs,
        config: &Config,
        dataset: &Dataset,
        scratch: impl FnMut() -> Result<PathBuf>,
    ) -> Result<Ready> {
        let network = config.network.build(config.image_size, config.width, dataset.classes.len());
        let network = trainable(config, network.map_err(Error::Input)?)?;
        // A run that goes on has its weights in its state.
        let init = config.init.as_deref().filter(|_| args.resume.is_none());
        let init = init.map(|path| match config.new_head {
            true => load_body(path, &network, config.seed),
            false => load_weights(path, &network),
        });
        let init = init.transpose()?;

        let (train, val) = (&dataset.train, &dataset.val);
        let mut splits = vec![(train.clone(), config.train_resize), (val.clone(), config.train_resize)];
        // A damaged one must not be found out after hours of training.
        splits.extend(dataset.test.iter().map(|test| (test.clone(), config.test_resize)));
        let cache = CacheArgs { no_cache: !config.cache, ..args.cache }.open();
        let opening = Opening {
            size: config.image_size,
            cache: cache.as_ref(),
            stream: config.stream,
            verify: args.cache.verify,
        };
        let faint = Faint::default();
        let bar = file_bar("Decoding images", splits.iter().map(|(split, _)| split.examples.len()).sum());
        let opened = opening.open(&splits, &faint, scratch, |done| bar.set_position(done as u64));
        bar.finish_and_clear();
        let opened = opened?;
        warn(faint.warning());
        let hashes: Vec<Arc<[Hash]>> = opened.iter().map(Stored::hashes).collect();
        let mut opened = opened.into_iter();
        let mut labelled = |split: &Split| {
            let labels = split.examples.iter().map(|example| example.label as u32).collect();
            Labelled::new(opened.next().expect("one of each split"), labels)
        };
        let data = Data {
            classes: dataset.classes.clone(),
            train_files: train.examples.iter().map(|example| example.path.clone()).collect(),
            fingerprint: fingerprint(config, [(train, &hashes[0]), (val, &hashes[1])]),
            train: labelled(train),
            val: labelled(val),
        };
        Ok(Ready { network, init, data, test: opened.next(), hashes })
    }

    /// Warns of files with the same bytes that are in two splits or have two labels.
    pub fn warn_of_copies(&self, dataset: &Dataset) {
        let splits = [&dataset.train, &dataset.val].into_iter().chain(&dataset.test);
        let prints: Vec<Vec<Option<Hash>>> =
            self.hashes.iter().map(|hashes| hashes.iter().copied().map(Some).collect()).collect();
        let splits = splits.zip(&prints).map(|(split, prints)| Printed { split, prints });
        warn_in_short(&copies::harmful(&splits.collect::<Vec<_>>()));
    }
}

/// Refuses a network that cannot be trained, whatever the classes.
pub fn check_network(config: &Config) -> Result<()> {
    let network = config.network.without_classes(config.image_size, config.width);
    trainable(config, network.map_err(Error::Input)?).map(drop)
}

/// The network as a run trains it.
fn trainable(config: &Config, mut network: Network) -> Result<Network> {
    plannable(&network, config.batch)?;
    (network.label_smoothing, network.clip_norm) = (config.label_smoothing, config.clip_norm);
    network.freeze(&config.freeze).map_err(|why| Error::Input(format!("--freeze: {why}")))?;
    Ok(network)
}

/// Names, labels and contents of the training and validation rows, in order, and what their pixels depend on beside
/// these. Where the set's folder is does not matter.
fn fingerprint(config: &Config, splits: [(&Arc<Split>, &Arc<[Hash]>); 2]) -> String {
    let mut hash = crc32fast::Hasher::new();
    hash.update(format!("{} {:?} {VERSION}\n", config.image_size, config.train_resize).as_bytes());
    for (split, hashes) in splits {
        for (example, photograph) in split.examples.iter().zip(&hashes[..]) {
            let name = split.name_of(&example.path).to_string_lossy();
            hash.update(format!("{name}\0{}\0{}\n", example.id, example.label).as_bytes());
            hash.update(photograph.as_bytes());
        }
    }
    let [train, val] = splits.map(|(split, _)| split.examples.len());
    format!("{train} training and {val} validation images, crc {:08x}", hash.finalize())
}
