//! Bounds of the input step.

use super::{CHANNELS, Problem};
use crate::engine::bound::{Given, NEAREST, ULP, Uncertainties, Uncertainty};
use crate::engine::tensor::TensorId;

/// How far the source is moved to see how steep it is there, in pixels: so little that it seldom reaches the next pixel.
const STEP: f64 = 1e-3;

/// The result is continuous in the source position and changes by 1 a pixel at most, so it strays no more than the
/// positions do: three roundings of products and two of sums, of numbers no larger than the sum of the absolute terms.
/// The three interpolations of numbers in 0..1 and the division by 255 add up to seven roundings. The expected error takes
/// how steep the image is at the position from the twin, moved along each axis.
pub fn forward(given: &Given, p: &Problem, map_id: TensorId, y_id: TensorId) -> Uncertainties {
    let (height, width) = (p.height, p.width);
    let (maps, y) = (given.input(map_id), given.output(y_id));
    let moved = |axis: usize| {
        let shift = |maps: &[f64]| {
            let shifted = |(i, number): (usize, &f64)| number + if i % 8 == axis * 4 + 2 { STEP } else { 0.0 };
            maps.iter().enumerate().map(shifted).collect()
        };
        given.rerun(|id, numbers| if id == map_id { shift(numbers) } else { numbers.to_vec() }).get(y_id).to_vec()
    };
    let moved = [moved(0), moved(1)];
    let of = |i: usize| {
        let pixel = i / CHANNELS;
        let (row, column) = ((pixel / width % height) as f64, (pixel % width) as f64);
        let map = &maps[pixel / (height * width) * 8..][..8];
        let reach = |row: &[f64]| row[0].abs() * width as f64 + row[1].abs() * height as f64 + row[2].abs();
        let mut variance = 4.0 * NEAREST * y[i] * y[i];
        for (map, moved) in map.chunks_exact(4).zip(&moved) {
            let [a, b, c] = [map[0] * column, map[1] * row, map[2]];
            let position = NEAREST * (a * a + b * b + (a + b).powi(2) + (a + b + c).powi(2));
            variance += position * ((moved[i] - y[i]) / STEP).powi(2);
        }
        let reach = reach(&map[..4]) + reach(&map[4..]);
        Uncertainty { most: (5.0 * reach + 7.0) * ULP, variance, allowed: 0.0 }
    };
    [(y_id, (0..y.len()).map(of).collect())].into()
}
