//! Augmentation against Keras's own numbers, and the order of the samples.

use crate::common::golden::{check, check_in, folder, place};
use ocellus::app::data::augment::{Ranges, Transform, draw};
use ocellus::app::data::batches::{train_batches, validation_batches};
use ocellus::engine::image_size::ImageSize;
use ocellus::ops::augment::{Problem, twin};

#[test]
fn forward_is_what_keras_computes() {
    // 34 transforms, 4 of them scaled as well, on the twin and on the device.
    assert_eq!(check("augment", &place()).findings.compared, 2 * (34 + 4));
    // One of an image that is higher than wide.
    assert_eq!(check_in(&folder().join("72x56"), "augment", &place()).findings.compared, 2);
}

#[test]
fn a_batch_is_its_images_one_by_one() {
    let size = ImageSize { height: 3, width: 5 };
    let ImageSize { height, width } = size;
    let pixels: Vec<u8> = (0..2 * size.rgb_bytes()).map(|i| (i * 37 % 256) as u8).collect();
    let maps: Vec<[f64; 6]> = (0..2).map(|sample| draw(&Ranges::default(), 1, 0, sample, size).matrix(size)).collect();
    let both = twin::forward(&Problem { batch: 2, height, width }, &pixels, &maps);
    let second = twin::forward(&Problem { batch: 1, height, width }, &pixels[size.rgb_bytes()..], &maps[1..]);
    assert_eq!(both[size.rgb_bytes()..], second);
}

#[test]
fn neutral_is_exactly_the_identity() {
    let wide = ImageSize { height: 7, width: 224 };
    assert_eq!(Transform::default().matrix(wide), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    let flipped = Transform { flip_horizontal: true, ..Transform::default() };
    assert_eq!(flipped.matrix(wide), [-1.0, 0.0, 223.0, 0.0, 1.0, 0.0]);
    let flipped = Transform { flip_vertical: true, ..Transform::default() };
    assert_eq!(flipped.matrix(wide), [1.0, 0.0, 0.0, 0.0, -1.0, 6.0]);
    let none = Ranges {
        rotation: 0.0,
        width_shift: 0.0,
        height_shift: 0.0,
        shear: 0.0,
        zoom: 0.0,
        horizontal_flip: false,
        vertical_flip: false,
    };
    assert_eq!(draw(&none, 1, 2, 3, wide).matrix(wide), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn draws_fill_their_ranges() {
    let ranges = Ranges::default();
    let size = ImageSize { height: 100, width: 200 };
    let draws: Vec<Transform> = (0..4000).map(|sample| draw(&ranges, 7, 3, sample, size)).collect();
    let within = |what: &str, value: fn(&Transform) -> f64, center: f64, range: f64| {
        let values: Vec<f64> = draws.iter().map(value).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!(values.iter().all(|v| (v - center).abs() <= range), "{what} leaves its range");
        // A uniform variable of half-width r has the standard deviation r / sqrt(3); 5 standard errors of each.
        let deviation = range / 3f64.sqrt();
        assert!((mean - center).abs() <= 5.0 * deviation / (draws.len() as f64).sqrt(), "{what}: mean {mean}");
        assert!((variance.sqrt() / deviation - 1.0).abs() <= 0.05, "{what}: deviation {}", variance.sqrt());
    };
    within("theta", |t| t.theta, 0.0, 5.0);
    within("tx", |t| t.tx, 0.0, 5.0);
    within("ty", |t| t.ty, 0.0, 10.0);
    within("shear", |t| t.shear, 0.0, 0.1);
    within("zx", |t| t.zx, 1.0, 0.05);
    within("zy", |t| t.zy, 1.0, 0.05);
    for flips in [|t: &Transform| t.flip_horizontal, |t: &Transform| t.flip_vertical] {
        let share = draws.iter().filter(|t| flips(t)).count() as f64 / draws.len() as f64;
        assert!((share - 0.5).abs() <= 0.04, "{share}");
    }
    assert!(draws.iter().any(|t| t.flip_horizontal != t.flip_vertical), "one flip does not bring the other");
}

#[test]
fn a_draw_depends_on_seed_epoch_and_sample_only() {
    let at = |seed, epoch, sample| draw(&Ranges::default(), seed, epoch, sample, 64.into());
    assert_eq!(at(1, 2, 3), at(1, 2, 3));
    for other in [at(2, 2, 3), at(1, 3, 3), at(1, 2, 4), at(1, 3, 2)] {
        assert_ne!(at(1, 2, 3), other);
    }
}

#[test]
fn training_batches_are_keras_s() {
    let (n, batch) = (103, 10);
    let mut with_short_batch = 0;
    for epoch in 0..400 {
        let batches = train_batches(5, epoch, n, batch);
        assert_eq!(batches.len(), 10);
        let short: Vec<&Vec<u32>> = batches.iter().filter(|b| b.len() != batch).collect();
        assert!(short.len() <= 1 && short.iter().all(|b| b.len() == 3));
        with_short_batch += short.len();
        let mut samples = batches.concat();
        samples.sort();
        samples.dedup();
        assert_eq!(samples.len(), batches.iter().map(Vec::len).sum::<usize>(), "no sample comes twice");
        assert!(samples.iter().all(|&s| (s as usize) < n));
    }
    // It stays out of one epoch in 11; 400 epochs have 36 +- 6 of those.
    assert!((337..=391).contains(&with_short_batch), "{with_short_batch}");
}

#[test]
fn validation_batches_are_always_full() {
    let mut left_out = std::collections::BTreeSet::new();
    for epoch in 0..50 {
        let batches = validation_batches(5, epoch, 103, 10);
        assert_eq!(batches.len(), 10);
        assert!(batches.iter().all(|b| b.len() == 10));
        let samples: std::collections::BTreeSet<u32> = batches.concat().into_iter().collect();
        assert_eq!(samples.len(), 100);
        left_out.extend((0..103).filter(|s| !samples.contains(s)));
    }
    assert!(left_out.len() > 50, "every epoch leaves others out, {} in all", left_out.len());
}

#[test]
fn batches_when_n_is_a_multiple_or_too_small() {
    let mut all = train_batches(0, 0, 40, 8).concat();
    all.sort();
    assert!(all.into_iter().eq(0..40));
    assert_ne!(train_batches(0, 0, 40, 8), train_batches(0, 1, 40, 8));
    assert_ne!(train_batches(0, 0, 40, 8), train_batches(1, 0, 40, 8));
    assert_eq!(train_batches(0, 0, 40, 8), train_batches(0, 0, 40, 8));
    assert_ne!(train_batches(0, 0, 40, 8), validation_batches(0, 0, 40, 8));
    assert!(train_batches(0, 0, 7, 8).is_empty() && validation_batches(0, 0, 7, 8).is_empty());
}
