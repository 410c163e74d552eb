//! One plan on the device and on the twins, for tests of more than one node's results.

use ocellus::engine::gpu::session::Session;
use ocellus::engine::plan::Plan;
use ocellus::engine::run::Engine;

use super::device::device;
use super::steps::twins;

pub struct Both {
    gpu: Engine,
    twins: Engine,
}

const PROGRAM: usize = 0;

impl Both {
    /// `build` is called twice, since a plan belongs to the engine that runs it.
    #[track_caller]
    pub fn load(build: impl Fn() -> Plan) -> Both {
        let mut both = Both { gpu: Engine::Gpu(Box::new(Session::new(device().clone()))), twins: twins() };
        both.each(|engine| assert_eq!(engine.load(build()).unwrap_or_else(|error| panic!("{error}")), PROGRAM));
        both
    }

    fn each(&mut self, mut act: impl FnMut(&mut Engine)) {
        act(&mut self.gpu);
        act(&mut self.twins);
    }

    pub fn write(&mut self, name: &str, values: &[f32]) {
        self.each(|engine| engine.write(PROGRAM, name, values));
    }

    pub fn write_integers(&mut self, name: &str, values: &[u32]) {
        self.each(|engine| engine.write_integers(PROGRAM, name, values));
    }

    /// Writes made-up numbers: `make(seed, count)`, another seed for each tensor.
    pub fn fill(&mut self, names: &[&str], make: impl Fn(u64, usize) -> Vec<f32>) {
        for (seed, name) in names.iter().enumerate() {
            let plan = self.gpu.plan(PROGRAM);
            let id = plan.find(name).unwrap_or_else(|| panic!("the plan has no tensor {name}"));
            let count = plan.tensor(id).shape.iter().product();
            self.write(name, &make(seed as u64, count));
        }
    }

    #[track_caller]
    pub fn run(&mut self) {
        self.each(|engine| engine.run(PROGRAM).unwrap_or_else(|error| panic!("{error}")));
    }

    #[track_caller]
    pub fn gpu(&mut self, name: &str) -> Vec<f32> {
        self.gpu.read(PROGRAM, name).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    #[track_caller]
    pub fn twin(&mut self, name: &str) -> Vec<f32> {
        self.twins.read(PROGRAM, name).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Integers that both agree on; a device's come back as the bits of floats.
    #[track_caller]
    pub fn integers(&mut self, name: &str) -> Vec<u32> {
        let Engine::Cpu(twins) = &self.twins else { unreachable!("the twins run on no device") };
        let id = twins.plan(PROGRAM).find(name).expect("a tensor of that name");
        let want = twins.integers(PROGRAM, id).to_vec();
        let got: Vec<u32> = self.gpu(name).into_iter().map(f32::to_bits).collect();
        assert_eq!(got, want, "{name}");
        got
    }
}
