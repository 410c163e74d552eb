//! Bounds of the input step.

use super::{Bounds, ULP};
use crate::doctor::operation::Operation;

/// The result is continuous in the source position and changes by 1 a pixel at most, so it strays no more than the
/// positions do: three roundings of products and two of sums, of numbers no larger than the sum of the absolute terms.
/// The three interpolations of numbers in 0..1 and the division by 255 add up to seven roundings.
pub fn forward(op: &Operation) -> Bounds {
    let &[batch, height, width] = op.shape("pixels") else { panic!("pixels are [batch, height, width]") };
    let (maps, y) = (op.input("maps"), op.output("y"));
    let image = y.len() / batch;
    let reach = |sample: usize| {
        let rows = maps[sample * 8..][..8].chunks_exact(4);
        rows.map(|row| row[0].abs() * width as f64 + row[1].abs() * height as f64 + row[2].abs()).sum::<f64>()
    };
    let bound = |i: usize| (5.0 * reach(i / image) + 7.0) * ULP;
    [(op.id("y"), (0..y.len()).map(bound).collect())].into()
}
