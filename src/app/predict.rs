//! Inference over any number of images.

use crate::app::cam::{Head, Map};
use crate::app::data::decode::Images;
use crate::app::train::feed::{Batch, Variation};
use crate::engine::plan::names;
use crate::engine::run::Engine;
use crate::error::{Error, Result};

/// Class probabilities `[images, classes]` from an inference plan whose weights are in place. `progress` gets the number
/// of images that a batch brought. `Error::NotFinite` when the weights give none.
pub fn probabilities(
    engine: &mut Engine,
    program: usize,
    images: &Images,
    mut progress: impl FnMut(usize),
) -> Result<Vec<f32>> {
    let mut all = Vec::new();
    each_batch(engine, program, images, |engine, count| {
        let batch = engine.read(program, names::PROBABILITIES)?;
        all.extend_from_slice(numbers(&batch[..count * classes(engine, program)])?);
        progress(count);
        Ok(())
    })?;
    Ok(all)
}

/// One image's class probabilities, and the map that shows why its most probable class is that.
#[derive(Clone, Debug)]
pub struct Explained {
    pub probabilities: Vec<f32>,
    pub map: Map,
}

/// Predicts images, and explains each by the class activation map of its most probable class.
pub fn explain(engine: &mut Engine, program: usize, images: &Images, head: &Head) -> Result<Vec<Explained>> {
    let mut all = Vec::new();
    each_batch(engine, program, images, |engine, count| {
        let (probabilities, features) =
            (engine.read(program, names::PROBABILITIES)?, engine.read(program, names::FEATURES)?);
        let classes = classes(engine, program);
        let rows = numbers(&probabilities[..count * classes])?.chunks_exact(classes);
        all.extend(rows.zip(features.chunks_exact(head.features())).map(|(row, features)| {
            let map = head.map(features, top_classes(row, row.len())[0]);
            Explained { probabilities: row.to_vec(), map }
        }));
        Ok(())
    })?;
    Ok(all)
}

/// Returns the probabilities if all are finite. With a NaN there is no most probable class, and the
/// first would pass for it.
fn numbers(probabilities: &[f32]) -> Result<&[f32]> {
    if probabilities.iter().all(|probability| probability.is_finite()) {
        return Ok(probabilities);
    }
    Err(Error::NotFinite("the network's probabilities are not finite: its weights are damaged".into()))
}

fn classes(engine: &Engine, program: usize) -> usize {
    let plan = engine.plan(program);
    plan.tensor(plan.find(names::LOGITS).expect("plans have logits")).shape[1]
}

/// Runs the plan over the images in its batches. The last is filled up with its last image; `done` gets the number of
/// images that count.
fn each_batch(
    engine: &mut Engine,
    program: usize,
    images: &Images,
    mut done: impl FnMut(&mut Engine, usize) -> Result<()>,
) -> Result<()> {
    let batch = engine.plan(program).batch;
    let count = images.count as u32;
    engine.write(program, names::CLASS_WEIGHT, &vec![1.0; classes(engine, program)]);
    for first in (0..count).step_by(batch) {
        let indices: Vec<u32> = (first..first + batch as u32).map(|index| index.min(count - 1)).collect();
        Batch::of(images, &indices, Variation::None).write(engine, program);
        let running = engine.start(program);
        engine.finish(running)?;
        done(engine, batch.min((count - first) as usize))?;
    }
    Ok(())
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
