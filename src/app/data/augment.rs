//! Random affine maps, one a sample and epoch, as Keras's `ImageDataGenerator` draws them. The pixels are moved on the
//! device (`ops::augment`).

use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::image_size::ImageSize;
use crate::network::random::{Purpose, stream};

/// How far each parameter may be from neutral, either way. The default is the tutorial's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ranges {
    /// Rotation, in degrees.
    pub rotation: f64,
    /// Shift along the width, as a share of it.
    pub width_shift: f64,
    /// Shift along the height, as a share of it.
    pub height_shift: f64,
    /// Shear, in degrees, though many think it is a share: 0.1 does next to nothing.
    pub shear: f64,
    /// Zoom, as a share of the size, each axis on its own.
    pub zoom: f64,
    /// Whether half of the images are mirrored left to right.
    pub horizontal_flip: bool,
    /// Whether half of the images are mirrored top to bottom.
    pub vertical_flip: bool,
}

impl Default for Ranges {
    fn default() -> Ranges {
        Ranges {
            rotation: 5.0,
            width_shift: 0.05,
            height_shift: 0.05,
            shear: 0.1,
            zoom: 0.05,
            horizontal_flip: true,
            vertical_flip: true,
        }
    }
}

/// One drawn transform, with Keras's names: `theta` and `shear` in degrees; `tx`, `ty` in pixels, `tx` along the
/// columns of the output; `zx`, `zy` above 1 zoom out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transform {
    pub theta: f64,
    pub tx: f64,
    pub ty: f64,
    pub shear: f64,
    pub zx: f64,
    pub zy: f64,
    pub flip_horizontal: bool,
    pub flip_vertical: bool,
}

impl Default for Transform {
    /// The neutral transform.
    fn default() -> Transform {
        let (zx, zy) = (1.0, 1.0);
        Transform { theta: 0.0, tx: 0.0, ty: 0.0, shear: 0.0, zx, zy, flip_horizontal: false, flip_vertical: false }
    }
}

/// The transform of one sample in one epoch, all parameters uniform, drawn in Keras's order. Keras takes `tx` from the
/// height's range and the number of rows, although it then acts along the columns.
pub fn draw(ranges: &Ranges, seed: u64, epoch: u64, sample: u64, size: ImageSize) -> Transform {
    let mut rng = stream(seed, Purpose::Augmentation, epoch, sample);
    let mut within = |range: f64| range * (2.0 * rng.random::<f64>() - 1.0);
    Transform {
        theta: within(ranges.rotation),
        tx: within(ranges.height_shift) * size.height as f64,
        ty: within(ranges.width_shift) * size.width as f64,
        shear: within(ranges.shear),
        zx: 1.0 + within(ranges.zoom),
        zy: 1.0 + within(ranges.zoom),
        flip_horizontal: within(1.0) < 0.0 && ranges.horizontal_flip,
        flip_vertical: within(1.0) < 0.0 && ranges.vertical_flip,
    }
}

/// `[a, b, c, d, e, f]`: (x, y) to (a x + b y + c, d x + e y + f).
type Affine = [f64; 6];

/// First `inner`, then `outer`.
fn compose(outer: Affine, inner: Affine) -> Affine {
    let [a, b, c, d, e, f] = outer;
    let [p, q, r, s, t, u] = inner;
    [a * p + b * s, a * q + b * t, a * r + b * u + c, d * p + e * s, d * q + e * t, d * r + e * u + f]
}

impl Transform {
    /// The map from an output position (column, row) to the source position (column, row) that it
    /// shows: `column = m[0] column + m[1] row + m[2]`, `row = m[3] column + m[4] row + m[5]`. The
    /// neutral transform is exactly the identity.
    ///
    /// Rotation, shift, shear and zoom act about the image's centre. For images that are not square Keras swaps the
    /// two coordinates of that centre, and so does this. Keras flips the finished image, which is the same as looking
    /// up the mirrored output position.
    pub fn matrix(&self, ImageSize { height, width }: ImageSize) -> [f64; 6] {
        let (theta, shear) = (self.theta.to_radians(), self.shear.to_radians());
        let shift = |x: f64, y: f64| [1.0, 0.0, x, 0.0, 1.0, y];
        let rotation = [theta.cos(), -theta.sin(), 0.0, theta.sin(), theta.cos(), 0.0];
        let sheared = [1.0, -shear.sin(), 0.0, 0.0, shear.cos(), 0.0];
        let zoom = [self.zx, 0.0, 0.0, 0.0, self.zy, 0.0];
        let (first, second) = (height as f64 / 2.0 - 0.5, width as f64 / 2.0 - 0.5);
        let mirror = |flip: bool, n: usize| if flip { (-1.0, n as f64 - 1.0) } else { (1.0, 0.0) };
        let (sx, cx) = mirror(self.flip_horizontal, width);
        let (sy, cy) = mirror(self.flip_vertical, height);
        let flips = [sx, 0.0, cx, 0.0, sy, cy];
        [shift(first, second), rotation, shift(self.tx, self.ty), sheared, zoom, shift(-first, -second), flips]
            .into_iter()
            .reduce(compose)
            .expect("seven maps")
    }
}
