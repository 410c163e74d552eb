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
    let mut resizing = Resizing::new(image.dimensions(), size, resampling);
    resizing.add(image.as_raw());
    resizing.end()
}

/// An image on its way to another size, of whose rows only those are in memory, and in the new width, that the new ones
/// are made of.
pub struct Resizing {
    size: ImageSize,
    /// Of the image, in pixels.
    width: usize,
    /// Rows so far.
    count: usize,
    horizontal: Horizontal,
    /// Rows of the new width, `[rows, width, 3]`.
    pixels: Vec<u8>,
}

/// Way of a row to its new width.
enum Horizontal {
    /// Source pixels of the columns, and source rows.
    Nearest { columns: Vec<usize>, rows: Vec<usize> },
    /// All rows; without taps they stay as wide as they are.
    Lanczos { taps: Option<Vec<Taps>> },
}

impl Resizing {
    /// Of an image of this width and height.
    pub fn new((width, height): (u32, u32), size: ImageSize, resampling: Resampling) -> Resizing {
        let (width, height) = (width as usize, height as usize);
        let (horizontal, rows) = match resampling {
            Resampling::Nearest => {
                let rows = nearest_index(height, size.height);
                (Horizontal::Nearest { columns: nearest_index(width, size.width), rows }, size.height)
            }
            Resampling::Lanczos => {
                (Horizontal::Lanczos { taps: (width != size.width).then(|| taps(width, size.width)) }, height)
            }
        };
        Resizing { size, width, count: 0, horizontal, pixels: Vec::with_capacity(rows * size.width * 3) }
    }

    /// Takes the image's next rows, `[rows, width, 3]`.
    pub fn add(&mut self, rows: &[u8]) {
        for row in rows.chunks_exact(self.width * 3) {
            match &self.horizontal {
                Horizontal::Nearest { columns, rows } => {
                    // One row of a small image may become several.
                    while rows.get(self.pixels.len() / (self.size.width * 3)) == Some(&self.count) {
                        columns.iter().for_each(|column| self.pixels.extend_from_slice(&row[column * 3..][..3]));
                    }
                }
                Horizontal::Lanczos { taps: Some(taps) } => horizontal(row, taps, &mut self.pixels),
                Horizontal::Lanczos { taps: None } => self.pixels.extend_from_slice(row),
            }
            self.count += 1;
        }
    }

    /// The new image, once all rows are there.
    pub fn end(self) -> RgbImage {
        let ImageSize { height, width } = self.size;
        let pixels = match self.horizontal {
            Horizontal::Lanczos { .. } if self.count != height => vertical(&self.pixels, self.count, self.size),
            _ => self.pixels,
        };
        RgbImage::from_raw(width as u32, height as u32, pixels).expect("all rows are there")
    }
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

/// Appends a row in its new width.
fn horizontal(row: &[u8], taps: &[Taps], pixels: &mut Vec<u8>) {
    for Taps { first, weights } in taps {
        let mut sums = [HALF; 3];
        for (pixel, &weight) in row[first * 3..].chunks_exact(3).zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += weight * i32::from(value);
            }
        }
        pixels.extend(sums.map(to_byte));
    }
}

/// `input` rows of the new width, in the new number.
fn vertical(rows: &[u8], input: usize, ImageSize { height, width }: ImageSize) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(height * width * 3);
    for Taps { first, weights } in taps(input, height) {
        let mut sums = vec![HALF; width * 3];
        for (row, weight) in rows.chunks_exact(width * 3).skip(first).zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += weight * i32::from(value);
            }
        }
        pixels.extend(sums.into_iter().map(to_byte));
    }
    pixels
}
