//! Steps of the input: from packed 8-bit pixels to numbers in 0..1.

use super::{Problem, bound, twin};
use crate::engine::plan::{Plan, Step, TensorId, Window};
use crate::engine::shader::Work;
use crate::engine::tensor::Values;
use crate::kernel;

/// `y [batch, height, width, 3]` from `pixels [batch, height, width]` (red in the lowest byte) and `maps [batch, 2, 4]`:
/// for each image the factors of (column, row, 1) that make the source column, then those of the source row.
pub fn forward(plan: &mut Plan, name: &str, p: Problem, pixels: TensorId, maps: TensorId, y: TensorId) {
    let step = |window: &Window| {
        let count = window.images * p.height * p.width;
        Step {
            name: name.into(),
            kernel: kernel!("augment/forward"),
            constants: vec![
                ("FIRST_IMAGE", window.first.into()),
                ("HEIGHT", p.height.into()),
                ("WIDTH", p.width.into()),
            ],
            bindings: vec![("pixels", pixels.into()), ("maps", maps.into()), ("y", y.window(window))],
            work: Work::each(count),
            flops: 40 * count as u64,
        }
    };
    let steps = plan.windows.iter().map(step).collect();
    let twin = move |t: &mut Values| {
        let rgb: Vec<u8> = t.integers(pixels).iter().flat_map(|pixel| pixel.to_le_bytes()[..3].to_vec()).collect();
        let maps: Vec<[f64; 6]> = t.get(maps).chunks_exact(8).map(|m| [m[0], m[1], m[2], m[4], m[5], m[6]]).collect();
        t.set(y, twin::forward(&p, &rgb, &maps));
    };
    plan.node(name, steps, twin, move |given| bound::forward(given, &p, maps, y));
}
