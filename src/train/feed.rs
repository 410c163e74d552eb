//! Batches on their way to the device: pixels, maps, labels.

use crate::data::augment::{Ranges, Transform, draw};
use crate::data::decode::Images;
use crate::engine::Engine;
use crate::plan::network::names;

/// Decoded images with their labels.
#[derive(Debug)]
pub struct Labelled {
    pub images: Images,
    pub labels: Vec<u32>,
}

/// How a batch's images are varied.
#[derive(Clone, Copy, Debug)]
pub enum Variation<'a> {
    /// As they are.
    None,
    /// At random, each by its own stream of (seed, epoch, sample).
    Random { ranges: &'a Ranges, seed: u64, epoch: u64 },
}

/// Writes the images of one batch, by their indices, to a plan of that batch size.
pub fn write_images(engine: &mut Engine, program: usize, images: &Images, indices: &[u32], variation: Variation) {
    let mut pixels = Vec::with_capacity(indices.len() * images.size * images.size);
    let mut maps = Vec::with_capacity(indices.len() * 8);
    for &index in indices {
        let rgb = images.image(index as usize).chunks_exact(3);
        pixels.extend(rgb.map(|rgb| u32::from_le_bytes([rgb[0], rgb[1], rgb[2], 0])));
        let transform = match variation {
            Variation::None => Transform::default(),
            Variation::Random { ranges, seed, epoch } => {
                draw(ranges, seed, epoch, u64::from(index), images.size, images.size)
            }
        };
        let [a, b, c, d, e, f] = transform.matrix(images.size, images.size).map(|factor| factor as f32);
        maps.extend([a, b, c, 0.0, d, e, f, 0.0]);
    }
    engine.write_integers(program, names::PIXELS, &pixels);
    engine.write(program, names::MAPS, &maps);
}

impl Labelled {
    /// Writes images and labels of one batch.
    pub fn write(&self, engine: &mut Engine, program: usize, indices: &[u32], variation: Variation) {
        write_images(engine, program, &self.images, indices, variation);
        let labels: Vec<u32> = indices.iter().map(|&index| self.labels[index as usize]).collect();
        engine.write_integers(program, names::LABELS, &labels);
    }
}
