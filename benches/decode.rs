//! Decoding of a JPEG photograph, file to pixels, at 192 x 192 and 2,000 x 1,500: `cargo bench --bench decode`.

use std::path::PathBuf;

use divan::Bencher;
use divan::counter::ItemsCount;
use image::{Rgb, RgbImage};
use ocellus::app::data::decode::open_image;

fn main() {
    divan::main();
}

/// A red disc with a bright spot, dark vessels and the noise of a sensor, from a black rim.
fn fundus(width: u32, height: u32) -> RgbImage {
    let (radius, mut state) = (0.48 * width.min(height) as f32, 1u32);
    RgbImage::from_fn(width, height, |x, y| {
        let (dx, dy) = ((x as f32 - width as f32 / 2.0) / radius, (y as f32 - height as f32 / 2.0) / radius);
        let distance = dx.hypot(dy);
        if distance > 1.0 {
            return Rgb([0; 3]);
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (state >> 24) as f32 / 32.0 - 4.0;
        let spot = 90.0 * (-((dx - 0.4).powi(2) + dy * dy) * 60.0).exp();
        let vessel = if ((dx * 9.0 + (dy * 7.0).sin()).fract().abs() < 0.06) && distance > 0.1 { 0.6 } else { 1.0 };
        let light = (1.0 - distance.powi(4)) * vessel;
        Rgb([190.0, 90.0, 40.0].map(|base| (base * light + spot + noise) as u8))
    })
}

/// A file of that photograph, and the folder that it is gone with.
fn photograph(width: u32, height: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photograph.jpg");
    fundus(width, height).save(&path).unwrap();
    (folder, path)
}

#[divan::bench(args = [(192, 192), (2000, 1500)], min_time = 2)]
fn jpeg(bencher: Bencher, (width, height): (u32, u32)) {
    let (_folder, path) = photograph(width, height);
    bencher.counter(ItemsCount::new(1u32)).bench(|| open_image(&path).unwrap());
}
