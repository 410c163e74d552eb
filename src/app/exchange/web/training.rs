//! A page that trains: the plan of a training step, replayed in a browser on drawn photographs.
//!
//! The order of the photographs and their variations are pure functions of seed, epoch and photograph; the page has them
//! written out, for as many epochs as it trains.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use image::RgbImage;
use serde_json::json;

use super::replay::{Bound, Lister, Stored, leveled, target};
use super::{PROGRAM, document, seconds, sides};
use crate::app::config::Config;
use crate::app::data::augment::draw;
use crate::app::data::{Images, batches, synthetic};
use crate::app::train::feed::{Labelled, Variation};
use crate::engine::plan::names;
use crate::engine::run::Engine;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::network::compile as plans;
use crate::network::weights::{self, Tensor};
use crate::ops::adam;

const BODY: &str = include_str!("train.html");
const SCRIPT: &str = include_str!("train.js");

/// Multiplier of the channel counts.
const WIDTH: f64 = 0.25;
/// Batches of an epoch, and epochs: as many as a page of 4 MB has room for beside the weights.
const BATCHES: usize = 20;
const EPOCHS: usize = 18;

/// Losses that the page compares with the program's, and how far apart they may be.
pub const PROVED: usize = 20;
pub const AGREEMENT: f64 = 1e-4;

/// Data, weights and order of a training that a page holds.
#[derive(Debug)]
pub struct Training {
    config: Config,
    network: Network,
    images: Images,
    labels: Vec<u32>,
    /// Weights to start from, the kernels rounded to 255 levels: a page has room for more photographs then.
    weights: Vec<Tensor>,
    /// The epoch and the photographs of each step.
    steps: Vec<(u64, Vec<u32>)>,
}

impl Default for Training {
    /// The tutorial's network on photographs as the built-in set has them, and with the settings of a run on these.
    fn default() -> Training {
        let mut config = Config { width: WIDTH, ..Config::default() };
        config.configure_builtin();
        config.epochs = EPOCHS;
        let (size, seed, batch, classes) = (config.image_size, config.seed, config.batch, synthetic::classes().len());
        let count = BATCHES * batch;
        let network = config.network.build(size, WIDTH, classes).expect("a preset fits");
        let pixels = synthetic::samples(count, size).into_iter().flat_map(RgbImage::into_raw).collect();
        let labels = (0..count).map(|number| (number % classes) as u32).collect();
        let of_epoch = |epoch| batches::train_batches(seed, epoch, count, batch).into_iter().map(move |b| (epoch, b));
        Training {
            weights: leveled(&weights::initial(&network, seed)),
            steps: (0..EPOCHS as u64).flat_map(of_epoch).collect(),
            images: Images { size, count, pixels },
            labels,
            config,
            network,
        }
    }
}

impl Training {
    /// The losses of the first steps on an engine, computed as `train` computes them.
    ///
    /// # Errors
    /// Whatever an engine refuses; a loss that is not finite.
    pub fn losses(&self, engine: &mut Engine) -> Result<Vec<f64>> {
        let program = engine.load(plans::training(&self.network, self.config.batch, &engine.target()))?;
        weights::upload(engine, program, &self.network, &self.weights);
        engine.write(program, names::CLASS_WEIGHT, &vec![1.0; self.network.classes]);
        let Config { augmentation, seed, .. } = &self.config;
        let data = Labelled::new(self.images.clone(), self.labels.clone());
        let mut losses = Vec::new();
        for (alpha, (epoch, indices)) in self.alphas().zip(&self.steps).take(PROVED) {
            let variation = Variation::Random { ranges: augmentation, seed: *seed, epoch: *epoch };
            data.batch(indices, variation)?.write(engine, program);
            engine.write(program, names::RATE, &[alpha, 0.0, 0.0, 0.0]);
            let running = engine.start(program);
            let metrics = engine.finish(running)?;
            let loss = metrics.loss / self.config.batch as f64;
            if metrics.fault.is_some() || !loss.is_finite() {
                return Err(Error::NotFinite(format!("the loss of step {} is {loss}", losses.len() + 1)));
            }
            losses.push(loss);
        }
        Ok(losses)
    }

    /// Adam's step size of each step.
    fn alphas(&self) -> impl Iterator<Item = f32> + use<> {
        let rate = f64::from(self.config.lr);
        (1..=self.steps.len() as u64).map(move |step| adam::alpha(rate, step) as f32)
    }

    /// The page, with the losses of its first steps on a device of that name.
    ///
    /// # Errors
    /// As `Plan::modules`.
    pub fn html(&self, losses: &[f64], device: &str) -> Result<String> {
        let plan = plans::training(&self.network, self.config.batch, &target());
        let mut lister = Lister::new(&plan);
        for (step, module) in plan.steps.iter().zip(plan.modules().map_err(Error::Device)?) {
            lister.add(step, &module, false)?;
        }
        let weight = (names::CLASS_WEIGHT.to_string(), vec![1.0; self.network.classes]);
        let (stored, bytes) =
            lister.store_all(weights::by_tensor(&self.network, &self.weights).into_iter().chain([weight]));
        let find = |name: &str| plan.find(name).expect("a plan of training has it");
        let inputs = [names::PIXELS, names::MAPS, names::LABELS, names::RATE]
            .map(|name| Stored::whole(lister.buffer(find(name).into())));
        let metrics = match lister.bound(0, find(names::METRICS).into()) {
            Bound::Whole(_, buffer) => (buffer, 0),
            Bound::Part(_, buffer, first, _) => (buffer, first / size_of::<f32>() as u64),
        };
        let (mut program, classes) = (json!(lister.program), synthetic::classes());
        program["weights"] = json!(stored);
        let title = "Training in a browser";
        let data = json!({
            "about": {
                "title": title,
                "program": PROGRAM,
                "network": self.config.network.to_string(),
                "width": WIDTH,
                "parameters": self.network.parameters().iter().map(|parameter| parameter.count()).sum::<usize>(),
                "bytes": self.config.image_size.rgb_bytes(),
                "batch": self.config.batch,
                "epochs": EPOCHS,
                "rate": self.config.lr.to_string(),
                "device": device,
                "exported": seconds(),
            },
            "image": sides(self.config.image_size),
            "classes": classes,
            "plan": program,
            "inputs": inputs,
            "metrics": { "buffer": metrics.0, "at": metrics.1 },
            "pictures": BASE64_STANDARD.encode(&self.images.pixels),
            "labels": self.labels,
            "order": BASE64_STANDARD.encode(self.order()),
            "maps": BASE64_STANDARD.encode(self.maps()),
            "alphas": self.alphas().collect::<Vec<_>>(),
            "losses": losses,
            "agreement": AGREEMENT,
        });
        Ok(document(title, BODY, &data, &bytes, ["", SCRIPT]))
    }

    /// The photographs of each step, as integers of 16 bits.
    fn order(&self) -> Vec<u8> {
        self.steps.iter().flat_map(|(_, indices)| indices).flat_map(|&index| (index as u16).to_le_bytes()).collect()
    }

    /// The affine map of each photograph in each epoch, six f32 each.
    fn maps(&self) -> Vec<u8> {
        let (Config { augmentation, seed, image_size, .. }, count) = (&self.config, self.labels.len() as u64);
        let map = |epoch, photograph| draw(augmentation, *seed, epoch, photograph, *image_size).matrix(*image_size);
        let of_epoch = |epoch| (0..count).flat_map(move |photograph| map(epoch, photograph));
        (0..EPOCHS as u64).flat_map(of_epoch).flat_map(|factor| (factor as f32).to_le_bytes()).collect()
    }
}
