//! Inference over any number of images.

use crate::data::decode::Images;
use crate::engine::Engine;
use crate::error::Result;
use crate::plan::network::names;
use crate::train::feed::{Variation, write_images};

/// Class probabilities `[images, classes]` from an inference plan whose weights are in place. The last batch is filled
/// up with its last image; what that adds is dropped.
pub fn probabilities(
    engine: &mut Engine,
    program: usize,
    images: &Images,
    mut progress: impl FnMut(usize),
) -> Result<Vec<f32>> {
    let batch = engine.plan(program).batch;
    let mut all = Vec::new();
    let count = images.count as u32;
    engine.write_integers(program, names::LABELS, &vec![0; batch]);
    let classes =
        engine.plan(program).tensor(engine.plan(program).find(names::LOGITS).expect("plans have logits")).shape[1];
    engine.write(program, names::CLASS_WEIGHT, &vec![1.0; classes]);
    for first in (0..count).step_by(batch) {
        let indices: Vec<u32> = (first..first + batch as u32).map(|index| index.min(count - 1)).collect();
        write_images(engine, program, images, &indices, Variation::None);
        let running = engine.start(program);
        engine.finish(running)?;
        all.extend(engine.read(program, names::PROBABILITIES)?);
        progress(batch.min((count - first) as usize));
    }
    all.truncate(images.count * classes);
    Ok(all)
}

/// The most probable class of each row; the lowest of equals.
pub fn top_classes(probabilities: &[f32], classes: usize) -> Vec<usize> {
    let top = |row: &[f32]| (1..classes).fold(0, |best, class| if row[class] > row[best] { class } else { best });
    probabilities.chunks_exact(classes).map(top).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_of_equals_wins() {
        assert_eq!(top_classes(&[0.4, 0.4, 0.2, 0.1, 0.2, 0.7], 3), [0, 2]);
    }
}
