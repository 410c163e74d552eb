//! Where plans run: on a device, or on the f64 twins. The two take the same plans.

use crate::engine::cpu;
use crate::engine::gpu::pace::DISPATCH_MS;
use crate::engine::gpu::session::{Running as OnDevice, Session};
use crate::engine::gpu::{Device, Options};
use crate::engine::plan::{Plan, Target, TensorId};
use crate::engine::receipt;
use crate::engine::variant::Variant;
use crate::error::Result;

#[derive(Debug)]
pub enum Engine {
    Gpu(Box<Session>),
    Cpu(cpu::Session),
}

/// A run that was started.
#[derive(Debug)]
pub enum Running {
    OnDevice(OnDevice),
    Done(Vec<f32>),
}

/// Loss and accuracy of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metrics {
    /// Sum of the samples' weighted losses.
    pub loss: f64,
    /// Samples predicted right.
    pub right: usize,
    /// Index in `Plan::guarded` of the first tensor that is unusable; then no weight was changed.
    pub fault: Option<usize>,
}

impl Metrics {
    /// From the tensors of metrics and receipt, one after the other.
    fn new(numbers: &[f32]) -> Metrics {
        let (metrics, receipt) = numbers.split_at(numbers.len() - receipt::LENGTH);
        let fault = (receipt[receipt::FAULT] as usize).checked_sub(1);
        Metrics { loss: f64::from(metrics[0]), right: metrics[1] as usize, fault }
    }
}

/// A device that was open.
#[derive(Clone, Debug)]
pub struct Closed {
    pub info: wgpu::AdapterInfo,
    pub options: Options,
    pub variant: Variant,
}

impl Engine {
    /// Gives up the device, with its plans and its memory; what it takes to open it again.
    pub fn close(&mut self) -> Option<Closed> {
        let Engine::Gpu(session) = std::mem::replace(self, Engine::Cpu(Default::default())) else { return None };
        let Device { listed, options, variant, .. } = session.device.clone();
        Some(Closed { info: listed.info, options: options.halved(), variant })
    }

    pub fn describe(&self) -> String {
        match self {
            Engine::Gpu(session) => session.device.listed.describe(),
            Engine::Cpu(_) => "the f64 CPU reference".into(),
        }
    }

    pub fn is_software(&self) -> bool {
        match self {
            Engine::Gpu(session) => session.device.listed.is_software(),
            Engine::Cpu(_) => true,
        }
    }

    /// The longest that a dispatch may take, in milliseconds.
    pub fn dispatch_ms(&self) -> u32 {
        match self {
            Engine::Gpu(session) => session.device.options.dispatch_ms.unwrap_or(DISPATCH_MS),
            Engine::Cpu(_) => DISPATCH_MS,
        }
    }

    pub fn target(&self) -> Target {
        match self {
            Engine::Gpu(session) => session.device.target(),
            Engine::Cpu(_) => Target::default(),
        }
    }

    /// Prepares a plan and returns the number by which it is run.
    pub fn load(&mut self, plan: Plan) -> Result<usize> {
        match self {
            Engine::Gpu(session) => session.load(plan),
            Engine::Cpu(session) => Ok(session.load(plan)),
        }
    }

    /// Makes room for plans that will be loaded.
    pub fn reserve(&mut self, plans: &[Plan]) -> Result<()> {
        match self {
            Engine::Gpu(session) => session.reserve(plans),
            Engine::Cpu(_) => Ok(()),
        }
    }

    pub fn plan(&self, program: usize) -> &Plan {
        match self {
            Engine::Gpu(session) => session.plan(program),
            Engine::Cpu(session) => session.plan(program),
        }
    }

    fn id(&self, program: usize, name: &str) -> TensorId {
        self.plan(program).find(name).unwrap_or_else(|| panic!("the plan has no tensor {name}"))
    }

    /// Writes the tensor of that name; panics when the plan has none, or one of another size.
    pub fn write(&mut self, program: usize, name: &str, values: &[f32]) {
        let id = self.id(program, name);
        match self {
            Engine::Gpu(session) => session.write(program, id, values),
            Engine::Cpu(session) => session.write(program, id, values),
        }
    }

    pub fn write_integers(&mut self, program: usize, name: &str, values: &[u32]) {
        let id = self.id(program, name);
        match self {
            Engine::Gpu(session) => session.write_integers(program, id, values),
            Engine::Cpu(session) => session.write_integers(program, id, values),
        }
    }

    /// Reads the tensor of that name after every run started so far.
    pub fn read(&mut self, program: usize, name: &str) -> Result<Vec<f32>> {
        let id = self.id(program, name);
        match self {
            Engine::Gpu(session) => session.read(program, id),
            Engine::Cpu(session) => Ok(session.read(program, id)),
        }
    }

    /// Runs a plan once, with metrics or without.
    pub fn run(&mut self, program: usize) -> Result<()> {
        match self {
            Engine::Gpu(session) => session.start(program).map_or(Ok(()), |running| session.finish(&running).map(drop)),
            Engine::Cpu(session) => {
                session.run(program);
                Ok(())
            }
        }
    }

    /// Starts one run of a plan that has metrics. No more than two may be unfinished.
    pub fn start(&mut self, program: usize) -> Running {
        match self {
            Engine::Gpu(session) => Running::OnDevice(session.start(program).expect("the plan has metrics")),
            Engine::Cpu(session) => Running::Done(session.run(program)),
        }
    }

    /// Waits for a run.
    pub fn finish(&mut self, running: Running) -> Result<Metrics> {
        let numbers = match (self, running) {
            (Engine::Gpu(session), Running::OnDevice(running)) => session.finish(&running)?,
            (_, Running::Done(numbers)) => numbers,
            (Engine::Cpu(_), Running::OnDevice(_)) => unreachable!("runs are finished where they were started"),
        };
        Ok(Metrics::new(&numbers))
    }
}
