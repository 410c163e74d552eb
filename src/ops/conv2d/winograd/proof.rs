//! Cases of Winograd convolution: forward, both gradients at once, and that of the input beside a direct one of the
//! weights; and the moments that forward leaves.

use crate::engine::plan::{Layout, Plan, Shares, Target};
use crate::engine::shape::Padding;
use crate::engine::variant::{Algorithm, Pass, Tile};
use crate::ops::case::{Case, empty_plan, parallel, with};
use crate::ops::conv2d::proof::{forward_in, of_statistics, statistics_in};
use crate::ops::conv2d::{Problem, steps};

/// One convolution, and how its batch is cut.
#[derive(Clone, Copy)]
struct Size {
    p: Problem,
    /// How many images of the batch fit a window.
    images: usize,
    /// How many images' transformed tensors fit a binding, where fewer than a window has.
    transformed: Option<usize>,
}

fn sizes() -> [Size; 7] {
    let size = |input, cout, images, transformed| Size {
        p: Problem::new(input, cout, [3, 3], [1, 1], Padding::Same),
        images,
        transformed,
    };
    [
        size([2, 7, 9, 33], 5, 1, None),
        size([1, 1, 1, 1], 1, 1, None),
        size([3, 2, 3, 5], 3, 2, None),
        size([2, 8, 12, 4], 65, 2, None),
        size([5, 13, 10, 8], 36, 3, None),
        // Sums over many channels are sums of sums.
        size([1, 4, 5, 528], 520, 1, None),
        // A sum over many tiles is cut into parts, and chunks of images add up.
        size([3, 56, 50, 4], 4, 3, Some(2)),
    ]
}

fn empty(target: &Target, algorithm: Algorithm, Size { p, images, transformed }: Size) -> Plan {
    let tile = algorithm.tile(Pass::DataGradient).expect("a way of computing in tiles");
    let tiled = super::Problem::new(&p, tile).expect("the one kind of convolution that tiles compute");
    let bytes = |images: usize| super::stack_bytes(tiled.points(), [images * tiled.tiles(), tiled.cin.max(tiled.cout)]);
    let binding_bytes = transformed.map_or(target.binding_bytes, bytes);
    let target = with(&parallel(target, 64), algorithm);
    empty_plan(&Target { binding_bytes, ..target }, p.batch, images)
}

fn forward(target: &Target, tile: Tile, size: Size) -> Plan {
    forward_in(empty(target, Algorithm::Winograd(tile), size), size.p)
}

fn backward(target: &Target, algorithm: Algorithm, size: Size) -> Plan {
    let (mut plan, p) = (empty(target, algorithm, size), size.p);
    let [x, dx] = ["x", "dx"].map(|name| plan.kept_activation(name, &p.input_shape()));
    let dy = plan.kept_activation("dy", &p.output_shape());
    let [w, dw] = ["w", "dw"].map(|name| plan.kept(name, &p.weight_shape(), Layout::Matrix));
    steps::backward(&mut plan, "conv", p, steps::Backward { x, dy, w, dw: Some(dw), dx: Some(dx) });
    plan
}

/// Forward, and statistics from the moments that it leaves; the batch in so many shares, and the output in half precision or not.
fn statistics(target: &Target, tile: Tile, size: Size, shares: usize, halves: bool) -> Plan {
    let target = Target { shares: Shares::all(shares), half_activations: halves, ..target.clone() };
    statistics_in(empty(&target, Algorithm::Winograd(tile), size), size.p)
}

/// Cases of the moments that forward leaves.
pub fn statistics_cases() -> Vec<Case> {
    let [ragged, single, narrow, columns, wide, _, long] = sizes();
    // So many blocks that runs of them are merged first, where tiles are of 2 x 2.
    let many = Problem::new([2, 90, 96, 1], 64, [3, 3], [1, 1], Padding::Same);
    let many = Size { p: many, images: 1, transformed: None };
    let of_all = [
        (ragged, 2, false),
        (Size { images: 2, ..ragged }, 1, true),
        (many, 2, false),
        (single, 1, false),
        (narrow, 1, false),
        (columns, 1, false),
        (wide, 5, true),
        (long, 1, false),
    ];
    let mut cases = Vec::new();
    for tile in Tile::ALL {
        let [.., name] = names(tile);
        for (number, (size, shares, halves)) in of_all.into_iter().enumerate() {
            let stored = if halves { ", halves" } else { "" };
            let about = format!(
                "{:?} to {}, {} a window, {shares} shares{stored}",
                size.p.input_shape(),
                size.p.cout,
                size.images
            );
            let case = of_statistics(name, about, size.p, move |t| statistics(t, tile, size, shares, halves));
            cases.push(case.telling_if(number < 3));
        }
    }
    cases
}

/// Names of the passes of a tile; each pass is several kernels.
const fn names(tile: Tile) -> [&'static str; 4] {
    match tile {
        Tile::Two => [
            "winograd F(2x2) forward",
            "winograd F(2x2) backward",
            "winograd F(2x2) data gradient",
            "winograd F(2x2) statistics",
        ],
        Tile::Four => [
            "winograd F(4x4) forward",
            "winograd F(4x4) backward",
            "winograd F(4x4) data gradient",
            "winograd F(4x4) statistics",
        ],
    }
}

pub fn cases() -> Vec<Case> {
    Tile::ALL.into_iter().flat_map(cases_of).chain(statistics_cases()).collect()
}

pub fn cases_of(tile: Tile) -> Vec<Case> {
    let mut cases = Vec::new();
    let [forward_name, backward_name, data_name, _] = names(tile);
    let [both, data] = [Algorithm::Winograd(tile), Algorithm::WinogradImages(tile)];
    for (number, size) in sizes().into_iter().enumerate() {
        let about = format!("{:?} to {}, {} a window", size.p.input_shape(), size.p.cout, size.images);
        let forward = Case::new(forward_name, &about, move |t| forward(t, tile, size)).uniform(&["x", "w", "bias"]);
        let [backward, data] = [(backward_name, both), (data_name, data)].map(|(name, algorithm)| {
            Case::new(name, &about, move |t| backward(t, algorithm, size)).uniform(&["x", "dy", "w"])
        });
        cases.extend([forward, backward, data].map(|case| case.telling_if(number == 0)));
    }
    cases
}
