//! Resizing as Pillow does it, bit for bit. (`fast_image_resize` is faster, but rounds its weights to fewer bits and is
//! up to 37 levels away when it enlarges.)

use image::RgbImage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::image_size::ImageSize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Resampling {
    /// One source pixel for each target pixel: Keras's default.
    Nearest,
    /// A window of three lobes, widened when the image shrinks.
    Lanczos,
}

/// `image` at another size, equal to Pillow's (before 13) `Image.resize((width, height), resampling)`.
pub fn resize(image: &RgbImage, size: ImageSize, resampling: Resampling) -> RgbImage {
    match resampling {
        Resampling::Nearest => nearest(image, size),
        Resampling::Lanczos => vertical(&horizontal(image, size.width), size.height),
    }
}

fn nearest(image: &RgbImage, ImageSize { height, width }: ImageSize) -> RgbImage {
    let rows = nearest_index(image.height() as usize, height);
    let columns = nearest_index(image.width() as usize, width);
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        *image.get_pixel(columns[x as usize] as u32, rows[y as usize] as u32)
    })
}

/// The source pixel of every target pixel along one axis. Pillow adds up the step instead of multiplying, and the
/// rounding of that sum decides at exact halves.
pub fn nearest_index(input: usize, output: usize) -> Vec<usize> {
    let step = input as f64 / output as f64;
    let mut position = 0.5 * step;
    let mut next = || {
        let index = (position as usize).min(input - 1);
        position += step;
        index
    };
    (0..output).map(|_| next()).collect()
}

/// The source pixels `first..first + weights.len()` that make one target pixel; weights are in units of 2^-22.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

const WEIGHT_BITS: u32 = 22;
/// Half the width of the window in target pixels.
const LOBES: f64 = 3.0;

fn taps(input: usize, output: usize) -> Vec<Taps> {
    let scale = input as f64 / output as f64;
    let filter_scale = scale.max(1.0);
    let support = LOBES * filter_scale;
    let taps_of = |target: usize| {
        let center = (target as f64 + 0.5) * scale;
        let first = (center - support + 0.5).max(0.0) as usize;
        let end = ((center + support + 0.5) as usize).min(input);
        let weight = |source: usize| lanczos((source as f64 - center + 0.5) * (1.0 / filter_scale));
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |w: &f64| (w / sum * f64::from(1 << WEIGHT_BITS)).round() as i32;
        Taps { first, weights: weights.iter().map(fixed).collect() }
    };
    (0..output).map(taps_of).collect()
}

fn lanczos(t: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI) };
    if (-LOBES..LOBES).contains(&t) { sinc(t) * sinc(t / LOBES) } else { 0.0 }
}

const HALF: i32 = 1 << (WEIGHT_BITS - 1);

fn to_byte(sum: i32) -> u8 {
    (sum >> WEIGHT_BITS).clamp(0, 255) as u8
}

fn horizontal(image: &RgbImage, width: usize) -> RgbImage {
    let (input, height) = (image.width() as usize, image.height() as usize);
    if input == width {
        return image.clone();
    }
    let taps = taps(input, width);
    let mut pixels = Vec::with_capacity(height * width * 3);
    for row in image.as_raw().chunks_exact(input * 3) {
        for Taps { first, weights } in &taps {
            let mut sums = [HALF; 3];
            for (pixel, &weight) in row[first * 3..].chunks_exact(3).zip(weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += weight * i32::from(value);
                }
            }
            pixels.extend(sums.map(to_byte));
        }
    }
    RgbImage::from_raw(width as u32, height as u32, pixels).expect("one pixel a target")
}

fn vertical(image: &RgbImage, height: usize) -> RgbImage {
    let (width, input) = (image.width() as usize, image.height() as usize);
    if input == height {
        return image.clone();
    }
    let mut pixels = Vec::with_capacity(height * width * 3);
    for Taps { first, weights } in taps(input, height) {
        let mut sums = vec![HALF; width * 3];
        for (row, weight) in image.as_raw().chunks_exact(width * 3).skip(first).zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += weight * i32::from(value);
            }
        }
        pixels.extend(sums.into_iter().map(to_byte));
    }
    RgbImage::from_raw(width as u32, height as u32, pixels).expect("one row a target")
}
