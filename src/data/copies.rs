//! Photographs that stand in a data set twice: files with the same bytes, and pictures that look the same.
//!
//! Pictures are compared by 256 bits each: whether each of the lowest frequencies of the brightness, reduced to 32 x 32
//! values, is above their median. A hash of 64 bits, as is common, does not tell fundus photographs apart: of 1.9 million
//! pairs of different ones of the ODIR set, 1,227 had the same dHash, and 6 the same pHash.

use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;

use blake3::Hash;
use image::RgbImage;

use crate::data::dataset::{Example, Split};
use crate::error::Error;

/// Bits of a picture's hash that a copy may have different. Of 300 ODIR photographs, none went above it when it was saved
/// anew as JPEG of quality 75, halved, enlarged by half or made a tenth brighter, each by itself (18 did when brighter). Of
/// 1.9 million pairs of different photographs none is below 16.
const MOST_BITS: u32 = 14;
/// Side of the reduced picture, and of the square of its lowest frequencies.
const REDUCED: usize = 32;
const KEPT: usize = 16;
/// Least standard deviation of the reduced picture's brightness, of 0..=255: less is a blank picture, and its bits are noise.
const LEAST_CONTRAST: f32 = 1.0;

/// What a photograph is recognised by.
#[derive(Clone, Copy, Debug)]
pub struct Print {
    bytes: Hash,
    /// None for a blank picture.
    look: Option<Look>,
}

type Look = [u64; KEPT * KEPT / 64];

impl Print {
    /// Of a file's bytes and the picture in it.
    pub fn of(bytes: &[u8], picture: &RgbImage) -> Print {
        Print { bytes: blake3::hash(bytes), look: look(picture) }
    }
}

/// One bit per frequency: whether it is above the median.
fn look(picture: &RgbImage) -> Option<Look> {
    static WAVES: OnceLock<Vec<[f32; REDUCED]>> = OnceLock::new();
    let wave = |frequency: usize| {
        let angle = |at: usize| std::f32::consts::PI / REDUCED as f32 * frequency as f32 * (at as f32 + 0.5);
        std::array::from_fn(|at| angle(at).cos())
    };
    let waves = WAVES.get_or_init(|| (0..KEPT).map(wave).collect());
    let bright = reduced(picture);
    let n = bright.as_flattened().len() as f32;
    let mean = bright.as_flattened().iter().sum::<f32>() / n;
    let variance = bright.as_flattened().iter().map(|value| (value - mean).powi(2)).sum::<f32>() / n;
    if variance < LEAST_CONTRAST.powi(2) {
        return None;
    }
    // The cosine transform along rows, then along columns.
    let product = |a: &[f32; REDUCED], b: &[f32; REDUCED]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let rows: Vec<Vec<f32>> = bright.iter().map(|row| waves.iter().map(|wave| product(row, wave)).collect()).collect();
    let mut frequencies = Vec::new();
    for vertical in waves {
        for horizontal in 0..KEPT {
            frequencies.push(product(&std::array::from_fn(|y| rows[y][horizontal]), vertical));
        }
    }
    // The first is the mean brightness, which says nothing.
    let mut sorted = frequencies[1..].to_vec();
    sorted.sort_by(f32::total_cmp);
    let median = sorted[sorted.len() / 2];
    let mut bits = Look::default();
    for (index, &value) in frequencies.iter().enumerate() {
        bits[index / 64] |= u64::from(value > median) << (index % 64);
    }
    Some(bits)
}

/// The brightness, 0..=255, averaged over equal areas to `REDUCED` x `REDUCED` values; `[y][x]`.
fn reduced(picture: &RgbImage) -> [[f32; REDUCED]; REDUCED] {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (columns, rows) = (shares(width), shares(height));
    let mut sums = [[0.0; REDUCED]; REDUCED];
    for (row, parts) in picture.as_raw().chunks_exact(width * 3).zip(&rows) {
        let mut line = [0.0; REDUCED];
        for (rgb, parts) in row.chunks_exact(3).zip(&columns) {
            let bright = 0.299 * f32::from(rgb[0]) + 0.587 * f32::from(rgb[1]) + 0.114 * f32::from(rgb[2]);
            parts.iter().for_each(|&(at, share)| line[at] += share * bright);
        }
        for &(at, share) in parts {
            sums[at].iter_mut().zip(line).for_each(|(sum, value)| *sum += share * value);
        }
    }
    sums
}

/// For each of `size` pixels in a line, the places among `REDUCED` equal ones that it is a part of, and its share of each.
fn shares(size: usize) -> Vec<Vec<(usize, f32)>> {
    let of_pixel = |pixel: usize| {
        // In units of which a place has `size` and a pixel `REDUCED`.
        let (from, to) = (pixel * REDUCED, (pixel + 1) * REDUCED);
        let share = |place: usize| to.min((place + 1) * size) - from.max(place * size);
        (from / size..to.div_ceil(size)).map(|place| (place, share(place) as f32 / size as f32)).collect()
    };
    (0..size).map(of_pixel).collect()
}

/// The photographs of a split, each with what it is recognised by; None for those that could not be read.
pub struct Printed<'a, P> {
    pub split: &'a Split,
    pub prints: &'a [Option<P>],
}

/// A photograph in its place.
#[derive(Clone, Copy)]
struct Place<'a> {
    split: &'a Split,
    example: &'a Example,
}

impl<'a> Place<'a> {
    /// How this one differs from an earlier one of the same picture.
    fn differences(self, earlier: Place) -> Vec<&'static str> {
        let (a, b) = (self.example, earlier.example);
        let found = [
            (self.split.csv != earlier.split.csv, "in another split"),
            (a.label != b.label, "with another label"),
            (a.id != b.id, "of another person"),
        ];
        found.into_iter().filter(|(differs, _)| *differs).map(|(_, what)| what).collect()
    }

    fn warning(self, earlier: Place<'a>, how: &str) -> String {
        let differences = match &self.differences(earlier)[..] {
            [] => String::new(),
            differences => format!(": {}", differences.join(", ")),
        };
        let (csv, line) = (earlier.split.csv.display(), earlier.example.line);
        let message = format!(
            "{} {how} {} ({csv}:{line}){differences}",
            self.example.path.display(),
            earlier.example.path.display()
        );
        Error::at(&self.split.csv, self.example.line, message).to_string()
    }
}

/// Files with the same bytes in two splits, or with two labels: what training should not have.
pub fn harmful(splits: &[Printed<Hash>]) -> Vec<String> {
    let (_, copies) = same_bytes(splits, |hash| *hash);
    let harmful = copies
        .iter()
        .filter(|(copy, first)| copy.split.csv != first.split.csv || copy.example.label != first.example.label);
    harmful.map(|(copy, first)| copy.warning(*first, SAME_BYTES)).collect()
}

const SAME_BYTES: &str = "has the same bytes as";

/// All files with the same bytes, and all pictures that look the same.
pub(super) fn all(splits: &[Printed<Print>]) -> Vec<String> {
    let (different, copies) = same_bytes(splits, |print| print.bytes);
    let mut warnings: Vec<String> = copies.iter().map(|(copy, first)| copy.warning(*first, SAME_BYTES)).collect();
    let seen: Vec<(Place, Look)> =
        different.into_iter().filter_map(|(place, print)| Some((place, print.look?))).collect();
    let looks: Vec<Look> = seen.iter().map(|(_, look)| *look).collect();
    warnings
        .extend(near(&looks).into_iter().map(|(copy, first)| seen[copy].0.warning(seen[first].0, "looks the same as")));
    warnings
}

/// The photographs that are different by their bytes, and each copy with the first that has its bytes. A file that is named
/// twice counts once.
#[expect(clippy::type_complexity)]
fn same_bytes<'a, P>(
    splits: &'a [Printed<'a, P>],
    bytes: impl Fn(&P) -> Hash,
) -> (Vec<(Place<'a>, &'a P)>, Vec<(Place<'a>, Place<'a>)>) {
    let (mut different, mut copies) = (Vec::new(), Vec::new());
    let mut paths: HashMap<&Path, ()> = HashMap::new();
    let mut first: HashMap<Hash, Place> = HashMap::new();
    for Printed { split, prints } in splits {
        for (example, print) in split.examples.iter().zip(*prints) {
            let Some(print) = print else { continue };
            let place = Place { split, example };
            if paths.insert(&example.path, ()).is_some() {
                continue;
            }
            match first.get(&bytes(print)) {
                Some(earlier) => copies.push((place, *earlier)),
                None => {
                    first.insert(bytes(print), place);
                    different.push((place, print));
                }
            }
        }
    }
    (different, copies)
}

/// Each picture that looks the same as an earlier one, with the one that it is most like.
///
/// The bits are dealt out to one more band than may differ: two that look the same have a band that is equal. So only
/// pictures with an equal band are compared.
fn near(looks: &[Look]) -> Vec<(usize, usize)> {
    const BANDS: usize = MOST_BITS as usize + 1;
    let mut nearest: HashMap<usize, (u32, usize)> = HashMap::new();
    let band = |look: &Look, band: usize| {
        let bits = (band..KEPT * KEPT).step_by(BANDS);
        bits.fold(0u32, |key, bit| key << 1 | (look[bit / 64] >> (bit % 64) & 1) as u32)
    };
    for number in 0..BANDS {
        let mut order: Vec<(u32, usize)> = looks.iter().map(|look| band(look, number)).zip(0..).collect();
        order.sort_unstable();
        for alike in order.chunk_by(|a, b| a.0 == b.0) {
            for (at, &(_, copy)) in alike.iter().enumerate() {
                for &(_, first) in &alike[..at] {
                    let bits = looks[copy].iter().zip(&looks[first]).map(|(a, b)| (a ^ b).count_ones()).sum();
                    if bits <= MOST_BITS {
                        let best = nearest.entry(copy).or_insert((bits, first));
                        *best = (*best).min((bits, first));
                    }
                }
            }
        }
    }
    let mut pairs: Vec<(usize, usize)> = nearest.into_iter().map(|(copy, (_, first))| (copy, first)).collect();
    pairs.sort_unstable();
    pairs
}
