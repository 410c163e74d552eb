//! Six training steps of the tutorial's network at an eighth of its width, against Keras's `train_on_batch`: every
//! activation and gradient of the first step, and weights, moving statistics and moments on the way.
//!
//! The golden file's `spread` of a tensor is the largest difference between Keras with Eigen, Keras with oneDNN and an
//! f64 reference. One more honest implementation may be off by a small multiple of it.

mod common;

use std::collections::HashMap;
use std::sync::LazyLock;

use common::golden::File;
use common::steps::{Metrics, device, is_conv_bias, run, train_step, twins, updated, write_batch};
use common::{assert_close, compare, widen};
use ocellus::checkpoint::Tensor;
use ocellus::data::Images;
use ocellus::engine::Engine;
use ocellus::network::{Network, Parameter, tutorial};
use ocellus::plan::Plan;
use ocellus::plan::network::{self as plans, names};
use ocellus::train::feed::Labelled;
use ocellus::weights;

const BATCH: usize = 8;
const STEPS: u64 = 6;
/// The steps after which the golden file has weights.
const LOOKED_AT: [u64; 3] = [1, 2, 6];
/// How many spreads one more implementation may be off.
const SPREADS: f64 = 10.0;
/// Where all implementations agree to the last bit, the spread is zero: a few roundings are left to each.
const ROUNDINGS: f64 = 1e-6;

static GOLDEN: LazyLock<File> = LazyLock::new(|| File::open("tiny"));

/// What the device computed, by the golden file's names.
struct Trained {
    metrics: Vec<Metrics>,
    tensors: HashMap<String, Vec<f32>>,
}

/// All tests look at the same run.
static TRAINED: LazyLock<Trained> = LazyLock::new(|| {
    let mut engine = device();
    let mut tensors = first_step(&mut engine);
    let (program, mut metrics) = (start(&mut engine), Vec::new());
    for t in 1..=STEPS {
        metrics.push(step(&mut engine, program, t));
        if LOOKED_AT.contains(&t) {
            read_state(&mut engine, program, t, &mut tensors);
        }
    }
    Trained { metrics, tensors }
});

fn network() -> Network {
    tutorial(64, 0.125, 8)
}

fn batch(t: u64) -> Labelled {
    let (shape, pixels) = GOLDEN.tensor_u8(&format!("images/t{t}"));
    let (_, labels) = GOLDEN.tensor_i32(&format!("labels/t{t}"));
    let images = Images { size: shape[1], count: shape[0], pixels };
    Labelled { images, labels: labels.into_iter().map(|label| label as u32).collect() }
}

/// The golden file's weights and moving statistics, by their prefixes there.
fn stored(weights: &str, statistics: &str) -> Vec<Tensor> {
    let parameter = |Parameter { name, shape, trainable, .. }: Parameter| {
        let prefix = if trainable { weights } else { statistics };
        let (stored_shape, data) = GOLDEN.tensor(&format!("{prefix}/{name}"));
        assert_eq!(shape, stored_shape, "{name}");
        Tensor { name, shape, data }
    };
    network().parameters().into_iter().map(parameter).collect()
}

/// The plan that the program runs, with the golden weights to start from.
fn start(engine: &mut Engine) -> usize {
    let plan = plans::training(&network(), BATCH, &engine.target());
    place(engine, plan)
}

fn place(engine: &mut Engine, plan: Plan) -> usize {
    let moments = weights::moments(&plan);
    let program = engine.load(plan).expect("the plan fits");
    weights::upload(engine, program, &network(), &stored("init", "init"));
    for (name, shape) in moments {
        engine.write(program, &name, &vec![0.0; shape.iter().product()]);
    }
    engine.write(program, names::CLASS_WEIGHT, &GOLDEN.tensor("class_weight").1);
    program
}

fn step(engine: &mut Engine, program: usize, t: u64) -> Metrics {
    write_batch(engine, program, &batch(t));
    train_step(engine, program, t)
}

/// Activations and gradients of the first step, from a plan that keeps them.
fn first_step(engine: &mut Engine) -> HashMap<String, Vec<f32>> {
    let network = network();
    let plan = Plan::new(engine.target(), BATCH, plans::image_bytes(&network)).keep_everything();
    let program = place(engine, plans::training_in(plan, &network));
    step(engine, program, 1);
    let mut tensors = HashMap::new();
    for golden in GOLDEN.names() {
        let own = match golden.split_once('/').and_then(|(first, rest)| Some((first, rest.split_once('/')?))) {
            Some(("step1", ("act", layer))) => activation(layer),
            Some(("step1", ("grad", parameter))) if !is_conv_bias(parameter) => Some(names::gradient(parameter)),
            _ => None,
        };
        if let Some(own) = own {
            tensors.insert(golden, engine.read(program, &own).expect("the device answers"));
        }
    }
    tensors
}

/// The tensor that holds a layer's output. A batch norm's own is never stored: its pass does the ReLU as well.
fn activation(layer: &str) -> Option<String> {
    let name = match layer {
        "gap" => "gap1".into(),
        "dense2" => names::LOGITS.into(),
        "softmax" => names::PROBABILITIES.into(),
        _ if layer.starts_with("bn") => return None,
        // Golden pools are numbered by their convolution, the network's one after the other.
        "pool6" => "pool5".into(),
        _ => layer.replace("relu", "bn"),
    };
    Some(name)
}

fn read_state(engine: &mut Engine, program: usize, t: u64, tensors: &mut HashMap<String, Vec<f32>>) {
    let network = network();
    let state = weights::download(engine, program, &network).expect("the device answers");
    for (tensor, parameter) in state.into_iter().zip(network.parameters()) {
        let group = if parameter.trainable { "param" } else { "stat" };
        tensors.insert(format!("after{t}/{group}/{}", tensor.name), tensor.data);
    }
    for name in updated(&network) {
        for moment in names::MOMENTS {
            let own = format!("{moment}/{name}");
            let values = engine.read(program, &own).expect("the device answers");
            tensors.insert(format!("after{t}/{own}"), values);
        }
    }
}

/// The entries of `full` that the golden file holds of a large tensor: `floor(i n / count)`.
fn sample(full: &[f32], count: usize) -> Vec<f32> {
    (0..count).map(|i| full[i * full.len() / count]).collect()
}

/// Compares every golden tensor of a group with the device's, within `SPREADS`; prints the worst share of a bound.
fn check_group(prefix: &str, expected: usize) {
    let mut worst = (0.0, String::new());
    let (mut checked, mut faults) = (0, Vec::new());
    let comparable = |name: &String| name.starts_with(prefix) && TRAINED.tensors.contains_key(name);
    for name in GOLDEN.names().into_iter().filter(comparable) {
        let want = GOLDEN.tensor(&name).1;
        let got = match &GOLDEN.json["tensors"][&name] {
            // "first 2 samples only"
            about if about["about"].is_string() => TRAINED.tensors[&name][..want.len()].to_vec(),
            _ => sample(&TRAINED.tensors[&name], want.len()),
        };
        let bound = SPREADS * GOLDEN.spread(&name).expect("every tensor has a spread") + ROUNDINGS * GOLDEN.rms(&name);
        match compare(&got, &want, |_| bound) {
            Ok(share) if share > worst.0 => worst = (share, name),
            Ok(_) => {}
            Err(fault) => faults.push(format!("{name}: {fault}")),
        }
        checked += 1;
    }
    println!("{prefix}: {checked} tensors, worst share {:.3} in {}", worst.0, worst.1);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(checked, expected, "{prefix}: tensors compared");
}

/// Trainable parameters that are not biases of convolutions: 8 kernels, 16 of batch norms, 4 of dense layers.
const UPDATED: usize = 28;

#[test]
fn the_losses_of_six_steps() {
    let want = widen(&GOLDEN.tensor("losses").1);
    let got: Vec<f64> = TRAINED.metrics.iter().map(|metrics| metrics.loss).collect();
    let share = assert_close("losses", &got, &want, |i| 1e-4 * want[i]);
    println!("losses: worst share {share:.3} of 1e-4");
}

#[test]
fn the_accuracies_of_six_steps() {
    let got: Vec<f64> = TRAINED.metrics.iter().map(|metrics| metrics.right as f64 / BATCH as f64).collect();
    assert_eq!(got, widen(&GOLDEN.tensor("accuracies").1));
}

#[test]
fn activations_of_the_first_step() {
    // 8 convolutions, 8 batch norms with ReLU, 5 pools, the average, 2 dense layers, softmax.
    check_group("step1/act/", 25);
}

#[test]
fn gradients_of_the_first_step() {
    check_group("step1/grad/", UPDATED);
}

#[test]
fn moving_statistics() {
    for t in LOOKED_AT {
        check_group(&format!("after{t}/stat/"), 16);
    }
}

#[test]
fn moments() {
    for t in LOOKED_AT {
        for moment in names::MOMENTS {
            check_group(&format!("after{t}/{moment}/"), UPDATED);
        }
    }
}

/// Adam makes full steps of small gradients, so an entry whose gradient is next to nothing may go the other way. As a
/// whole, every tensor has to move as Keras's does: within 1 % of the way it went.
#[test]
fn parameters_go_the_way_they_should() {
    let distance = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
    };
    for t in LOOKED_AT {
        let mut worst = (0.0, String::new());
        for name in updated(&network()) {
            let golden = format!("after{t}/param/{name}");
            let want = GOLDEN.tensor(&golden).1;
            let got = sample(&TRAINED.tensors[&golden], want.len());
            let init = sample(&GOLDEN.tensor(&format!("init/{name}")).1, want.len());
            let (error, way) = (distance(&got, &want), distance(&want, &init));
            assert!(way > 0.0, "{golden} moves");
            assert!(error <= 0.01 * way, "{golden}: off by {error:e} on a way of {way:e}");
            if error / way > worst.0 {
                worst = (error / way, golden);
            }
        }
        println!("after{t}/param: worst {:.5} of the way in {}", worst.0, worst.1);
    }
}

#[test]
fn biases_of_convolutions_stay_as_they_start() {
    let biases = network().parameters().into_iter().map(|parameter| parameter.name).filter(|name| is_conv_bias(name));
    for name in biases {
        assert_eq!(
            TRAINED.tensors[&format!("after6/param/{name}")],
            GOLDEN.tensor(&format!("init/{name}")).1,
            "{name}"
        );
    }
}

/// Inference with the weights that Keras ended with: nothing that strayed in training is in the way.
fn check_inference(mut engine: Engine, what: &str) {
    let plan = plans::inference(&network(), BATCH, &engine.target());
    let program = engine.load(plan).expect("the plan fits");
    weights::upload(&mut engine, program, &network(), &stored("after6/param", "after6/stat"));
    engine.write(program, names::CLASS_WEIGHT, &[1.0; 8]);
    write_batch(&mut engine, program, &batch(1));
    let Metrics { loss, right } = run(&mut engine, program);
    let accuracy = right as f64 / BATCH as f64;
    let mut read = |name| widen(&engine.read(program, name).expect("the device answers"));
    let (logits, probabilities) = (read(names::LOGITS), read(names::PROBABILITIES));
    for (name, got) in [("dense2", &logits), ("softmax", &probabilities), ("val_loss", &vec![loss])] {
        let golden = format!("after6/infer/{name}");
        let want = GOLDEN.tensor(&golden).1;
        let spread = GOLDEN.json["tensors"][&golden]["spread_given_stored_state"].as_f64().expect("it has one");
        let bound = SPREADS * spread + ROUNDINGS * GOLDEN.rms(&golden);
        let share = assert_close(&golden, got, &want, |_| bound);
        println!("{what}, {golden}: worst share {share:.3}");
    }
    assert_eq!(accuracy, f64::from(GOLDEN.tensor("after6/infer/val_accuracy").1[0]));
}

#[test]
fn inference_with_stored_weights() {
    check_inference(device(), "device");
}

#[test]
fn inference_with_stored_weights_on_the_twins() {
    check_inference(twins(), "twins");
}

/// The twins differ from the f64 reference by what is kept as f32: weights, moving statistics and moments between steps,
/// and the metrics. Each is a relative error of up to 6e-8, and the sum of sixteen layers' should stay below 1e-6.
#[test]
fn the_losses_of_six_steps_on_the_twins() {
    let mut engine = twins();
    let program = start(&mut engine);
    let want: Vec<f64> =
        GOLDEN.json["f64_losses"].as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap()).collect();
    let got: Vec<f64> = (1..=STEPS).map(|t| step(&mut engine, program, t).loss).collect();
    let share = assert_close("f64 losses", &got, &want, |i| 1e-6 * want[i]);
    println!("losses on the twins: worst share {share:.3} of 1e-6");
}
