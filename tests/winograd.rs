//! Winograd convolution: its matrices against the twins of the convolution, its kernels within bounds made of them.

use crate::common::assert_close;
use crate::common::device::prove;
use ocellus::engine::numbers::{uniform, widen};
use ocellus::engine::shape::Padding;
use ocellus::engine::variant::Tile;
use ocellus::ops::conv2d;
use ocellus::ops::conv2d::winograd::Problem;
use ocellus::ops::conv2d::winograd::twin::{self, Matrices};

#[test]
fn forward() {
    prove("winograd F(2x2) forward");
    prove("winograd F(4x4) forward");
}

#[test]
fn backward() {
    prove("winograd F(2x2) backward");
    prove("winograd F(4x4) backward");
}

#[test]
fn data_gradient() {
    prove("winograd F(2x2) data gradient");
    prove("winograd F(4x4) data gradient");
}

#[test]
fn statistics() {
    prove("winograd F(2x2) statistics");
    prove("winograd F(4x4) statistics");
}

fn problems() -> Vec<conv2d::Problem> {
    [([1, 1, 1, 1], 1), ([3, 2, 3, 5], 3), ([2, 7, 9, 33], 5), ([2, 8, 12, 4], 65), ([5, 13, 10, 8], 36)]
        .map(|(input, cout)| conv2d::Problem::new(input, cout, [3, 3], [1, 1], Padding::Same))
        .to_vec()
}

/// The matrices are right: in f64 the tiles give what the convolution's twins give.
#[test]
fn matrices_compute_the_convolution() {
    for tile in Tile::ALL {
        let matrices = Matrices::of(tile);
        for p in problems() {
            let tiled = Problem::new(&p, tile).unwrap();
            let make = |seed, shape: [usize; 4]| widen(&uniform(seed, shape.iter().product()));
            let (x, w, dy) = (make(1, p.input_shape()), make(2, p.weight_shape()), make(3, p.output_shape()));
            let channels = [p.cin, p.cout];
            let close = |what: &str, got: &[f64], want: &[f64]| {
                assert_close(&format!("{what} {p:?} {tile:?}"), got, want, |_| 1e-11);
            };
            close("y", &twin::forward(&tiled, &matrices, &x, &w, channels), &conv2d::twin::forward(&p, &x, &w, None));
            let dx = conv2d::twin::data_gradient(&p, &dy, &w);
            close("dx", &twin::data_gradient(&tiled, &matrices, &dy, &w, channels), &dx);
            let dw = conv2d::twin::weight_gradient(&p, &x, &dy);
            close("dw", &twin::weight_gradient(&tiled, &matrices, &x, &dy, channels), &dw);
        }
    }
}
