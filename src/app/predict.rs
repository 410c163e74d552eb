//! Inference over any number of images.

use crate::app::cam::{Head, Map};
use crate::app::data::augment::Transform;
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
    progress: impl FnMut(usize),
) -> Result<Vec<f32>> {
    of_view(engine, program, images, Transform::default(), progress)
}

/// The photograph as it is, and its three flips: a fundus photograph mirrored is one of the other eye, or upside down.
pub fn flips() -> [Transform; 4] {
    [(false, false), (true, false), (false, true), (true, true)].map(|(flip_horizontal, flip_vertical)| Transform {
        flip_horizontal,
        flip_vertical,
        ..Transform::default()
    })
}

/// Means over views of each image of its class probabilities: test-time augmentation. The plan's first kernel moves
/// the pixels, as in training.
pub fn mean_over(engine: &mut Engine, program: usize, images: &Images, views: &[Transform]) -> Result<Vec<f32>> {
    let of_each = views.iter().map(|&view| of_view(engine, program, images, view, |_| ()));
    Ok(mean(&of_each.collect::<Result<Vec<_>>>()?))
}

fn of_view(
    engine: &mut Engine,
    program: usize,
    images: &Images,
    view: Transform,
    mut progress: impl FnMut(usize),
) -> Result<Vec<f32>> {
    let mut all = Vec::new();
    each_batch(engine, program, images, view, |engine, count| {
        let batch = engine.read(program, names::PROBABILITIES)?;
        all.extend_from_slice(numbers(&batch[..count * classes(engine, program)])?);
        progress(count);
        Ok(())
    })?;
    Ok(all)
}

/// The mean of probabilities that several views or networks gave for the same images.
///
/// # Panics
/// Without any, or when there are more of one than of another.
pub fn mean(of_each: &[Vec<f32>]) -> Vec<f32> {
    let (first, count) = (&of_each[0], of_each.len() as f64);
    assert!(of_each.iter().all(|one| one.len() == first.len()));
    let sum = |at: usize| of_each.iter().map(|one| f64::from(one[at])).sum::<f64>();
    (0..first.len()).map(|at| (sum(at) / count) as f32).collect()
}

/// One image's class probabilities, and the map that shows why its most probable class is that.
#[derive(Clone, Debug)]
pub struct Explained {
    pub probabilities: Vec<f32>,
    pub map: Map,
}

/// Predicts images, and explains each by the class activation map of the class that `of` names from the image's position
/// and probabilities.
pub fn explain(
    engine: &mut Engine,
    program: usize,
    images: &Images,
    head: &Head,
    of: impl Fn(usize, &[f32]) -> usize,
) -> Result<Vec<Explained>> {
    let mut all: Vec<Explained> = Vec::new();
    each_batch(engine, program, images, Transform::default(), |engine, count| {
        let (probabilities, features) =
            (engine.read(program, names::PROBABILITIES)?, engine.read(program, names::FEATURES)?);
        let classes = classes(engine, program);
        let rows = numbers(&probabilities[..count * classes])?.chunks_exact(classes);
        for (row, features) in rows.zip(features.chunks_exact(head.features())) {
            let map = head.map(features, of(all.len(), row));
            all.push(Explained { probabilities: row.to_vec(), map });
        }
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

/// Runs the plan over the images in its batches, as many at a time as there are devices. The last is filled up with its last
/// image; `done` gets the number of images that count.
fn each_batch(
    engine: &mut Engine,
    program: usize,
    images: &Images,
    view: Transform,
    mut done: impl FnMut(&mut Engine, usize) -> Result<()>,
) -> Result<()> {
    let batch = engine.plan(program).batch;
    let count = images.count as u32;
    engine.write(program, names::CLASS_WEIGHT, &vec![1.0; classes(engine, program)]);
    let firsts: Vec<u32> = (0..count).step_by(batch).collect();
    for firsts in firsts.chunks(engine.ranks()) {
        let mut running = Vec::new();
        for &first in firsts {
            let indices: Vec<u32> = (first..first + batch as u32).map(|index| index.min(count - 1)).collect();
            Batch::of(images, &indices, Variation::Fixed(view))?.write(engine, program);
            running.push(engine.start(program));
        }
        for (running, first) in running.into_iter().zip(firsts) {
            engine.finish(running)?;
            done(engine, batch.min((count - first) as usize))?;
        }
    }
    Ok(())
}

/// The most probable class of a row; the lowest of equals.
pub fn top_class(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best })
}

/// The most probable class of each row; the lowest of equals.
pub fn top_classes(probabilities: &[f32], classes: usize) -> Vec<usize> {
    probabilities.chunks_exact(classes).map(top_class).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alone_is_its_own_mean() {
        let row = vec![0.1f32, 1.0 / 3.0, f32::MIN_POSITIVE];
        assert_eq!(mean(std::slice::from_ref(&row)), row);
        assert_eq!(mean(&[vec![0.0, 1.0], vec![1.0, 1.0], vec![0.5, 0.25]]), [0.5, 0.75]);
    }

    #[test]
    fn the_lowest_of_equals_wins() {
        assert_eq!(top_class(&[0.1, 0.3, 0.3]), 1);
        assert_eq!(top_classes(&[0.4, 0.4, 0.2, 0.1, 0.2, 0.7], 3), [0, 2]);
    }
}
