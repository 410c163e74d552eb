//! What stops a step that has a number which is none, on the device and on the twins.

use crate::common::both::Both;
use crate::common::device;
use crate::common::steps::{device as engine, twins, write_batch};
use ocellus::app::data::Images;
use ocellus::app::golden::training::updated;
use ocellus::app::train::feed::Labelled;
use ocellus::engine::image_size::ImageSize;
use ocellus::engine::numbers::uniform;
use ocellus::engine::plan::names;
use ocellus::engine::plan::{Layout, Plan, Target};
use ocellus::engine::receipt::FAULT;
use ocellus::engine::run::Engine;
use ocellus::network::compile as plans;
use ocellus::network::weights;
use ocellus::network::{Layer, Network, Template, tutorial};
use ocellus::ops::dense::Dense;
use ocellus::ops::global_average_pool::GlobalAveragePool;
use ocellus::ops::guard::steps::{self, Tensors};

/// The largest number that Adam can square.
const LARGEST: f32 = f32::from_bits(0x5f7f_ffff);

/// Numbers that a step must not go on with.
fn unusable() -> [f32; 8] {
    let negative_nan = f32::from_bits(f32::NAN.to_bits() | 0x8000_0000);
    let signalling_nan = f32::from_bits(0x7f80_0001);
    let [limit, inf] = [LARGEST.next_up(), f32::INFINITY];
    [f32::NAN, negative_nan, signalling_nan, inf, -inf, limit, -limit, f32::MAX]
}

/// A guard over `count` tensors of one shape.
fn plan(target: Target, count: usize, shape: &[usize]) -> Plan {
    let mut plan = device::plan(target, 1, 1);
    let checked: Vec<_> = (0..count).map(|i| plan.kept(&format!("tensor {i}"), shape, Layout::Rows)).collect();
    let [rate, gate, receipt] = ["rate", "gate", "receipt"].map(|name| plan.kept(name, &[4], Layout::Packed));
    let places = plan.places(checked[0]);
    let flags = plan.integers("flags", &[count * places]);
    for (number, id) in checked.into_iter().enumerate() {
        steps::check(&mut plan, "check", id, number * places, flags);
    }
    steps::stop(&mut plan, "stop", Tensors { flags, rate, gate, receipt }, true);
    plan
}

/// The gate and the fault that device and twins agree on.
fn outcome(both: &mut Both) -> (Vec<f32>, f32) {
    both.run();
    let (gate, fault) = (both.gpu("gate"), both.gpu("receipt")[FAULT]);
    assert_eq!((&gate, fault), (&both.twin("gate"), both.twin("receipt")[FAULT]));
    (gate, fault)
}

fn load(target: &Target, count: usize, shape: &[usize]) -> Both {
    let mut both = Both::load(|| plan(target.clone(), count, shape));
    for tensor in 0..count {
        both.fill(&[&format!("tensor {tensor}")], uniform);
    }
    both.write("rate", &[0.25, 0.0, 0.0, 0.0]);
    both.write("receipt", &[0.0; 4]);
    both
}

#[test]
fn kernels_match_their_twins() {
    device::prove("guard/check");
    device::prove("guard/stop");
}

/// Every kind of unusable number, first, last and in between, and the flag of 64 numbers that it sets.
#[test]
fn check() {
    // 3,072 vec4s are 48 workgroups; the second target folds them into two dimensions.
    for target in [device::device().target(), device::folding(20)] {
        for count in [1, 5, 4 * 64, 3 * 4 * 1024 - 4, 3 * 4 * 1024] {
            let mut both = load(&target, 1, &[count]);
            let mut values = uniform(0, count);
            values[count / 3] = LARGEST;
            values[count / 2] = -LARGEST;
            both.write("tensor 0", &values);
            assert_eq!(outcome(&mut both), (vec![0.25, 0.0, 0.0, 0.0], 0.0), "{count} numbers, all usable");
            for (number, place) in unusable().into_iter().zip([0, count - 1, count / 2, count / 3].iter().cycle()) {
                let mut values = values.clone();
                values[*place] = number;
                both.write("tensor 0", &values);
                let flag = (place / 64) as f32;
                assert_eq!(
                    outcome(&mut both),
                    (vec![0.25, 1.0, 0.0, 0.0], 1.0 + flag),
                    "{number} at {place} of {count}"
                );
            }
        }
    }
}

/// The first flag is named, and none outlives its step.
#[test]
fn stop() {
    let mut both = load(&device::device().target(), 5, &[7]);
    let usable = uniform(0, 7);
    let broken = [&usable[..6], &[f32::NAN]].concat();
    for flags in 0..32u32 {
        for tensor in 0..5 {
            both.write(&format!("tensor {tensor}"), if flags >> tensor & 1 == 1 { &broken } else { &usable });
        }
        let (gate, fault) = outcome(&mut both);
        let first = if flags == 0 { 0 } else { flags.trailing_zeros() + 1 };
        assert_eq!((gate[1], fault), (first.min(1) as f32, first as f32), "flags {flags:05b}");
    }
}

const BATCH: usize = 4;

fn data() -> Labelled {
    let pixels = uniform(1, BATCH * 32 * 32 * 3).into_iter().map(|number| ((number + 1.0) * 127.5) as u8).collect();
    Labelled::new(Images { size: 32.into(), count: BATCH, pixels }, vec![0, 1, 2, 1])
}

/// Everything that Adam changes, as bits.
fn state(engine: &mut Engine, program: usize, network: &Network) -> Vec<(String, Vec<u32>)> {
    let moments = updated(network).into_iter().flat_map(|name| names::MOMENTS.map(|m| format!("{m}/{name}")));
    let all: Vec<String> = updated(network).into_iter().chain(moments).collect();
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
    all.into_iter().map(|name| (name.clone(), bits(engine.read(program, &name).unwrap()))).collect()
}

/// A training plan with a batch, ready to run.
fn loaded(engine: &mut Engine, network: &Network) -> usize {
    let plan = plans::training(network, BATCH, &engine.target());
    let program = engine.load(plan).unwrap();
    engine.write(program, names::CLASS_WEIGHT, &[1.0; 3]);
    engine.write(program, names::RATE, &[1e-3, 0.0, 0.0, 0.0]);
    write_batch(engine, program, &data());
    program
}

/// What the message says of the first fault of a step that starts with these weights.
fn first_fault(engine: &mut Engine, program: usize) -> Option<String> {
    let running = engine.start(program);
    let fault = engine.finish(running).unwrap().fault;
    let plan = engine.plan(program);
    fault.map(|fault| names::in_words(&plan.tensor(plan.guarded[fault]).name))
}

/// Fresh weights, one number of one parameter replaced.
fn broken(engine: &mut Engine, program: usize, network: &Network, parameter: &str, value: f32) {
    let mut tensors = weights::initial(network, 3);
    let tensor = tensors.iter_mut().find(|tensor| tensor.name == parameter).unwrap();
    let middle = tensor.data.len() / 2;
    tensor.data[middle] = value;
    weights::upload(engine, program, network, &tensors);
}

/// A number that is none in any parameter stops the step, which then changes nothing, and the message names the layer
/// in which it was first seen: a ReLU may hide it from everything behind.
#[test]
fn nothing_unusable_reaches_a_weight() {
    let network = tutorial(32, 0.0625, 3);
    for mut engine in [engine(), twins()] {
        let program = loaded(&mut engine, &network);
        broken(&mut engine, program, &network, "conv1.kernel", 0.0);
        let fresh = state(&mut engine, program, &network);
        assert_eq!(first_fault(&mut engine, program), None, "a usable number");
        assert_ne!(state(&mut engine, program, &network), fresh, "the step changes something");
        for (parameter, words) in [
            ("conv1.kernel", "what bn1 normalises"),
            ("conv5.kernel", "what bn5 normalises"),
            ("bn1.beta", "what bn2 normalises"),
            ("dense2.kernel", "the loss"),
        ] {
            for value in [f32::NAN, f32::INFINITY] {
                broken(&mut engine, program, &network, parameter, value);
                let before = state(&mut engine, program, &network);
                let said = first_fault(&mut engine, program);
                assert!(said.as_ref().is_some_and(|said| said.contains(words)), "{parameter} {value}: {said:?}");
                assert!(state(&mut engine, program, &network) == before, "{parameter} {value} changed something");
            }
        }
        for parameter in updated(&network) {
            broken(&mut engine, program, &network, &parameter, f32::NAN);
            assert!(first_fault(&mut engine, program).is_some(), "{parameter} is not guarded");
        }
    }
}

/// Only a kernel's gradient overflows: it is a product of activations of about 100 and a signal that is just usable. The
/// update itself must find it; none of it gets through.
#[test]
fn the_gradient_of_a_kernel_alone_is_found() {
    let network = tutorial(32, 0.0625, 3);
    for mut engine in [engine(), twins()] {
        let program = loaded(&mut engine, &network);
        let mut tensors = weights::initial(&network, 3);
        for tensor in &mut tensors {
            match &*tensor.name {
                "bn8.beta" => tensor.data.fill(100.0),
                "dense1.kernel" => tensor.data.fill(0.0),
                "dense2.kernel" => tensor.data.iter_mut().for_each(|number| *number *= 10.0),
                _ => {}
            }
        }
        weights::upload(&mut engine, program, &network, &tensors);
        assert_eq!(first_fault(&mut engine, program), None, "within the range");
        weights::upload(&mut engine, program, &network, &tensors);
        engine.write(program, names::CLASS_WEIGHT, &[1e18; 3]);
        let said = first_fault(&mut engine, program);
        assert_eq!(said.as_deref(), Some("the gradient of dense1.kernel"));
        for (name, bits) in state(&mut engine, program, &network) {
            assert!(bits.into_iter().all(|bits| f32::from_bits(bits).is_finite()), "{name}");
        }
        assert_eq!(
            engine.read(program, names::RECEIPT).unwrap()[FAULT] as usize,
            1 + guarded(&engine, program, "dense1.kernel")
        );
        engine.write(program, names::CLASS_WEIGHT, &[1.0; 3]);
        assert_eq!(first_fault(&mut engine, program), None, "no flag outlives its step");
    }
}

/// Adam and the guard have no arena where nothing is small, or where all that is small is frozen.
#[test]
fn networks_without_small_gradients_train() {
    // Weights and biases of the dense layer take more than an arena's tensors do.
    let classes = 17_000;
    let pool = Layer::GlobalAveragePool(GlobalAveragePool {});
    let dense = |units| Layer::Dense(Dense { units });
    let build = |layers: &[Layer]| Template::chain(layers).build(ImageSize::square(32), 1.0, classes).unwrap();
    let large = build(&[pool, dense(0)]);
    let mut frozen = build(&[pool, dense(4), dense(0)]);
    frozen.freeze(&["dense1".into()]).unwrap();
    for network in [large, frozen] {
        for mut engine in [engine(), twins()] {
            let plan = plans::training(&network, BATCH, &engine.target());
            let program = engine.load(plan).unwrap();
            engine.write(program, names::CLASS_WEIGHT, &vec![1.0; classes]);
            engine.write(program, names::RATE, &[1e-3, 0.0, 0.0, 0.0]);
            write_batch(&mut engine, program, &data());
            let last = network.layers.last().unwrap();
            let of_last = format!("{}.kernel", last.name);
            broken(&mut engine, program, &network, &of_last, 0.0);
            let before = engine.read(program, &of_last).unwrap();
            assert_eq!(first_fault(&mut engine, program), None);
            assert_ne!(engine.read(program, &of_last).unwrap(), before, "the step changes something");
            broken(&mut engine, program, &network, &of_last, f32::NAN);
            let before = engine.read(program, &of_last).unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>();
            assert_eq!(first_fault(&mut engine, program).as_deref(), Some("the loss"));
            let after = engine.read(program, &of_last).unwrap();
            assert!(after.into_iter().map(f32::to_bits).eq(before), "the stopped step changed something");
        }
    }
}

fn guarded(engine: &Engine, program: usize, parameter: &str) -> usize {
    let plan = engine.plan(program);
    let gradient = plan.find(&names::gradient(parameter)).unwrap();
    plan.guarded.iter().position(|&id| id == gradient).unwrap()
}
