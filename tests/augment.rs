//! The input step on the device against the twin.

use crate::common::device::{self, prove};
use ocellus::engine::plan::Layout;
use ocellus::ops::augment::{CHANNELS, Problem, steps};
use ocellus::proof::doctor::trial::Trial;

fn run(p: Problem, pixels: &[u32], maps: &[f32]) -> Vec<f32> {
    let mut plan = device::plan(device::device().target(), p.batch, 2);
    let [pixels_id, maps_id] =
        [plan.integers("pixels", &[p.batch, p.height, p.width]), plan.kept("maps", &[p.batch, 2, 4], Layout::Rows)];
    let y = plan.kept_activation("y", &[p.batch, p.height, p.width, CHANNELS]);
    steps::forward(&mut plan, "input", p, pixels_id, maps_id, y);
    let mut trial = Trial::load(device::device(), plan).unwrap();
    trial.write_integers("pixels", pixels);
    trial.write("maps", maps);
    trial.start().unwrap();
    trial.read("y").unwrap()
}

#[test]
fn forward() {
    prove("augment/forward");
}

#[test]
fn the_identity_copies_exactly() {
    let p = Problem { batch: 3, height: 6, width: 5 };
    let pixels: Vec<u32> = (0..90u32).map(|i| i.wrapping_mul(2_654_435_761)).collect();
    let y = run(p, &pixels, &[1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0].repeat(p.batch));
    let bytes = pixels.iter().flat_map(|pixel| pixel.to_le_bytes()[..3].to_vec());
    let want: Vec<f32> = bytes.map(|byte| f32::from(byte) * (1.0 / 255.0)).collect();
    assert_eq!(y, want);
}

#[test]
fn a_flip_mirrors_exactly() {
    let p = Problem { batch: 1, height: 2, width: 3 };
    let y = run(p, &[0, 51, 102, 153, 204, 255], &[-1.0, 0.0, 2.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    let red: Vec<f32> = y.iter().step_by(3).map(|number| (number * 255.0).round()).collect();
    assert_eq!(red, [102.0, 51.0, 0.0, 255.0, 204.0, 153.0]);
}
