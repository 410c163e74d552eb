//! The passes in f64, tile by tile, with the transforms written as the matrices that they stand for. They compute what
//! the twins of the convolution do; with absolute numbers and with squares, what bounds on rounding errors are made of.

use super::Problem;
use crate::engine::variant::Tile;

/// `bt [points, points]`, `g [points, 3]`, `at [outputs, points]`, of one axis, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrices {
    pub bt: Vec<f64>,
    pub g: Vec<f64>,
    pub at: Vec<f64>,
}

impl Matrices {
    pub fn of(tile: Tile) -> Matrices {
        match tile {
            Tile::Two => Matrices {
                bt: vec![1., 0., -1., 0., 0., 1., 1., 0., 0., -1., 1., 0., 0., -1., 0., 1.],
                g: vec![1., 0., 0., 0.5, 0.5, 0.5, 0.5, -0.5, 0.5, 0., 0., 1.],
                at: vec![1., 1., 1., 0., 0., 1., -1., 1.],
            },
            Tile::Four => Matrices::at_points(0.75, 1.5),
        }
    }

    /// F(4 x 4, 3 x 3) by the points 0, +-a, +-b and infinity. With `N(p)` the product of `p - r` over the other points
    /// r, a row of `g` is `[1, p, p^2] / N(p)`, a column of `at` the powers of p, and a row of `bt` the coefficients of
    /// the product of `x - r` (Lavin & Gray 2016, after Toom and Cook).
    fn at_points(a: f64, b: f64) -> Matrices {
        let points = [0.0, a, -a, b, -b];
        let product_without = |skipped: Option<usize>| {
            let mut coefficients = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
            for (_, root) in points.into_iter().enumerate().filter(|(i, _)| Some(*i) != skipped) {
                for degree in (0..6).rev() {
                    let lower = if degree > 0 { coefficients[degree - 1] } else { 0.0 };
                    coefficients[degree] = lower - root * coefficients[degree];
                }
            }
            coefficients
        };
        let value = |coefficients: [f64; 6], x: f64| coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c);
        let (mut bt, mut g) = (Vec::new(), Vec::new());
        for (i, point) in points.into_iter().enumerate() {
            let row = product_without(Some(i));
            bt.extend(row);
            g.extend([1.0, point, point * point].map(|power| power / value(row, point)));
        }
        bt.extend(product_without(None));
        g.extend([0.0, 0.0, 1.0]);
        let power = |row: i32| points.map(|point: f64| point.powi(row)).into_iter().chain([f64::from(row == 3)]);
        Matrices { bt, g, at: (0..4).flat_map(power).collect() }
    }

    /// Every entry changed: with `absolute` and on absolute inputs, a pass returns the sum of the
    /// absolute values of the terms of each result, and with squares that of their squares: what
    /// bounds on the rounding error are made of.
    pub fn map(&self, change: impl Fn(&[f64]) -> Vec<f64>) -> Matrices {
        Matrices { bt: change(&self.bt), g: change(&self.g), at: change(&self.at) }
    }
}

/// `L X LT`, where `l` is `[rows, n]` and `x` `[n, n]`; or, transposed, `LT X L` with `x` `[rows, rows]`.
fn sandwich(l: &[f64], n: usize, x: &[f64], transposed: bool) -> Vec<f64> {
    let rows = l.len() / n;
    let at = |i: usize, k: usize| if transposed { l[k * n + i] } else { l[i * n + k] };
    let (out, inner) = if transposed { (n, rows) } else { (rows, n) };
    let mut left = vec![0.0; out * inner];
    for i in 0..out {
        for j in 0..inner {
            left[i * inner + j] = (0..inner).map(|k| at(i, k) * x[k * inner + j]).sum();
        }
    }
    let mut result = vec![0.0; out * out];
    for i in 0..out {
        for j in 0..out {
            result[i * out + j] = (0..inner).map(|k| left[i * inner + k] * at(j, k)).sum();
        }
    }
    result
}

/// Transforms every tile of a tensor `[batch, height, width, channels]`: `[tile][channel]` of `transform(pixels)`, where
/// the pixels are `size x size` from `before` pixels up and left of the tile's outputs, zero outside the image.
fn gather(
    p: &Problem,
    tensor: &[f64],
    channels: usize,
    before: usize,
    size: usize,
    transform: impl Fn(&[f64]) -> Vec<f64>,
) -> Vec<Vec<f64>> {
    let batch = tensor.len() / (p.height * p.width * channels);
    let mut out = Vec::new();
    for tile in 0..batch * p.tiles() {
        for channel in 0..channels {
            let mut pixels = vec![0.0; size * size];
            for (i, at) in inside(p, tile, before, size) {
                pixels[i] = tensor[at * channels + channel];
            }
            out.push(transform(&pixels));
        }
    }
    out
}

/// The inverse: adds the pixels of every tile to a tensor of zeros.
fn scatter(p: &Problem, tiles: &[Vec<f64>], batch: usize, channels: usize, before: usize) -> Vec<f64> {
    let mut tensor = vec![0.0; batch * p.height * p.width * channels];
    for (number, pixels) in tiles.iter().enumerate() {
        let (tile, channel) = (number / channels, number % channels);
        for (i, at) in inside(p, tile, before, pixels.len().isqrt()) {
            tensor[at * channels + channel] += pixels[i];
        }
    }
    tensor
}

/// Which of a tile's pixels lie inside the image, and where there.
fn inside(p: &Problem, tile: usize, before: usize, size: usize) -> impl Iterator<Item = (usize, usize)> {
    let Problem { height, width, .. } = *p;
    let image = tile / p.tiles();
    let [top, left] = [tile / p.tiles_x() % p.tiles_y(), tile % p.tiles_x()].map(|i| i * p.tile.outputs());
    (0..size * size).filter_map(move |i| {
        let y = (top + i / size).checked_sub(before).filter(|&y| y < height)?;
        let x = (left + i % size).checked_sub(before).filter(|&x| x < width)?;
        Some((i, (image * height + y) * width + x))
    })
}

/// The transformed factors of all three passes, of the unpadded channels: `v [tile][cin]`, `u [cin][cout]`,
/// `z [tile][cout]`, each of `points^2` numbers.
fn transform_input(p: &Problem, m: &Matrices, x: &[f64], cin: usize) -> Vec<Vec<f64>> {
    let points = p.tile.points();
    gather(p, x, cin, 1, points, |pixels| sandwich(&m.bt, points, pixels, false))
}

fn transform_weights(m: &Matrices, w: &[f64]) -> Vec<Vec<f64>> {
    let count = w.len() / 9;
    (0..count).map(|i| sandwich(&m.g, 3, &(0..9).map(|tap| w[tap * count + i]).collect::<Vec<_>>(), false)).collect()
}

fn transform_gradient(p: &Problem, m: &Matrices, dy: &[f64], cout: usize) -> Vec<Vec<f64>> {
    gather(p, dy, cout, 0, p.tile.outputs(), |pixels| sandwich(&m.at, p.tile.points(), pixels, true))
}

/// `out += a * b`, point by point.
fn add_product(out: &mut [f64], a: &[f64], b: &[f64]) {
    for (out, (a, b)) in out.iter_mut().zip(a.iter().zip(b)) {
        *out += a * b;
    }
}

/// `y [batch, height, width, cout]` without the bias; the channel counts are those of `x` and `w`, unpadded.
pub fn forward(p: &Problem, m: &Matrices, x: &[f64], w: &[f64], [cin, cout]: [usize; 2]) -> Vec<f64> {
    let (v, u) = (transform_input(p, m, x, cin), transform_weights(m, w));
    let mut y = Vec::new();
    for v in v.chunks_exact(cin) {
        for o in 0..cout {
            let mut sum = vec![0.0; p.points()];
            (0..cin).for_each(|i| add_product(&mut sum, &v[i], &u[i * cout + o]));
            y.push(sandwich(&m.at, p.tile.points(), &sum, false));
        }
    }
    scatter(p, &y, x.len() / (p.height * p.width * cin), cout, 0)
}

/// `dx [batch, height, width, cin]`.
pub fn data_gradient(p: &Problem, m: &Matrices, dy: &[f64], w: &[f64], [cin, cout]: [usize; 2]) -> Vec<f64> {
    let (z, u) = (transform_gradient(p, m, dy, cout), transform_weights(m, w));
    let mut dx = Vec::new();
    for z in z.chunks_exact(cout) {
        for i in 0..cin {
            let mut sum = vec![0.0; p.points()];
            (0..cout).for_each(|o| add_product(&mut sum, &z[o], &u[i * cout + o]));
            dx.push(sandwich(&m.bt, p.tile.points(), &sum, true));
        }
    }
    scatter(p, &dx, dy.len() / (p.height * p.width * cout), cin, 1)
}

/// `dw [3, 3, cin, cout]`.
pub fn weight_gradient(p: &Problem, m: &Matrices, x: &[f64], dy: &[f64], [cin, cout]: [usize; 2]) -> Vec<f64> {
    let (v, z) = (transform_input(p, m, x, cin), transform_gradient(p, m, dy, cout));
    let mut dw = vec![0.0; 9 * cin * cout];
    for i in 0..cin {
        for o in 0..cout {
            let mut sum = vec![0.0; p.points()];
            v.chunks_exact(cin).zip(z.chunks_exact(cout)).for_each(|(v, z)| add_product(&mut sum, &v[i], &z[o]));
            for (tap, value) in sandwich(&m.g, 3, &sum, true).into_iter().enumerate() {
                dw[tap * cin * cout + i * cout + o] = value;
            }
        }
    }
    dw
}
