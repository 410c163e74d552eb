//! The camera: the same eye never looks the same twice.

use std::f32::consts::TAU;

use image::{Rgb, Rgb32FImage, RgbImage, imageops};
use rand::{Rng, RngExt};

use super::anatomy::polar;
use super::canvas::{Mark, View, draw, smoothstep};
use super::eye::Eye;
use crate::engine::image_size::ImageSize;

/// A photograph of one eye, which is as large as the shorter side; `left` mirrors it.
pub fn photograph(eye: &Eye, left: bool, size: ImageSize, rng: &mut impl Rng) -> RgbImage {
    let gaze = polar([0.2, 0.0], rng.random_range(0.0..TAU), rng.random_range(0.0..0.3));
    let view = View::eye(size, left, gaze, rng.random_range(-0.5..0.5), rng.random_range(0.9..1.15));
    let mut picture = Rgb32FImage::from_pixel(size.width as u32, size.height as u32, Rgb(eye.tint));
    for mark in &eye.marks {
        draw(&mut picture, &view, mark);
    }
    let sigma = size.shorter() as f32 * rng.random_range(0.001..0.006);
    let mut picture = imageops::blur(&picture, sigma);
    let camera = View::camera(size);
    dust(&mut picture, &camera, rng);
    expose(&picture, &camera, rng)
}

/// Soft bright and dark spots on the lens, and light that the iris throws back at the border.
fn dust(picture: &mut Rgb32FImage, camera: &View, rng: &mut impl Rng) {
    for _ in 0..rng.random_range(0..4) {
        let place = [rng.random_range(-0.9..0.9), rng.random_range(-0.9..0.9)];
        let colour = if rng.random_bool(0.5) { [0.9, 0.85, 0.75] } else { [0.2, 0.1, 0.08] };
        let mark = Mark::spot(place, rng.random_range(0.02..0.07), colour).soft(0.8);
        draw(picture, camera, &mark.opacity(rng.random_range(0.15..0.4)));
    }
    if rng.random_bool(0.6) {
        let angle = rng.random_range(0.0..TAU);
        let (from, to) = (polar([0.0, 0.0], angle, 1.0), polar([0.0, 0.0], angle + rng.random_range(0.3..1.0), 1.0));
        draw(picture, camera, &Mark::stroke(from, to, 0.25, [0.8, 0.72, 0.6]).soft(0.8).opacity(0.7));
    }
}

/// Light, colour, contrast, the round aperture and the sensor's noise.
fn expose(picture: &Rgb32FImage, camera: &View, rng: &mut impl Rng) -> RgbImage {
    let gains = [1.0, 1.0, 1.0].map(|gain: f32| gain * rng.random_range(0.9..1.1f32));
    let exposure = rng.random_range(0.7..1.35f32);
    let contrast = rng.random_range(0.85..1.15f32);
    let vignette = rng.random_range(0.15..0.45f32);
    let gradient = polar([0.0, 0.0], rng.random_range(0.0..TAU), rng.random_range(0.0..0.4));
    let aperture = rng.random_range(0.86..0.98f32);
    let noise = rng.random_range(0.005..0.02f32);
    RgbImage::from_fn(picture.width(), picture.height(), |column, row| {
        let [x, y] = camera.in_camera(column, row);
        let distance = x.hypot(y);
        let light = exposure * (1.0 - vignette * distance * distance) * (1.0 + gradient[0] * x + gradient[1] * y);
        let inside = smoothstep((aperture - distance) * camera.scale + 0.5);
        let pixel = picture.get_pixel(column, row).0;
        Rgb([0, 1, 2].map(|c| {
            let middle = 0.35;
            let value = (middle + contrast * (pixel[c] - middle)) * gains[c] * light * inside;
            // The sum of two even draws is bell-shaped enough.
            let grain = noise * (rng.random_range(-1.0..1.0f32) + rng.random_range(-1.0..1.0f32));
            ((value + grain) * 255.0).round().clamp(0.0, 255.0) as u8
        }))
    })
}
