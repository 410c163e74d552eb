//! Augmentation against Keras's own numbers, and the order of the samples.

use std::fs;

use ocellus::data::augment::{Ranges, Transform, draw};
use ocellus::data::batches::{train_batches, validation_batches};
use ocellus::ops::augment::{Problem, cpu};
use safetensors::SafeTensors;
use serde_json::Value;

fn transform(parameters: &Value) -> Transform {
    let neutral = Transform::default();
    let number = |name: &str, default: f64| parameters.get(name).map_or(default, |v| v.as_f64().unwrap());
    let flag = |name: &str| parameters.get(name).is_some_and(|v| v.as_bool().unwrap());
    Transform {
        theta: number("theta", neutral.theta),
        tx: number("tx", neutral.tx),
        ty: number("ty", neutral.ty),
        shear: number("shear", neutral.shear),
        zx: number("zx", neutral.zx),
        zy: number("zy", neutral.zy),
        flip_horizontal: flag("flip_horizontal"),
        flip_vertical: flag("flip_vertical"),
    }
}

#[test]
fn forward_is_what_keras_computes() {
    let bytes = fs::read("tests/golden/augment.safetensors").unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let json: Value = serde_json::from_slice(&fs::read("tests/golden/augment.json").unwrap()).unwrap();
    let cases = json["params"].as_object().unwrap();
    assert_eq!(cases.len(), 34);
    for (name, parameters) in cases {
        let source = golden.tensor(&format!("image/{}", name.split('/').next().unwrap())).unwrap();
        let (height, width) = (source.shape()[0], source.shape()[1]);
        let map = transform(parameters).matrix(height, width);
        let got = cpu::forward(&Problem { batch: 1, height, width }, source.data(), &[map]);
        // Keras rounds to f32: below 256 that is 7.6e-6. In `scaled` three roundings meet, of the value (3e-8 after
        // the product), of 1/255 (up to 6e-8) and of the product (3e-8).
        for (tensor, scale, tolerance) in [("out", 255.0, 8e-6), ("scaled", 1.0, 1.2e-7)] {
            let Ok(want) = golden.tensor(&format!("{tensor}/{name}")) else { continue };
            assert_eq!(want.data().len(), 4 * got.len());
            let want = want.data().chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())));
            for (index, (got, want)) in got.iter().zip(want).enumerate() {
                let error = (got * scale - want).abs();
                assert!(error <= tolerance, "{tensor}/{name} at {index}: {} for {want}", got * scale);
            }
        }
    }
}

#[test]
fn a_batch_is_its_images_one_by_one() {
    let (height, width) = (3, 5);
    let pixels: Vec<u8> = (0..2 * height * width * 3).map(|i| (i * 37 % 256) as u8).collect();
    let maps: Vec<[f64; 6]> =
        (0..2).map(|sample| draw(&Ranges::default(), 1, 0, sample, height, width).matrix(height, width)).collect();
    let both = cpu::forward(&Problem { batch: 2, height, width }, &pixels, &maps);
    let second = cpu::forward(&Problem { batch: 1, height, width }, &pixels[height * width * 3..], &maps[1..]);
    assert_eq!(both[height * width * 3..], second);
}

#[test]
fn neutral_is_exactly_the_identity() {
    assert_eq!(Transform::default().matrix(7, 224), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    let flipped = Transform { flip_horizontal: true, ..Transform::default() };
    assert_eq!(flipped.matrix(7, 224), [-1.0, 0.0, 223.0, 0.0, 1.0, 0.0]);
    let none = Ranges {
        rotation: 0.0,
        width_shift: 0.0,
        height_shift: 0.0,
        shear: 0.0,
        zoom: 0.0,
        horizontal_flip: false,
        vertical_flip: false,
    };
    assert_eq!(draw(&none, 1, 2, 3, 64, 64).matrix(64, 64), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn draws_fill_their_ranges() {
    let ranges = Ranges::default();
    let (height, width) = (100, 200);
    let draws: Vec<Transform> = (0..4000).map(|sample| draw(&ranges, 7, 3, sample, height, width)).collect();
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
    let at = |seed, epoch, sample| draw(&Ranges::default(), seed, epoch, sample, 64, 64);
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
