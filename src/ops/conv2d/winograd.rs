//! Winograd's minimal filtering for 3 x 3 convolutions with stride 1 and `same` padding (Winograd 1980; Lavin & Gray
//! 2016): tiles of m x m outputs by (m + 2)^2 products a channel pair instead of 9 m^2.
//!
//! Each of the three passes is: transform both factors, one matrix product a point, transform back. The two gradients
//! run through the transposes of the forward transforms, so the transformed weights `U` serve forward and data gradient,
//! and the transformed gradient `Z` both gradients:
//! `y = AT (V U) A`, `dx = B (Z U) BT`, `dw = GT (V Z) G` with `V = BT x B`, `U = G w GT`, `Z = A dy AT`.

pub mod bound;
pub mod proof;
pub mod steps;
pub mod twin;

use crate::engine::tensor::TensorId;
use std::ops::Range;

use crate::engine::plan::Window;
use crate::engine::shader::Constants;
use crate::engine::shape::padded;
use crate::engine::variant::Tile;
use crate::ops::conv2d;
use crate::shader;

impl Tile {
    pub fn library(self) -> &'static str {
        match self {
            Tile::Two => shader!("lib/winograd2"),
            Tile::Four => shader!("lib/winograd4"),
        }
    }
}

/// Rows and vec4 columns of a block (`shaders/lib/blocks.wgsl`).
const BLOCK_ROWS: usize = 16;
const BLOCK_WIDTH: usize = 16;

/// A run of images of one batch window, as many as the transformed tensors may hold at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Counted within the window.
    pub first: usize,
    pub images: usize,
}

/// A convolution cut into tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    pub tile: Tile,
    pub height: usize,
    pub width: usize,
    /// Channels as stored.
    pub cin: usize,
    pub cout: usize,
}

impl Problem {
    /// None where the convolution is not of the one kind that these tiles compute.
    pub fn new(p: &conv2d::Problem, tile: Tile) -> Option<Problem> {
        let fits = |axis: &crate::engine::shape::Axis| {
            axis.kernel == 3 && axis.stride == 1 && axis.before == 1 && axis.output == axis.input
        };
        (fits(&p.rows) && fits(&p.columns)).then(|| Problem {
            tile,
            height: p.rows.input,
            width: p.columns.input,
            cin: padded(p.cin),
            cout: padded(p.cout),
        })
    }

    pub fn points(&self) -> usize {
        self.tile.points() * self.tile.points()
    }

    pub fn tiles_y(&self) -> usize {
        self.height.div_ceil(self.tile.outputs())
    }

    pub fn tiles_x(&self) -> usize {
        self.width.div_ceil(self.tile.outputs())
    }

    /// Tiles of one image.
    pub fn tiles(&self) -> usize {
        self.tiles_y() * self.tiles_x()
    }

    /// The runs of images of a window whose transformed tensors take that many bytes at most: they are read right after
    /// they are written, best while a cache still has them.
    pub fn chunks(&self, window: &Window, bytes: u64) -> Vec<Chunk> {
        let channels = self.cin.max(self.cout);
        let fits = |images: usize| {
            let size = [self.tiles() * images, channels];
            stack_bytes(self.points(), size) <= bytes
        };
        let most = (1..=window.images).rev().find(|&images| fits(images)).unwrap_or(1);
        let even = window.images.div_ceil(window.images.div_ceil(most));
        let chunk = |first| Chunk { first, images: even.min(window.images - first) };
        (0..window.images).step_by(even).map(chunk).collect()
    }

    /// Columns of the points, as many at a time as let a binding of that size hold what belongs to the weights.
    pub fn bands(&self, binding_bytes: u64) -> Vec<Range<usize>> {
        let points = self.tile.points();
        let fits = |columns: usize| stack_bytes(columns * points, [self.cin, self.cout]) <= binding_bytes;
        let most = (1..=points).rev().find(|&columns| fits(columns)).unwrap_or(1);
        let even = points.div_ceil(points.div_ceil(most));
        (0..points).step_by(even).map(|first| first..points.min(first + even)).collect()
    }

    /// Multiply-adds of one pass over that many images, without the transforms.
    pub fn products(&self, images: usize) -> u64 {
        (self.points() * self.tiles() * images) as u64 * (self.cin * self.cout) as u64
    }

    /// Numbers of the transformed input, output and weights, for that many images.
    pub fn transformed(&self, images: usize) -> [u64; 3] {
        let tiles = self.tiles() * images;
        [tiles * self.cin, tiles * self.cout, self.cin * self.cout].map(|numbers| (self.points() * numbers) as u64)
    }
}

/// The shape of a stack of so many matrices of `rows x columns`, as `shaders/lib/blocks.wgsl` lays it out.
fn stack_shape(points: usize, [rows, columns]: [usize; 2]) -> [usize; 2] {
    [points, rows.next_multiple_of(BLOCK_ROWS) * columns.next_multiple_of(columns.min(4 * BLOCK_WIDTH))]
}

/// The blocks, for `lib/blocks.wgsl`.
fn blocks() -> Constants {
    vec![("BLOCK_ROWS", BLOCK_ROWS.into()), ("BLOCK_WIDTH", BLOCK_WIDTH.into())]
}

/// Bytes of a stack of `points` matrices of `size`.
pub fn stack_bytes(points: usize, size: [usize; 2]) -> u64 {
    4 * stack_shape(points, size).iter().product::<usize>() as u64
}

/// Tensors that a pass over the batch reads and writes; shapes as in `conv2d::Problem`.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    pub x: TensorId,
    pub w: TensorId,
    pub bias: TensorId,
    pub y: TensorId,
    /// Whether a batch norm takes the moments of `y`, where the kernel that writes it can leave them (`ops/moments.rs`).
    pub moments: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Backward {
    pub x: TensorId,
    pub dy: TensorId,
    pub w: TensorId,
    /// Left out where nothing needs them.
    pub dw: Option<TensorId>,
    pub dx: Option<TensorId>,
}
