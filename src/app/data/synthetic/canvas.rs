//! One drawing primitive, the soft capsule. Round spots, vessels, folds and shadows are all made of it, in lengths
//! relative to the photograph, so that the same marks can be drawn at any resolution.

use image::Rgb32FImage;

use crate::engine::image_size::ImageSize;

/// A position; x to the right, y down.
pub type Point = [f32; 2];
/// Red, green, blue, each 0..1.
pub type Colour = [f32; 3];

/// All points within `radius` of the line from `from` to `to`: a round spot when both are the same.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    from: Point,
    to: Point,
    radius: f32,
    colour: Colour,
    /// Half the width of the fading edge as a fraction of `radius`; 1 fades all the way from the middle line.
    softness: f32,
    opacity: f32,
}

impl Mark {
    pub fn stroke(from: Point, to: Point, radius: f32, colour: Colour) -> Mark {
        Mark { from, to, radius, colour, softness: 0.2, opacity: 1.0 }
    }

    pub fn spot(centre: Point, radius: f32, colour: Colour) -> Mark {
        Mark::stroke(centre, centre, radius, colour)
    }

    pub fn soft(self, softness: f32) -> Mark {
        Mark { softness, ..self }
    }

    pub fn opacity(self, opacity: f32) -> Mark {
        Mark { opacity, ..self }
    }
}

/// From the coordinates in which marks are given to pixels: mirror, shift, turn, scale. These keep circles round, so
/// a mark stays a capsule.
#[derive(Clone, Copy, Debug)]
pub struct View {
    mirrored: bool,
    gaze: Point,
    turn: Point,
    /// Pixels of a length of 1.
    pub scale: f32,
    centre: Point,
}

impl View {
    /// The photograph's own coordinates, for what lies in the camera: (0, 0) is the middle, 1 half the shorter side.
    pub fn camera(size: ImageSize) -> View {
        let ImageSize { height, width } = size;
        let [scale, x, y] = [size.shorter(), width, height].map(|side| side as f32 / 2.0);
        View { mirrored: false, gaze: [0.0, 0.0], turn: [1.0, 0.0], scale, centre: [x, y] }
    }

    /// An eye that looks so that `gaze` (in the eye's coordinates) comes to the middle; `angle` in radians.
    pub fn eye(size: ImageSize, mirrored: bool, gaze: Point, angle: f32, zoom: f32) -> View {
        let camera = View::camera(size);
        View { mirrored, gaze, turn: [angle.cos(), angle.sin()], scale: camera.scale * zoom, ..camera }
    }

    /// Where the middle of a pixel is in the camera's coordinates.
    pub fn in_camera(&self, column: u32, row: u32) -> Point {
        let [x, y] = self.centre;
        [(column as f32 + 0.5) / self.scale - x / self.scale, (row as f32 + 0.5) / self.scale - y / self.scale]
    }

    fn pixel(&self, point: Point) -> Point {
        let x = (point[0] - self.gaze[0]) * if self.mirrored { -1.0 } else { 1.0 };
        let y = point[1] - self.gaze[1];
        let [cos, sin] = self.turn;
        [self.centre[0] + self.scale * (cos * x - sin * y), self.centre[1] + self.scale * (sin * x + cos * y)]
    }
}

/// Blends one mark over the picture.
pub fn draw(picture: &mut Rgb32FImage, view: &View, mark: &Mark) {
    let (from, to) = (view.pixel(mark.from), view.pixel(mark.to));
    let radius = mark.radius * view.scale;
    // An edge of at least a pixel is the anti-aliasing; what is thinner than a pixel is paler instead.
    let half_edge = (mark.softness * radius).max(0.5);
    let opacity = mark.opacity * (radius / half_edge).min(1.0);
    let reach = radius + half_edge;

    let range = |axis: usize, length: u32| {
        let low = (from[axis].min(to[axis]) - reach).floor().max(0.0) as u32;
        let high = (from[axis].max(to[axis]) + reach).ceil().clamp(0.0, length as f32) as u32;
        low..high
    };
    let along = [to[0] - from[0], to[1] - from[1]];
    let length_squared = (along[0] * along[0] + along[1] * along[1]).max(f32::MIN_POSITIVE);
    let (columns, rows) = (range(0, picture.width()), range(1, picture.height()));
    for row in rows {
        for column in columns.clone() {
            let x = column as f32 + 0.5 - from[0];
            let y = row as f32 + 0.5 - from[1];
            let t = ((x * along[0] + y * along[1]) / length_squared).clamp(0.0, 1.0);
            let distance = (x - t * along[0]).hypot(y - t * along[1]);
            let alpha = opacity * smoothstep((reach - distance) / (2.0 * half_edge));
            for (channel, colour) in picture.get_pixel_mut(column, row).0.iter_mut().zip(mark.colour) {
                *channel += alpha * (colour - *channel);
            }
        }
    }
}

/// 0 up to 0, 1 from 1, smooth between.
pub fn smoothstep(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
