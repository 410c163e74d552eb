//! The f64 twin of the augmentation kernel.

use super::{CHANNELS, Problem};

/// Bilinear look-up through an affine map, then a division by 255 (Keras's `apply_transform` and `rescale`).
///
/// `pixels [batch, height, width, 3]`; `maps [batch]`, each from an output (column, row) to a source (column, row) as
/// `Transform::matrix` returns it; the result is `[batch, height, width, 3]`. Source positions outside the image are
/// moved to its edge first, which repeats the edge pixels (Keras's fill mode `nearest`).
pub fn forward(p: &Problem, pixels: &[u8], maps: &[[f64; 6]]) -> Vec<f64> {
    let image = p.height * p.width * CHANNELS;
    assert_eq!((pixels.len(), maps.len()), (p.batch * image, p.batch), "one image and one map a sample");
    let mut output = Vec::with_capacity(pixels.len());
    for (source, [a, b, c, d, e, f]) in pixels.chunks_exact(image).zip(maps) {
        for row in 0..p.height {
            for column in 0..p.width {
                let (x, y) = (column as f64, row as f64);
                let (left, right, from_left) = neighbours(a * x + b * y + c, p.width);
                let (top, bottom, from_top) = neighbours(d * x + e * y + f, p.height);
                for channel in 0..CHANNELS {
                    let at = |row, column| f64::from(source[(row * p.width + column) * CHANNELS + channel]);
                    let upper = (1.0 - from_left) * at(top, left) + from_left * at(top, right);
                    let lower = (1.0 - from_left) * at(bottom, left) + from_left * at(bottom, right);
                    output.push(((1.0 - from_top) * upper + from_top * lower) / 255.0);
                }
            }
        }
    }
    output
}

/// The two pixels around a position on an axis of `n`, and how far it is from the first of them to the second.
fn neighbours(position: f64, n: usize) -> (usize, usize, f64) {
    let position = position.clamp(0.0, (n - 1) as f64);
    let first = position.floor();
    (first as usize, (first as usize + 1).min(n - 1), position - first)
}
