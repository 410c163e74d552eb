//! Cases of the input step.

use super::{CHANNELS, IDENTITY, Problem, steps};
use crate::engine::numbers::uniform;
use crate::engine::plan::{Layout, Plan, Target};
use crate::ops::case::{Case, Expect, empty_plan, folding};

fn forward(target: &Target, p: Problem, images: usize) -> Plan {
    let mut plan = empty_plan(target, p.batch, images);
    let pixels = plan.integers("pixels", &[p.batch, p.height, p.width]);
    let maps = plan.kept("maps", &[p.batch, 2, 4], Layout::Rows);
    let y = plan.kept_activation("y", &[p.batch, p.height, p.width, CHANNELS]);
    steps::forward(&mut plan, "input", p, pixels, maps, y);
    plan
}

/// Three random bytes per pixel; the fourth is set, and must have no effect.
pub fn pixels(p: Problem) -> Vec<u32> {
    let bytes = uniform(1, p.batch * p.height * p.width * CHANNELS);
    let byte = |number: &f32| (number.abs() * 256.0) as u32;
    bytes.chunks_exact(3).map(|c| byte(&c[0]) | byte(&c[1]) << 8 | byte(&c[2]) << 16 | 0xff << 24).collect()
}

/// Maps that turn, shear, stretch and shift by up to half the image, so that some positions lie outside it.
pub fn maps(p: Problem) -> Vec<f32> {
    let numbers = uniform(2, p.batch * 8);
    let (width, height) = (p.width as f32, p.height as f32);
    let map = |r: &[f32]| {
        [1.0 + r[0] / 2.0, r[1] / 2.0, r[2] * width / 2.0, 0.0, r[4] / 2.0, 1.0 + r[5] / 2.0, r[6] * height / 2.0, 0.0]
    };
    numbers.chunks_exact(8).flat_map(map).collect()
}

pub fn cases() -> Vec<Case> {
    let case = |p: Problem, images: usize, folded: bool| {
        let about = format!("[{}, {}, {}], {images} a window", p.batch, p.height, p.width);
        let build = move |t: &Target| forward(&if folded { folding(t, 4) } else { t.clone() }, p, images);
        Case::new("augment/forward", about, build)
            .round("affine maps", Expect::Bounded, move |inputs| {
                inputs.write_integers("pixels", &pixels(p));
                inputs.write("maps", &maps(p));
            })
            .round("the identity", Expect::Bounded, move |inputs| inputs.write("maps", &IDENTITY.repeat(p.batch)))
            .telling_if(true)
    };
    let sizes = [(1, 1, 1, 1), (5, 7, 9, 2), (3, 16, 12, 1), (4, 33, 31, 3), (2, 72, 56, 1), (2, 33, 95, 2)];
    let sized = sizes.map(|(batch, height, width, images)| case(Problem { batch, height, width }, images, false));
    // 2,640 pixels are 11 workgroups.
    let folded = case(Problem { batch: 2, height: 40, width: 33 }, 2, true);
    sized.into_iter().chain([folded]).collect()
}
