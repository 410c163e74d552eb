//! Class activation maps are exact: the mean of a class's map, and the head's constant, are the class's logit.

use crate::common::assert_close;
use crate::common::steps::{device, twins};
use image::{Rgb, RgbImage};
use ocellus::app::cam::{Head, Map, overlay};
use ocellus::app::data::Images;
use ocellus::app::predict::{explain, probabilities, top_class, top_classes};
use ocellus::engine::image_size::ImageSize;
use ocellus::engine::numbers::{rms, uniform, widen};
use ocellus::engine::plan::names;
use ocellus::engine::run::Engine;
use ocellus::network::compile as plans;
use ocellus::network::weights;
use ocellus::network::{Network, tutorial};

const CLASSES: usize = 5;
const BATCH: usize = 3;
/// Three rows of two positions reach the pool.
const SIZE: ImageSize = ImageSize { height: 97, width: 65 };

fn network() -> Network {
    tutorial(SIZE, 0.125, CLASSES)
}

/// Fresh weights, and biases that are not zero.
fn tensors() -> Vec<ocellus::app::checkpoint::Tensor> {
    let mut tensors = weights::initial(&network(), 3);
    for (seed, tensor) in tensors.iter_mut().enumerate().filter(|(_, tensor)| tensor.name.ends_with("bias")) {
        tensor.data = uniform(seed as u64, tensor.data.len());
    }
    tensors
}

/// Noise, in more images than a batch has.
fn images() -> Images {
    let count = BATCH + 1;
    let noise = uniform(7, count * SIZE.rgb_bytes());
    Images { size: SIZE, count, pixels: noise.iter().map(|value| (127.5 * (value + 1.0)) as u8).collect() }
}

#[track_caller]
fn maps_add_up_to_the_logits(mut engine: Engine) {
    let plan = plans::inference(&network(), BATCH, &engine.target());
    let program = engine.load(plan).unwrap();
    weights::upload(&mut engine, program, &network(), &tensors());
    let head = Head::of(&network(), &tensors()).unwrap();

    let images = images();
    let explained = explain(&mut engine, program, &images, &head, |_, row| top_class(row)).unwrap();
    let probabilities = probabilities(&mut engine, program, &images, |_| ()).unwrap();
    assert_eq!(explained.iter().flat_map(|image| image.probabilities.clone()).collect::<Vec<_>>(), probabilities);

    // The last batch is still there: the fourth image, three times.
    let (logits, features) =
        (engine.read(program, names::LOGITS).unwrap(), engine.read(program, names::FEATURES).unwrap());
    let features = &features[..head.features()];
    let maps: Vec<Map> = (0..CLASSES).map(|class| head.map(features, class)).collect();
    let sums: Vec<f64> = maps
        .iter()
        .zip(&head.constant)
        .map(|(map, constant)| {
            assert_eq!((map.size, map.values.len()), (ImageSize { height: 3, width: 2 }, 6));
            assert!(map.values.iter().any(|value| (value - map.values[0]).abs() > 1e-3), "the positions differ");
            map.values.iter().map(|&value| f64::from(value)).sum::<f64>() / 6.0 + constant
        })
        .collect();
    // The device adds up 128 and 32 products in f32.
    let bound = 1e-5 * rms(&widen(&logits[..CLASSES]));
    assert_close("logits", &sums, &logits[..CLASSES], |_| bound);
    let top = top_classes(&logits[..CLASSES], CLASSES)[0];
    assert_eq!(explained[BATCH].map, maps[top], "the map is of the most probable class");
}

#[test]
fn maps_add_up_to_the_logits_on_the_device() {
    maps_add_up_to_the_logits(device());
}

#[test]
fn maps_add_up_to_the_logits_on_the_twins() {
    maps_add_up_to_the_logits(twins());
}

#[test]
fn what_speaks_against_the_class_shows_the_bare_photograph() {
    let grey = RgbImage::from_pixel(40, 20, Rgb([90, 90, 90]));
    let picture = overlay(&grey, &Map { size: ImageSize { height: 1, width: 2 }, values: vec![-5.0, 2.0] });
    assert_eq!(picture.dimensions(), (40, 20));
    assert_eq!(*picture.get_pixel(0, 10), Rgb([90, 90, 90]));
    let Rgb([red, green, blue]) = *picture.get_pixel(39, 10);
    assert!(red > 150 && green > 150 && blue < 90, "yellow: {red} {green} {blue}");

    let nothing = overlay(&grey, &Map { size: ImageSize { height: 1, width: 2 }, values: vec![-5.0, -2.0] });
    assert!(nothing == grey, "a map without positive values");
    let large = overlay(&RgbImage::new(3000, 10), &Map { size: 1.into(), values: vec![1.0] });
    assert_eq!(large.dimensions(), (1024, 3));
}
