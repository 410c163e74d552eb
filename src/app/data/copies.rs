//! Photographs that stand in a data set twice: files with the same bytes, and pictures that look
//! the same.
//!
//! Pictures are compared by 256 bits each: whether each of the lowest frequencies of the
//! brightness, reduced to 32 x 32 values, is above their median. A hash of 64 bits, as is common,
//! does not tell fundus photographs apart: of 1.9 million pairs of different ones of the ODIR set,
//! 1,227 had the same dHash, and 6 the same pHash. Of pairs with nearly the same bits the colours
//! are compared, too: photographs out of focus are a bright disc, whatever they show.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::OnceLock;

use blake3::Hash;
use image::RgbImage;
use rayon::prelude::*;

use crate::app::bars::LongBar;
use crate::app::data::examples::{Example, Split};
use crate::error::Error;

/// Bits of a picture's hash that a copy may have different.
const MOST_BITS: u32 = 18;
/// Most by which the colours of a copy may differ, as a share of their contrast. Those of 300 ODIR
/// photographs differed by 0.056 at most when they were saved anew as JPEG of quality 30,
/// stretched, halved or made a tenth brighter. Those of different photographs with nearly the same
/// bits differed by 0.22 at least.
const MOST_DIFFERENCE: f32 = 0.1;
/// Side of the reduced picture, of the square of its lowest frequencies, and of the picture whose
/// colours are compared.
const REDUCED: usize = 32;
const KEPT: usize = 16;
const COLOURS: usize = 8;
/// Least standard deviation of the reduced picture's brightness, of 0..=255: less is a blank
/// picture, and its bits are noise.
const LEAST_CONTRAST: f32 = 1.0;

/// Fingerprint by which a photograph is recognised.
#[derive(Clone, Copy, Debug)]
pub struct Print {
    bytes: Hash,
    /// None for a blank picture.
    look: Option<Look>,
}

/// Features by which a picture is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Look {
    /// One bit per frequency: whether it is above the median.
    bits: [u64; KEPT * KEPT / 64],
    /// Red, green and blue of a very small picture.
    colours: [[u8; 3]; COLOURS * COLOURS],
}

impl Print {
    /// Of a file's bytes and the picture in it.
    pub fn of(bytes: &[u8], picture: &RgbImage) -> Print {
        Print { bytes: blake3::hash(bytes), look: Look::of(picture) }
    }
}

impl Look {
    /// None for a blank picture.
    fn of(picture: &RgbImage) -> Option<Look> {
        let reduced = reduced(picture);
        let bright: Vec<[f32; REDUCED]> =
            reduced.iter().map(|row| row.map(|[r, g, b]| 0.299 * r + 0.587 * g + 0.114 * b)).collect();
        if contrast(bright.as_flattened().iter().copied()) < LEAST_CONTRAST * REDUCED as f32 {
            return None;
        }
        let frequencies = frequencies(&bright);
        // The first is the mean brightness, which says nothing.
        let mut sorted = frequencies[1..].to_vec();
        sorted.sort_by(f32::total_cmp);
        let median = sorted[sorted.len() / 2];
        let mut bits = [0; _];
        for (index, &value) in frequencies.iter().enumerate() {
            bits[index / 64] |= u64::from(value > median) << (index % 64);
        }
        const PART: usize = REDUCED / COLOURS;
        let colours = std::array::from_fn(|at| {
            let (y, x) = (at / COLOURS * PART, at % COLOURS * PART);
            let part = || reduced[y..y + PART].iter().flat_map(|row| &row[x..x + PART]);
            std::array::from_fn(|colour| {
                (part().map(|rgb| rgb[colour]).sum::<f32>() / (PART * PART) as f32).round() as u8
            })
        });
        Some(Look { bits, colours })
    }

    fn different_bits(&self, other: &Look) -> u32 {
        self.bits.iter().zip(other.bits).map(|(a, b)| (a ^ b).count_ones()).sum()
    }

    /// By how much colours differ, whatever the brightness and contrast of the whole: 0 are the
    /// same, 2 the opposite.
    fn difference(&self, other: &Look) -> f32 {
        let [a, b] = [self, other].map(|look| {
            let colours: Vec<f32> = look.colours.as_flattened().iter().map(|&value| f32::from(value)).collect();
            let mean = colours.iter().sum::<f32>() / colours.len() as f32;
            let contrast = contrast(colours.iter().copied());
            colours.into_iter().map(move |value| (value - mean) / contrast)
        });
        a.zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt()
    }

    fn is_copy_of(&self, other: &Look) -> bool {
        self.different_bits(other) <= MOST_BITS && self.difference(other) <= MOST_DIFFERENCE
    }
}

/// The root of the sum of squares around the mean.
fn contrast(values: impl ExactSizeIterator<Item = f32> + Clone) -> f32 {
    let mean = values.clone().sum::<f32>() / values.len() as f32;
    values.map(|value| (value - mean).powi(2)).sum::<f32>().sqrt()
}

/// The lowest frequencies of the cosine transform, `[KEPT, KEPT]`.
fn frequencies(bright: &[[f32; REDUCED]]) -> Vec<f32> {
    static WAVES: OnceLock<Vec<[f32; REDUCED]>> = OnceLock::new();
    let wave = |frequency: usize| {
        let angle = |at: usize| std::f32::consts::PI / REDUCED as f32 * frequency as f32 * (at as f32 + 0.5);
        std::array::from_fn(|at| angle(at).cos())
    };
    let waves = WAVES.get_or_init(|| (0..KEPT).map(wave).collect());
    let product = |a: &[f32; REDUCED], b: &[f32; REDUCED]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    // Along rows, then along columns.
    let rows: Vec<Vec<f32>> = bright.iter().map(|row| waves.iter().map(|wave| product(row, wave)).collect()).collect();
    let columns: Vec<[f32; REDUCED]> = (0..KEPT).map(|x| std::array::from_fn(|y| rows[y][x])).collect();
    waves.iter().flat_map(|wave| columns.iter().map(move |column| product(column, wave))).collect()
}

/// Red, green and blue, 0..=255, averaged over equal areas to `REDUCED` x `REDUCED` values;
/// `[y][x]`.
fn reduced(picture: &RgbImage) -> [[[f32; 3]; REDUCED]; REDUCED] {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (columns, rows) = (shares(width), shares(height));
    let mut sums = [[[0.0; 3]; REDUCED]; REDUCED];
    for (row, parts) in picture.as_raw().chunks_exact(width * 3).zip(&rows) {
        let mut line = [[0.0; 3]; REDUCED];
        for (rgb, parts) in row.chunks_exact(3).zip(&columns) {
            for &(at, share) in parts {
                line[at].iter_mut().zip(rgb).for_each(|(sum, &value)| *sum += share * f32::from(value));
            }
        }
        for &(at, share) in parts {
            sums[at]
                .as_flattened_mut()
                .iter_mut()
                .zip(line.as_flattened())
                .for_each(|(sum, value)| *sum += share * value);
        }
    }
    sums
}

/// For each of `size` pixels in a line, the places among `REDUCED` equal ones that it is a part of,
/// and its share of each.
fn shares(size: usize) -> Vec<Vec<(usize, f32)>> {
    let of_pixel = |pixel: usize| {
        // In units of which a place has `size` and a pixel `REDUCED`.
        let (from, to) = (pixel * REDUCED, (pixel + 1) * REDUCED);
        let share = |place: usize| to.min((place + 1) * size) - from.max(place * size);
        (from / size..to.div_ceil(size)).map(|place| (place, share(place) as f32 / size as f32)).collect()
    };
    (0..size).map(of_pixel).collect()
}

/// The photographs of a split, each with what it is recognised by; None for those that could not be
/// read.
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
    let copies = Files::of(splits, |hash| *hash).copies.into_iter();
    let is_harmful =
        |(copy, first): &(Place, Place)| copy.split.csv != first.split.csv || copy.example.label != first.example.label;
    copies.filter(is_harmful).map(|(copy, first)| copy.warning(first, SAME_BYTES)).collect()
}

const SAME_BYTES: &str = "has the same bytes as";

/// All files with the same bytes, and all pictures that look the same.
pub(super) fn all(splits: &[Printed<Print>]) -> Vec<String> {
    let Files { different, copies } = Files::of(splits, |print| print.bytes);
    let mut warnings: Vec<String> = copies.into_iter().map(|(copy, first)| copy.warning(first, SAME_BYTES)).collect();
    let (places, looks): (Vec<Place>, Vec<Look>) =
        different.into_iter().filter_map(|(place, print)| Some((place, print.look?))).unzip();
    let near = near(&looks).into_iter();
    warnings.extend(near.map(|(copy, first)| places[copy].warning(places[first], "looks the same as")));
    warnings
}

/// The files of all splits; one that is named twice counts once.
struct Files<'a, P> {
    different: Vec<(Place<'a>, &'a P)>,
    /// Each copy, with the first file that has its bytes.
    copies: Vec<(Place<'a>, Place<'a>)>,
}

impl<'a, P> Files<'a, P> {
    fn of(splits: &'a [Printed<'a, P>], bytes: impl Fn(&P) -> Hash) -> Files<'a, P> {
        let mut files = Files { different: Vec::new(), copies: Vec::new() };
        let mut paths: HashSet<&Path> = HashSet::new();
        let mut first: HashMap<Hash, Place> = HashMap::new();
        for Printed { split, prints } in splits {
            for (example, print) in split.examples.iter().zip(*prints) {
                let Some(print) = print else { continue };
                if !paths.insert(&example.path) {
                    continue;
                }
                let place = Place { split, example };
                match first.entry(bytes(print)) {
                    Entry::Occupied(earlier) => files.copies.push((place, *earlier.get())),
                    Entry::Vacant(free) => {
                        free.insert(place);
                        files.different.push((place, print));
                    }
                }
            }
        }
        files
    }
}

/// Each picture that looks the same as an earlier one, with the one that it is most like.
///
/// The bits are dealt out to one more band than may differ: two that look the same have a band that
/// is equal. So only pictures with an equal band are compared, and of those that are equal in
/// everything only the first: a set may have one picture, as of a lens cap, any number of times.
fn near(looks: &[Look]) -> Vec<(usize, usize)> {
    const BANDS: usize = MOST_BITS as usize + 1;
    let band = |look: &Look, band: usize| {
        let bits = (band..KEPT * KEPT).step_by(BANDS);
        bits.fold(0u32, |key, bit| key << 1 | (look.bits[bit / 64] >> (bit % 64) & 1) as u32)
    };
    let mut first_equal: HashMap<&Look, usize> = HashMap::new();
    let equals: Vec<usize> =
        looks.iter().enumerate().map(|(at, look)| *first_equal.entry(look).or_insert(at)).collect();
    let different: Vec<usize> = (0..looks.len()).filter(|&at| equals[at] == at).collect();
    let bar = LongBar::new("Comparing photographs", BANDS * different.len());
    let of_band = |number: usize| {
        let mut nearest: HashMap<usize, (u32, usize)> = HashMap::new();
        let mut order: Vec<(u32, usize)> = different.iter().map(|&at| (band(&looks[at], number), at)).collect();
        order.sort_unstable();
        for alike in order.chunk_by(|a, b| a.0 == b.0) {
            bar.add(alike.len());
            for (at, &(_, copy)) in alike.iter().enumerate() {
                for &(_, first) in &alike[..at] {
                    if looks[copy].is_copy_of(&looks[first]) {
                        let bits = looks[copy].different_bits(&looks[first]);
                        let best = nearest.entry(copy).or_insert((bits, first));
                        *best = (*best).min((bits, first));
                    }
                }
            }
        }
        nearest
    };
    let of_bands: Vec<HashMap<usize, (u32, usize)>> = (0..BANDS).into_par_iter().map(of_band).collect();
    let mut nearest: HashMap<usize, (u32, usize)> = HashMap::new();
    for (copy, found) in of_bands.into_iter().flatten() {
        let best = nearest.entry(copy).or_insert(found);
        *best = (*best).min(found);
    }
    let most_like = |at: usize| match (nearest.get(&at), equals[at]) {
        (found, first) if first == at => found.map(|&(_, first)| first),
        // One of which the first differs in colours alone comes before that first.
        (_, first) => Some(nearest.get(&first).filter(|(bits, _)| *bits == 0).map_or(first, |&(_, first)| first)),
    };
    (0..looks.len()).filter_map(|copy| Some((copy, most_like(copy)?))).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Pictures by chance: some equal, some with other bits, some with other colours, some with both.
    #[test]
    fn each_copy_is_of_the_picture_that_it_is_most_like() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut looks: Vec<Look> = Vec::new();
        for _ in 0..8 {
            let colours = std::array::from_fn(|_| std::array::from_fn(|_| random.random_range(0..200)));
            looks.push(Look { bits: std::array::from_fn(|_| random.random()), colours });
        }
        for _ in 0..600 {
            let mut look = looks[random.random_range(0..looks.len())];
            if random.random_bool(0.5) {
                (0..random.random_range(0..12))
                    .for_each(|_| look.bits[random.random_range(0..4)] ^= 1 << random.random_range(0..64));
            }
            if random.random_bool(0.3) {
                (0..random.random_range(0..4))
                    .for_each(|_| look.colours[random.random_range(0..64)][0] += random.random_range(0..4));
            }
            looks.push(look);
        }
        let all_pairs = (0..looks.len()).filter_map(|copy| {
            let earlier = (0..copy).filter(|&first| looks[copy].is_copy_of(&looks[first]));
            let (_, first) = earlier.map(|first| (looks[copy].different_bits(&looks[first]), first)).min()?;
            Some((copy, first))
        });
        let wanted: Vec<(usize, usize)> = all_pairs.collect();
        assert!(wanted.len() > 300, "{}", wanted.len());
        assert_eq!(near(&looks), wanted);
    }
}
