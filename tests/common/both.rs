//! One plan on the device and on the twins, for tests of more than one node's results.

use ocellus::cpu;
use ocellus::gpu::session::Session;
use ocellus::plan::{Plan, TensorId};

use super::device::device;

/// One plan, loaded on the device and on the twins.
pub struct Both {
    gpu: Session,
    twins: cpu::Session,
}

const PROGRAM: usize = 0;

impl Both {
    /// `build` is called twice, since a plan belongs to the session that runs it.
    #[track_caller]
    pub fn load(build: impl Fn() -> Plan) -> Both {
        let mut gpu = Session::new(device().clone());
        gpu.load(build()).unwrap_or_else(|error| panic!("{error}"));
        let mut twins = cpu::Session::default();
        twins.load(build());
        Both { gpu, twins }
    }

    pub fn plan(&self) -> &Plan {
        self.gpu.plan(PROGRAM)
    }

    fn id(&self, name: &str) -> TensorId {
        self.plan().find(name).unwrap_or_else(|| panic!("the plan has no tensor {name}"))
    }

    pub fn write(&mut self, name: &str, values: &[f32]) {
        let id = self.id(name);
        self.gpu.write(PROGRAM, id, values);
        self.twins.write(PROGRAM, id, values);
    }

    pub fn write_integers(&mut self, name: &str, values: &[u32]) {
        let id = self.id(name);
        self.gpu.write_integers(PROGRAM, id, values);
        self.twins.write_integers(PROGRAM, id, values);
    }

    /// Writes made-up numbers: `make(seed, count)`, another seed for each tensor.
    pub fn fill(&mut self, names: &[&str], make: impl Fn(u64, usize) -> Vec<f32>) {
        for (seed, name) in names.iter().enumerate() {
            let count = self.plan().tensor(self.id(name)).shape.iter().product();
            self.write(name, &make(seed as u64, count));
        }
    }

    pub fn run(&mut self) {
        self.gpu.start(PROGRAM);
        self.run_twins();
    }

    pub fn run_twins(&mut self) {
        self.twins.run(PROGRAM);
    }

    #[track_caller]
    pub fn gpu(&mut self, name: &str) -> Vec<f32> {
        let id = self.id(name);
        self.gpu.read(PROGRAM, id).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Integers come back as the bits of floats.
    #[track_caller]
    pub fn gpu_integers(&mut self, name: &str) -> Vec<u32> {
        self.gpu(name).into_iter().map(f32::to_bits).collect()
    }

    pub fn twin_integers(&self, name: &str) -> Vec<u32> {
        self.twins.integers(PROGRAM, self.id(name)).to_vec()
    }

    pub fn twin(&self, name: &str) -> Vec<f32> {
        self.twins.read(PROGRAM, self.id(name))
    }
}
