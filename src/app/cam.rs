//! Class activation maps (Zhou et al. 2016): which parts of a photograph speak for a class. All
//! layers after the global average pool are linear, so a class's logit is the mean over the
//! positions of a weighted sum of the features there, plus a constant: the map of these sums is
//! exact, not an approximation by gradients.

use image::imageops::{FilterType, thumbnail};
use image::{ImageBuffer, Luma, Rgb, RgbImage, imageops};
use plotters::style::colors::colormaps::{ColorMap, ViridisRGB};

use crate::app::checkpoint::Tensor;
use crate::engine::image_size::ImageSize;
use crate::network::{LinearHead, Network};

/// The layers after the global average pool as one linear map.
#[derive(Clone, Debug)]
pub struct Head {
    /// Of the features.
    size: ImageSize,
    channels: usize,
    classes: usize,
    /// `[channels, classes]`: the product of the dense kernels.
    weights: Vec<f64>,
    /// `[classes]`: what the biases add to the logits.
    pub constant: Vec<f64>,
}

/// Contribution of each position to the logit of one class, times the number of positions: the mean
/// of `values` is the logit without its constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// Positions along each side.
    pub size: ImageSize,
    pub values: Vec<f32>,
}

impl Head {
    /// `None` where the network has no linear head, so that no map is exact. Panics when a tensor is missing.
    pub fn of(network: &Network, tensors: &[Tensor]) -> Option<Head> {
        let LinearHead { pool, dense } = network.linear_head()?;
        let [height, width, channels] = network.layers[pool].input()[..] else { panic!("a pool of images") };
        let mut weights: Vec<f64> = (0..channels * channels).map(|i| f64::from(i % (channels + 1) == 0)).collect();
        let (mut constant, mut inputs) = (vec![0.0; channels], channels);
        for layer in dense.into_iter().map(|index| &network.layers[index]) {
            let units = layer.output[0];
            let find = |suffix: &str| {
                let name = format!("{}.{suffix}", layer.name);
                &tensors.iter().find(|tensor| tensor.name == name).expect("all tensors are there").data
            };
            weights = product(&weights, find("kernel"), inputs, units);
            constant = product(&constant, find("kernel"), inputs, units);
            constant.iter_mut().zip(find("bias")).for_each(|(sum, &bias)| *sum += f64::from(bias));
            inputs = units;
        }
        Some(Head { size: ImageSize { height, width }, channels, classes: network.classes, weights, constant })
    }

    /// The map of one class from the features of one image, `[height, width, channels]`.
    pub fn map(&self, features: &[f32], class: usize) -> Map {
        let weights = self.weights.iter().skip(class).step_by(self.classes);
        let at = |position: &[f32]| {
            position.iter().zip(weights.clone()).map(|(&feature, weight)| f64::from(feature) * weight).sum::<f64>()
        };
        let values = features.chunks_exact(self.channels).map(|position| at(position) as f32).collect();
        Map { size: self.size, values }
    }

    /// `[channels, classes]`: how much each feature adds to each logit, times the number of positions.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Positions along each side of a map.
    pub fn size(&self) -> ImageSize {
        self.size
    }

    /// Positions of a map. A map of a single one says nothing.
    pub fn positions(&self) -> usize {
        self.size.pixels()
    }

    /// Numbers in the features of one image.
    pub fn features(&self) -> usize {
        self.positions() * self.channels
    }
}

/// `[rows, inputs]` times `[inputs, outputs]`.
fn product(a: &[f64], b: &[f32], inputs: usize, outputs: usize) -> Vec<f64> {
    let row = |row: &[f64]| {
        let mut sums = vec![0.0; outputs];
        for (&factor, weights) in row.iter().zip(b.chunks_exact(outputs)) {
            sums.iter_mut().zip(weights).for_each(|(sum, &weight)| *sum += factor * f64::from(weight));
        }
        sums
    };
    a.chunks_exact(inputs).flat_map(row).collect()
}

/// Longest side of a picture that shows a map.
pub const LONGEST_SIDE: u32 = 1024;
/// How much of the photograph the strongest part of the map hides.
pub const STRONGEST: f32 = 0.65;

/// The map over the photograph it belongs to, which is made smaller if it is large. What speaks against the class and
/// what is neutral shows the bare photograph; the strongest position of this map is bright yellow. The colours are
/// viridis, whose order all kinds of colour vision see.
pub fn overlay(photograph: &RgbImage, map: &Map) -> RgbImage {
    let mut picture = shrunk(photograph, LONGEST_SIDE);

    let largest = map.values.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let positive: Vec<f32> = map.values.iter().map(|value| value.max(0.0) / largest).collect();
    let ImageSize { height, width } = map.size;
    let small =
        ImageBuffer::<Luma<f32>, _>::from_raw(width as u32, height as u32, positive).expect("a value a position");
    let strength = imageops::resize(&small, picture.width(), picture.height(), FilterType::Triangle);
    for (Rgb(pixel), Luma([strength])) in picture.pixels_mut().zip(strength.pixels()) {
        for (channel, colour) in pixel.iter_mut().zip(colour(*strength)) {
            let share = STRONGEST * strength;
            *channel = ((1.0 - share) * f32::from(*channel) + share * f32::from(colour)).round() as u8;
        }
    }
    picture
}

/// The colour of a strength of 0..=1.
pub fn colour(strength: f32) -> [u8; 3] {
    let colour = ViridisRGB.get_color(strength);
    [colour.0, colour.1, colour.2]
}

/// A photograph whose longer side is `longest` pixels at most.
pub fn shrunk(photograph: &RgbImage, longest: u32) -> RgbImage {
    let (width, height) = photograph.dimensions();
    let shrink = f64::from(longest) / f64::from(width.max(height));
    let scaled = |side: u32| if shrink < 1.0 { ((f64::from(side) * shrink).round() as u32).max(1) } else { side };
    thumbnail(photograph, scaled(width), scaled(height))
}
