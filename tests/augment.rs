//! The input step on the device against the twin.

mod common;

use common::bounds::ULP;
use common::device::{self, Both};
use common::{assert_close, uniform};
use ocellus::ops::augment::{CHANNELS, Problem, gpu};
use ocellus::plan::{Layout, Target};

const IDENTITY: [f32; 8] = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0];

fn load(target: &Target, p: Problem, images: usize) -> Both {
    Both::load(|| {
        let mut plan = device::plan(target.clone(), p.batch, images);
        let pixels = plan.integers("pixels", &[p.batch, p.height, p.width]);
        let maps = plan.kept("maps", &[p.batch, 2, 4], Layout::Rows);
        let y = plan.kept_activation("y", &[p.batch, p.height, p.width, CHANNELS]);
        gpu::forward(&mut plan, "input", p, pixels, maps, y);
        plan
    })
}

/// Three random bytes a pixel; the fourth, of which nothing may come through, is set.
fn pixels(p: Problem) -> Vec<u32> {
    let bytes = uniform(1, p.batch * p.height * p.width * CHANNELS);
    let byte = |number: &f32| (number.abs() * 256.0) as u32;
    bytes.chunks_exact(3).map(|c| byte(&c[0]) | byte(&c[1]) << 8 | byte(&c[2]) << 16 | 0xff << 24).collect()
}

/// Maps that turn, shear, stretch and shift by up to half the image, so that some positions lie outside it.
fn maps(p: Problem) -> Vec<f32> {
    let numbers = uniform(2, p.batch * 8);
    let (width, height) = (p.width as f32, p.height as f32);
    let map = |r: &[f32]| {
        [1.0 + r[0] / 2.0, r[1] / 2.0, r[2] * width / 2.0, 0.0, r[4] / 2.0, 1.0 + r[5] / 2.0, r[6] * height / 2.0, 0.0]
    };
    numbers.chunks_exact(8).flat_map(map).collect()
}

/// The result is continuous in the source position and changes by 1 a pixel at most, so it strays no more than the
/// positions do: three roundings of products and two of sums, of numbers no larger than the sum of the absolute terms.
/// The three interpolations of numbers in 0..1 and the division by 255 add up to seven roundings.
fn check(target: &Target, p: Problem, images: usize) {
    let mut both = load(target, p, images);
    let maps = maps(p);
    both.write_integers("pixels", &pixels(p));
    both.write("maps", &maps);
    both.run();
    let image = p.height * p.width * CHANNELS;
    let share = assert_close(&format!("{p:?}"), &both.gpu("y"), &both.twin("y"), |i| {
        let reach: f32 = (0..2)
            .map(|axis| &maps[i / image * 8 + axis * 4..][..3])
            .map(|row| row[0].abs() * p.width as f32 + row[1].abs() * p.height as f32 + row[2].abs())
            .sum();
        (2.5 * f64::from(reach) + 3.5) * ULP
    });
    println!("{p:?}: worst error {share:.3} of its bound");
}

#[test]
fn forward() {
    let target = device::device().target();
    for (batch, height, width, images) in [(1, 1, 1, 1), (5, 7, 9, 2), (3, 16, 12, 1), (4, 33, 31, 3)] {
        check(&target, Problem { batch, height, width }, images);
    }
    // 2,640 pixels are 11 workgroups.
    check(&device::folding(4), Problem { batch: 2, height: 40, width: 33 }, 2);
}

#[test]
fn the_identity_copies_exactly() {
    let p = Problem { batch: 3, height: 6, width: 5 };
    let mut both = load(&device::device().target(), p, 2);
    let pixels = pixels(p);
    both.write_integers("pixels", &pixels);
    both.write("maps", &IDENTITY.repeat(p.batch));
    both.run();
    let bytes = pixels.iter().flat_map(|pixel| pixel.to_le_bytes()[..3].to_vec());
    let want: Vec<f32> = bytes.map(|byte| f32::from(byte) * (1.0 / 255.0)).collect();
    assert_eq!(both.gpu("y"), want);
}

#[test]
fn a_flip_mirrors_exactly() {
    let p = Problem { batch: 1, height: 2, width: 3 };
    let mut both = load(&device::device().target(), p, 1);
    both.write_integers("pixels", &[0, 51, 102, 153, 204, 255]);
    both.write("maps", &[-1.0, 0.0, 2.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    both.run();
    let red: Vec<f32> = both.gpu("y").iter().step_by(3).map(|number| (number * 255.0).round()).collect();
    assert_eq!(red, [102.0, 51.0, 0.0, 255.0, 204.0, 153.0]);
}
