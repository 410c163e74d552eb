//! The device of a test program, and plans that run on it and on the twins.

use std::sync::OnceLock;

use ocellus::gpu::session::Session;
use ocellus::gpu::{Choice, Device, Options};
use ocellus::ops::gemm::{Core, MOST_LANES};
use ocellus::plan::{Plan, Target};
use ocellus::{cpu, plan};

/// One device a test program. `OCELLUS_TEST_DEVICE` chooses it as `--device` does; with `OCELLUS_TEST_CHECKED` set, the
/// shaders are compiled with their checks.
pub fn device() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| open(std::env::var_os("OCELLUS_TEST_CHECKED").is_some()))
}

pub fn open(checked_shaders: bool) -> Device {
    let choice: Choice = std::env::var("OCELLUS_TEST_DEVICE").unwrap_or("auto".into()).parse().unwrap();
    // The default limits are those of the least capable adapter: what runs within them runs anywhere.
    let options = Options { checked_shaders, default_limits: true, ..Options::default() };
    Device::open(&choice, options).unwrap_or_else(|error| panic!("{error}"))
}

/// Every core that this device can run, with a small and a large tile where it has a choice.
pub fn cores() -> Vec<Core> {
    let mut cores = workgroup_cores();
    let lanes = device().listed.fixed_subgroup().filter(|&lanes| lanes <= MOST_LANES);
    cores.extend(lanes.map(|lanes| Core::Subgroup { lanes }));
    assert!(cores.contains(&device().target().core), "the device's own core is among them");
    cores
}

/// Every core that any device can run.
pub fn workgroup_cores() -> Vec<Core> {
    [8, 16].map(|threads| Core::Workgroup { threads_m: threads, threads_n: threads }).to_vec()
}

/// The device with one core, and reductions cut into about `parallel_groups` workgroups. Where the device reads through
/// textures, it does so whatever a tensor's size, so that small ones test it.
pub fn target(core: Core, parallel_groups: usize) -> Target {
    let target = device().target();
    Target { core, parallel_groups, texel_reads: target.texel_reads.map(|_| 0), ..target }
}

/// The device as it is, but for dispatches, which fold into two dimensions past `limit` workgroups.
pub fn folding(limit: u32) -> Target {
    Target { groups_per_dimension: limit, ..device().target() }
}

/// An empty plan with room for `images` images in a window.
pub fn plan(target: Target, batch: usize, images: usize) -> Plan {
    let image_bytes = target.binding_bytes / images as u64;
    Plan::new(target, batch, image_bytes)
}

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

    fn id(&self, name: &str) -> plan::TensorId {
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
