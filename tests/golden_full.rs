//! The tutorial's network at its full width, 224 x 224, batch 2, against Keras. Weights and images follow a formula (see
//! `about_formula` in full.json), so the golden file holds results only.

mod common;

use std::collections::HashMap;
use std::sync::LazyLock;

use common::golden::File;
use common::steps::{device, is_conv_bias, run, train_step, updated, write_batch};
use common::{assert_close, widen};
use ocellus::checkpoint::Tensor;
use ocellus::data::Images;
use ocellus::engine::Engine;
use ocellus::network::{Network, Parameter, Start, tutorial};
use ocellus::plan::Plan;
use ocellus::plan::network::{self as plans, names};
use ocellus::train::feed::Labelled;
use ocellus::weights;

const SIZE: usize = 224;
const BATCH: usize = 2;
/// Image tiles of one colour.
const TILE: usize = 16;
const STEPS: u32 = 3;
/// How many times the spread of Keras's own implementations one more may be off.
const SPREADS: f64 = 10.0;
/// Where all implementations agree to the last bit, the spread is zero: a few roundings are left to each.
const ROUNDINGS: f64 = 1e-6;

static GOLDEN: LazyLock<File> = LazyLock::new(|| File::open("full"));

fn network() -> Network {
    tutorial(SIZE, 1.0, 8)
}

fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7FEB_352D);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846C_A68B);
    x ^ (x >> 16)
}

fn hash(tag: u32, i: usize) -> u32 {
    mix(i as u32 ^ mix(tag.wrapping_add(0x9E37_79B9)))
}

/// Number `i` of a tensor, symmetric around zero, below `amplitude`.
fn symmetric(tag: u32, i: usize, amplitude: f64) -> f32 {
    let odd = 2 * i64::from(hash(tag, i) >> 8) + 1 - (1 << 24);
    odd as f32 * (amplitude / f64::from(1 << 24)) as f32
}

/// Trainable parameters by the formula, moving statistics as a network starts with them.
fn formula_weights() -> Vec<Tensor> {
    let mut tag = 99;
    let tensor = |Parameter { name, shape, start, trainable }: Parameter| {
        let count = shape.iter().product();
        tag += u32::from(trainable);
        let number = |i| match (start, trainable) {
            (Start::HeNormal { fan_in }, _) => symmetric(tag, i, 3f64.sqrt() * (2.0 / fan_in as f64).sqrt()),
            (Start::Constant(value), false) => value,
            (Start::Constant(_), true) if name.ends_with("bias") => symmetric(tag, i, 0.05),
            (Start::Constant(value), true) => value + symmetric(tag, i, 0.2),
        };
        let data = (0..count).map(number).collect();
        Tensor { name, shape, data }
    };
    network().parameters().into_iter().map(tensor).collect()
}

/// The images of step `t`, from 1: tiles of one colour with noise over them.
fn formula_images(t: u32) -> Images {
    let mut pixels = Vec::new();
    for i in 0..BATCH * SIZE * SIZE * 3 {
        let (n, y, x, channel) = (i / 3 / SIZE / SIZE, i / 3 / SIZE % SIZE, i / 3 % SIZE, i % 3);
        let tiles = SIZE / TILE;
        let tile = hash(1000 + t, ((n * tiles + y / TILE) * tiles + x / TILE) * 3 + channel) >> 24;
        let noise = hash(2000 + t, i) >> 24;
        pixels.push(((3 * tile + noise) >> 2) as u8);
    }
    Images { size: SIZE, count: BATCH, pixels }
}

fn batch(t: u32) -> Labelled {
    let labels = numbers(&GOLDEN.json["labels"][t as usize - 1]);
    Labelled { images: formula_images(t), labels: labels.into_iter().map(|label| label as u32).collect() }
}

fn numbers(json: &serde_json::Value) -> Vec<f64> {
    json.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

/// Rounded to f32, exact even where serde_json is off by the last bit of an f64.
fn numbers_f32(json: &serde_json::Value) -> Vec<f32> {
    numbers(json).into_iter().map(|number| number as f32).collect()
}

fn place(engine: &mut Engine, plan: Plan, class_weight: &[f32]) -> usize {
    let program = engine.load(plan).expect("the plan fits");
    weights::upload(engine, program, &network(), &formula_weights());
    engine.write(program, names::CLASS_WEIGHT, class_weight);
    program
}

fn class_weight() -> Vec<f32> {
    numbers_f32(&GOLDEN.json["class_weight"])
}

/// The first step of a plan that keeps every tensor; all tests of its numbers look at the same run.
static FIRST_STEP: LazyLock<HashMap<String, Vec<f32>>> = LazyLock::new(|| {
    let (mut engine, network) = (device(), network());
    let plan = Plan::new(engine.target(), BATCH, plans::image_bytes(&network)).keep_everything();
    let program = place(&mut engine, plans::training_in(plan, &network), &class_weight());
    write_batch(&mut engine, program, &batch(1));
    let metrics = train_step(&mut engine, program, 1);
    let mut names: Vec<String> = ACTIVATIONS.iter().map(|(_, own)| own.to_string()).collect();
    names.extend(updated(&network).iter().map(|name| names::gradient(name)));
    let read = |name: String| {
        let values = engine.read(program, &name).expect("the device answers");
        (name, values)
    };
    let mut tensors: HashMap<String, Vec<f32>> = names.into_iter().map(read).collect();
    tensors.insert("loss".into(), vec![metrics.loss as f32]);
    tensors
});

/// Layers by the golden file's names, whose pools have the numbers of their convolutions, and by the tensors that hold
/// their outputs: batch norm and ReLU are one pass.
const ACTIVATIONS: [(&str, &str); 10] = [
    ("pool1", "pool1"),
    ("pool2", "pool2"),
    ("pool3", "pool3"),
    ("pool4", "pool4"),
    ("relu5", "bn5"),
    ("pool6", "pool5"),
    ("relu7", "bn7"),
    ("gap", "gap1"),
    ("dense1", "dense1"),
    ("dense2", names::LOGITS),
];

fn l2(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn the_formula_gives_the_golden_files_numbers() {
    let check = &GOLDEN.json["formula_check"];
    let hashes: Vec<f64> = (0..4).map(|i| f64::from(hash(100, i))).collect();
    assert_eq!(hashes, numbers(&check["h(100,0..3)"]));

    let weights = formula_weights();
    let find = |name: &str| &weights.iter().find(|tensor| tensor.name == name).expect("a parameter").data;
    assert_eq!(find("conv1.kernel")[..4], numbers_f32(&check["conv1.kernel[0..3]"]));
    assert_eq!(find("conv8.kernel")[9_437_183], check["conv8.kernel[9437183]"].as_f64().unwrap() as f32);
    assert_eq!(find("bn1.gamma")[..2], numbers_f32(&check["bn1.gamma[0..1]"]));
    assert_eq!(*find("dense2.bias"), numbers_f32(&check["dense2.bias"]));
    for (name, sum) in check["f64 sum of abs per parameter"].as_object().expect("sums by name") {
        let (got, want) = (find(name).iter().map(|value| f64::from(value.abs())).sum::<f64>(), sum.as_f64().unwrap());
        // The order of ten million f64 additions.
        assert!((got / want - 1.0).abs() <= 1e-12, "{name}: {got} and not {want}");
    }

    let images: Vec<Vec<u8>> = (1..=STEPS).map(|t| formula_images(t).pixels).collect();
    let as_numbers = |pixels: &[u8]| pixels.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
    assert_eq!(as_numbers(&images[0][..6]), numbers(&check["image step1 first 6 u8"]));
    assert_eq!(as_numbers(&images[2][images[2].len() - 3..]), numbers(&check["image step3 last 3 u8"]));
    let sums: Vec<f64> = images.iter().map(|pixels| as_numbers(pixels).iter().sum()).collect();
    assert_eq!(sums, numbers(&check["sum of u8 per step"]));
}

/// Logits within 1e-5 of their root mean square.
fn check_logits(golden: &str, got: &[f32]) {
    let want = GOLDEN.tensor(golden).1;
    let bound = 1e-5 * GOLDEN.rms(golden);
    let share = assert_close(golden, got, &want, |_| bound);
    println!("{golden}: worst share {share:.3} of 1e-5");
}

#[test]
fn logits_of_inference() {
    let mut engine = device();
    let plan = plans::inference(&network(), BATCH, &engine.target());
    let program = place(&mut engine, plan, &[1.0; 8]);
    write_batch(&mut engine, program, &batch(1));
    run(&mut engine, program);
    check_logits("infer/logits", &engine.read(program, names::LOGITS).expect("the device answers"));
}

#[test]
fn logits_of_the_first_step() {
    check_logits("step1/logits", &FIRST_STEP[names::LOGITS]);
}

#[test]
fn norms_of_activations() {
    for (golden, own) in ACTIVATIONS {
        let golden = format!("act_l2/{golden}");
        let want = GOLDEN.tensor(&golden).1;
        let bound = SPREADS * GOLDEN.spread(&golden).expect("it has one") + ROUNDINGS * f64::from(want[0]);
        let share = assert_close(&golden, &[l2(&FIRST_STEP[own])], &want, |_| bound);
        println!("{golden}: share {share:.3}");
    }
}

/// Near-ties in the first pool are decided by rounding, and each sends a gradient to another pixel: what lies before
/// that pool agrees to 1 % only. Behind it every gradient is held to the spread.
fn before_the_first_pool(parameter: &str) -> bool {
    parameter.starts_with("conv1.") || parameter.starts_with("bn1.")
}

#[test]
fn norms_of_gradients() {
    let mut worst = (0.0, String::new());
    for name in updated(&network()) {
        let about = &GOLDEN.json["tensors"][format!("step1/grad_sample/{name}")];
        let figure = |key: &str| about[key].as_f64().unwrap_or_else(|| panic!("{name}: no {key}"));
        let want = figure("l2_full_f64run");
        // Norms differ by no more than the norm of the difference.
        let bound = match before_the_first_pool(&name) {
            true => 1e-2 * want,
            false => 3.0 * figure("l2_of_difference") + ROUNDINGS * want,
        };
        let share = assert_close(&name, &[l2(&FIRST_STEP[&names::gradient(&name)])], &[want], |_| bound);
        if share > worst.0 {
            worst = (share, name);
        }
    }
    println!("norms of gradients: worst share {:.3} in {}", worst.0, worst.1);
}

#[test]
fn entries_of_gradients() {
    let mut worst = (0.0, String::new());
    for name in updated(&network()) {
        let golden = format!("step1/grad_sample/{name}");
        let want = GOLDEN.tensor(&golden).1;
        let (_, indices) = GOLDEN.tensor_i32(&format!("step1/grad_index/{name}"));
        let gradient = &FIRST_STEP[&names::gradient(&name)];
        let got: Vec<f32> = indices.iter().map(|&index| gradient[index as usize]).collect();
        let share = if before_the_first_pool(&name) {
            let difference: Vec<f32> = got.iter().zip(&want).map(|(got, want)| got - want).collect();
            assert_close(&golden, &[l2(&difference)], &[0.0], |_| 1e-2 * l2(&want))
        } else {
            let rms = common::rms(&widen(&want));
            let bound = SPREADS * GOLDEN.spread(&golden).expect("it has one") + ROUNDINGS * rms;
            assert_close(&golden, &got, &want, |_| bound)
        };
        if share > worst.0 {
            worst = (share, name);
        }
    }
    println!("entries of gradients: worst share {:.3} in {}", worst.0, worst.1);
}

/// The labels change with every step, so the losses grow.
#[test]
fn the_losses_of_three_steps() {
    let mut engine = device();
    let plan = plans::training(&network(), BATCH, &engine.target());
    let program = place(&mut engine, plan, &class_weight());
    let mut step = |t| {
        write_batch(&mut engine, program, &batch(t));
        train_step(&mut engine, program, u64::from(t)).loss
    };
    let got: Vec<f64> = (1..=STEPS).map(&mut step).collect();
    let want = numbers(&GOLDEN.json["losses_f64"]);
    let share = assert_close("losses", &got, &want, |i| 1e-4 * want[i]);
    println!("losses: worst share {share:.3} of 1e-4");
    // Without Adam in between, from the plan that keeps every tensor.
    assert!((f64::from(FIRST_STEP["loss"][0]) / want[0] - 1.0).abs() <= 1e-4);
}

#[test]
fn every_parameter_that_adam_updates_is_compared() {
    let compared =
        GOLDEN.names().into_iter().filter_map(|name| Some(name.strip_prefix("step1/grad_sample/")?.to_string()));
    let mut compared: Vec<String> = compared.filter(|name| !is_conv_bias(name)).collect();
    let mut own = updated(&network());
    compared.sort();
    own.sort();
    assert_eq!(compared, own);
}
