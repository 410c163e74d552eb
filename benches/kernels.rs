//! Every operation of a training step, convolutions by each algorithm; the matrix product of 1024 x 1024 x 1024; a whole
//! step. All are held to their f64 twins before they are timed: `cargo bench --bench kernels [-- conv3]`.
//!
//! The wall clock includes a submission and a wait; `ocellus profile` has the device's own timestamps.

use std::sync::OnceLock;

use divan::Bencher;
use divan::counter::ItemsCount;
use ocellus::engine::gpu::session::Session;
use ocellus::engine::gpu::{Choice, Device, Options};
use ocellus::engine::plan::{Plan, Target};
use ocellus::engine::run::Engine;
use ocellus::engine::variant::Algorithm;
use ocellus::engine::variant::Convolutions;
use ocellus::network::compile::training;
use ocellus::network::{Network, tutorial};
use ocellus::ops::dense;
use ocellus::proof::doctor::open;
use ocellus::proof::doctor::step;
use ocellus::proof::doctor::trial;
use ocellus::proof::tune::device::{layers, write_step};

const IMAGE_SIZE: usize = 64;
/// Few, since the twins take the longest.
const BATCH: usize = 8;

/// Read the fastest: on a shared machine the others say what else was running.
const SAMPLES: u32 = 10;

fn main() {
    divan::main();
}

/// What OCELLUS_BENCH_DEVICE chooses as `--device` does.
fn device() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| {
        let choice: Choice = std::env::var("OCELLUS_BENCH_DEVICE").unwrap_or("auto".into()).parse().unwrap();
        let mut device = Device::open(&choice, Options::default()).unwrap_or_else(|error| panic!("{error}"));
        open::run(&mut device).unwrap_or_else(|error| panic!("{error}"));
        eprintln!("{}: {}", device.listed.describe(), device.variant.products());
        device
    })
}

fn network() -> Network {
    tutorial(IMAGE_SIZE, 1.0, 8)
}

fn target(algorithm: Algorithm) -> Target {
    let variant = device().variant.with(Convolutions::All(algorithm));
    Target { variant, ..device().target() }
}

/// One operation, as its plan names it, with convolutions by that algorithm.
#[derive(Clone)]
struct Operation {
    algorithm: Algorithm,
    name: String,
    /// Of the plain computation.
    flops: u64,
    steps: std::ops::Range<usize>,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.name.starts_with("conv") {
            write!(f, "{}, {}", self.name, self.algorithm)
        } else {
            write!(f, "{}", self.name)
        }
    }
}

/// All of them with direct convolution, and the convolutions that others can compute.
fn operations() -> Vec<Operation> {
    let network = network();
    let layers = layers(&network, BATCH);
    let of = |algorithm: Algorithm| {
        let computes = |name: &str| match layers.iter().find(|layer| name.split(' ').next() == Some(&layer.name)) {
            Some(layer) => layer.problem.allows(algorithm),
            None => algorithm == Algorithm::Direct,
        };
        let plan = training(&network, BATCH, &target(algorithm));
        let nodes = plan.nodes.iter().filter(|node| computes(&node.name));
        let operation = |node: &ocellus::engine::plan::Node| Operation {
            algorithm,
            name: node.name.clone(),
            flops: node.flops,
            steps: node.steps.clone(),
        };
        nodes.map(operation).collect::<Vec<_>>()
    };
    Algorithm::ALL.into_iter().flat_map(of).collect()
}

/// A training step with every tensor kept, so that each operation finds its inputs, proved and run once.
fn proved(algorithm: Algorithm) -> &'static Session {
    static PROVED: [OnceLock<Session>; Algorithm::ALL.len()] = [const { OnceLock::new() }; Algorithm::ALL.len()];
    let index = Algorithm::ALL.iter().position(|one| *one == algorithm).expect("it is one of them");
    PROVED[index].get_or_init(|| {
        let (network, target) = (network(), target(algorithm));
        let kept = || step::kept_plan(&network, BATCH, &target);
        let found = step::run(device(), &network, [kept(), training(&network, BATCH, &target)]);
        let found = found.unwrap_or_else(|error| panic!("{error}"));
        assert!(found.passed(), "{algorithm}: {}", found.faults.join("\n"));
        let (share, worst) = &found.worst;
        eprintln!("{algorithm}: {} tensors like their twins', worst {share:.2} of its bound: {worst}", found.compared);
        let mut engine = Engine::Gpu(Box::new(Session::new(device().clone())));
        place(&mut engine, &network, kept());
        let Engine::Gpu(session) = engine else { unreachable!("it was made so") };
        *session
    })
}

#[divan::bench(args = operations(), sample_count = SAMPLES)]
fn operation(bencher: Bencher, operation: &Operation) {
    let session = proved(operation.algorithm);
    let run = || session.run_steps(0, operation.steps.clone()).unwrap_or_else(|error| panic!("{error}"));
    run();
    bencher.counter(ItemsCount::new(operation.flops)).bench_local(run);
}

/// 2.1 GFLOP.
#[divan::bench(sample_count = SAMPLES)]
fn gemm_1024(bencher: Bencher) {
    let p = dense::Problem { batch: 1024, inputs: 1024, outputs: 1024 };
    let [case, ..] = dense::proof::all(p);
    let plan = || case.plan(&device().target());
    let found = trial::run(&case, device(), plan()).unwrap_or_else(|error| panic!("{error}"));
    assert!(found.passed(), "{}", found.faults.join("\n"));
    time_plan(bencher, plan());
}

fn time_plan(bencher: Bencher, plan: Plan) {
    let mut session = Session::new(device().clone());
    let (flops, steps) = (plan.nodes.iter().map(|node| node.flops).sum::<u64>(), 0..plan.steps.len());
    let program = session.load(plan).unwrap_or_else(|error| panic!("{error}"));
    let run = || session.run_steps(program, steps.clone()).unwrap_or_else(|error| panic!("{error}"));
    run();
    bencher.counter(ItemsCount::new(flops)).bench_local(run);
}

/// 64 x 64 pixels, batch 32, as `train` runs it: its loss is the twins', its operations are proved above.
#[divan::bench(sample_count = SAMPLES)]
fn training_step(bencher: Bencher) {
    let network = network();
    let mut engine = Engine::Gpu(Box::new(Session::new(device().clone())));
    let (program, loss) = place(&mut engine, &network, training(&network, 32, &device().target()));
    let (_, want) = place(&mut Engine::Cpu(Default::default()), &network, training(&network, 32, &Target::default()));
    assert!((loss / want - 1.0).abs() < 1e-5, "a loss of {loss}, and {want} on the twins");
    eprintln!("a loss of {loss}, and {want} on the twins");
    bencher.bench_local(|| run(&mut engine, program));
}

/// Loads a training step and runs it once: its number, and the loss.
fn place(engine: &mut Engine, network: &Network, plan: Plan) -> (usize, f64) {
    let program = engine.load(plan).unwrap_or_else(|error| panic!("{error}"));
    write_step(engine, program, network);
    (program, run(engine, program))
}

fn run(engine: &mut Engine, program: usize) -> f64 {
    let running = engine.start(program);
    engine.finish(running).unwrap_or_else(|error| panic!("{error}")).loss
}
