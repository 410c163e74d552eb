//! Where plans run: on a device, on the f64 twins, or on several of either. All take the same plans.

pub mod group;
pub mod process;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::engine::collective::Collective;
use crate::engine::cpu;
use crate::engine::gpu::pace::DISPATCH_MS;
use crate::engine::gpu::session::{Running as OnDevice, Session};
use crate::engine::gpu::{Device, Options};
use crate::engine::plan::{Plan, Target, TensorId};
use crate::engine::receipt;
use crate::engine::variant::Variant;
use crate::error::Result;
use group::{Group, OfRanks};
use process::{OfProcess, Process};

#[derive(Debug)]
pub enum Engine {
    Gpu(Box<Session>),
    Cpu(cpu::Session),
    /// Several of the others, which compute one plan together.
    Group(Box<Group>),
    /// A rank of several processes, which compute one plan together.
    Process(Box<Process>),
}

/// A run that was started.
#[derive(Debug)]
pub enum Running {
    OnDevice(OnDevice),
    Done(Vec<f32>),
    OnGroup(OfRanks),
    /// A run that could not be started fails where it is waited for.
    OnProcess(Result<OfProcess>),
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
    /// Gives up the devices, with their plans and their memory; what it takes to open each again.
    pub fn close(&mut self) -> Vec<Closed> {
        match std::mem::replace(self, Engine::Cpu(Default::default())) {
            Engine::Gpu(session) => {
                let Device { listed, options, variant, .. } = session.device.clone();
                vec![Closed { info: listed.info, options: options.halved(), variant }]
            }
            Engine::Cpu(_) => Vec::new(),
            Engine::Group(mut group) => group.close(),
            // The other processes cannot be asked to begin anew.
            Engine::Process(_) => Vec::new(),
        }
    }

    /// How many devices compute together.
    pub fn ranks(&self) -> usize {
        match self {
            Engine::Gpu(_) | Engine::Cpu(_) => 1,
            Engine::Group(group) => group.ranks(),
            Engine::Process(process) => process.ranks(),
        }
    }

    /// The number of this process among those that compute together; 0 is the one that saves and reports.
    pub fn process(&self) -> usize {
        match self {
            Engine::Process(process) => process.rank(),
            _ => 0,
        }
    }

    /// Whether other processes compute with this one.
    pub fn has_other_processes(&self) -> bool {
        matches!(self, Engine::Process(process) if process.ranks() > 1)
    }

    /// A flag that says whether a run should end: `asked` itself, or one that all processes set after the same step.
    pub fn agreed(&mut self, asked: &Arc<AtomicBool>) -> Arc<AtomicBool> {
        match self {
            Engine::Process(process) => process.agreed(asked),
            _ => Arc::clone(asked),
        }
    }

    /// Goes on without other processes, where there are any. They must not wait for this one.
    pub fn go_alone(&mut self) {
        if let Engine::Process(process) = self {
            process.go_alone();
        }
    }

    /// Seconds spent so far in exchanges with other devices: waiting for them, and copying.
    pub fn exchange_seconds(&self) -> f64 {
        match self {
            Engine::Gpu(_) | Engine::Cpu(_) => 0.0,
            Engine::Group(group) => group.spent().seconds(),
            Engine::Process(process) => process.exchange_seconds(),
        }
    }

    pub fn describe(&self) -> String {
        match self {
            Engine::Gpu(session) => session.device.listed.describe(),
            Engine::Cpu(_) => "the f64 CPU reference".into(),
            Engine::Group(group) => group.describe(),
            Engine::Process(process) => process.describe(),
        }
    }

    pub fn is_software(&self) -> bool {
        match self {
            Engine::Gpu(session) => session.device.listed.is_software(),
            Engine::Cpu(_) => true,
            Engine::Group(group) => group.is_software(),
            Engine::Process(process) => process.own().is_software(),
        }
    }

    /// The longest that a dispatch may take, in milliseconds.
    pub fn dispatch_ms(&self) -> u32 {
        match self {
            Engine::Gpu(session) => session.device.options.dispatch_ms.unwrap_or(DISPATCH_MS),
            Engine::Cpu(_) => DISPATCH_MS,
            Engine::Group(group) => group.dispatch_ms(),
            Engine::Process(process) => process.own().dispatch_ms(),
        }
    }

    pub fn target(&self) -> Target {
        match self {
            Engine::Gpu(session) => session.device.target(),
            Engine::Cpu(_) => Target::default(),
            Engine::Group(group) => group.target(),
            Engine::Process(process) => process.target(),
        }
    }

    /// Prepares a plan and returns the number by which it is run.
    ///
    /// # Panics
    /// On several devices, whose ranks have plans of their own: [`Engine::load_for`].
    pub fn load(&mut self, plan: Plan) -> Result<usize> {
        match self {
            Engine::Gpu(session) => session.load(plan),
            Engine::Cpu(session) => Ok(session.load(plan)),
            Engine::Group(_) | Engine::Process(_) => panic!("each rank has a plan of its own"),
        }
    }

    /// Prepares the plan that `make` makes for a target: for each rank of a group its own.
    pub fn load_for(&mut self, target: &Target, make: impl Fn(&Target) -> Plan) -> Result<usize> {
        match self {
            Engine::Group(group) => group.load(target, make),
            Engine::Process(process) => process.load(target, make),
            _ => self.load(make(target)),
        }
    }

    /// Makes room for plans that will be loaded: those that `make` makes for a target.
    pub fn reserve_for(&mut self, target: &Target, make: impl Fn(&Target) -> Vec<Plan>) -> Result<()> {
        match self {
            Engine::Group(group) => group.reserve(target, make),
            Engine::Process(process) => process.reserve(target, make),
            _ => self.reserve(&make(target)),
        }
    }

    /// Makes room for plans that will be loaded.
    ///
    /// # Panics
    /// On several devices, as [`Engine::load`].
    pub fn reserve(&mut self, plans: &[Plan]) -> Result<()> {
        match self {
            Engine::Gpu(session) => session.reserve(plans),
            Engine::Cpu(_) => Ok(()),
            Engine::Group(_) | Engine::Process(_) => panic!("each rank has plans of its own"),
        }
    }

    pub fn plan(&self, program: usize) -> &Plan {
        match self {
            Engine::Gpu(session) => session.plan(program),
            Engine::Cpu(session) => session.plan(program),
            Engine::Group(group) => group.plan(program),
            Engine::Process(process) => process.plan(program),
        }
    }

    pub(super) fn id(&self, program: usize, name: &str) -> TensorId {
        self.plan(program).find(name).unwrap_or_else(|| panic!("the plan has no tensor {name}"))
    }

    /// The images, by their places in the batch, that this process must have for the run that comes `ahead` runs from now; other
    /// processes have the others.
    pub fn images_to_read(&self, program: usize, ahead: usize) -> Range<usize> {
        match self {
            Engine::Process(process) => process.images_to_read(program, ahead),
            _ => 0..self.plan(program).batch,
        }
    }

    /// Writes the tensor of that name; panics when the plan has none, or one of another size. A group is given the numbers
    /// of the whole batch, and each rank takes its own.
    pub fn write(&mut self, program: usize, name: &str, values: &[f32]) {
        let id = self.id(program, name);
        match self {
            Engine::Gpu(session) => session.write(program, id, values),
            Engine::Cpu(session) => session.write(program, id, values),
            Engine::Group(group) => group.write(program, name, values),
            Engine::Process(process) => process.write(program, name, values, Engine::write),
        }
    }

    pub fn write_integers(&mut self, program: usize, name: &str, values: &[u32]) {
        let id = self.id(program, name);
        match self {
            Engine::Gpu(session) => session.write_integers(program, id, values),
            Engine::Cpu(session) => session.write_integers(program, id, values),
            Engine::Group(group) => group.write_integers(program, name, values),
            Engine::Process(process) => process.write(program, name, values, Engine::write_integers),
        }
    }

    /// Reads the tensor of that name after every run started so far.
    pub fn read(&mut self, program: usize, name: &str) -> Result<Vec<f32>> {
        let id = self.id(program, name);
        match self {
            Engine::Gpu(session) => session.read(program, id),
            Engine::Cpu(session) => Ok(session.read(program, id)),
            Engine::Group(group) => group.read(program, name),
            Engine::Process(process) => process.read(program, name),
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
            Engine::Group(group) => {
                let running = group.start(program);
                group.finish(running).map(drop)
            }
            Engine::Process(process) => {
                let running = process.start(program)?;
                process.finish(running).map(drop)
            }
        }
    }

    /// Starts one run of a plan that has metrics. No more than two may be unfinished.
    pub fn start(&mut self, program: usize) -> Running {
        match self {
            Engine::Gpu(session) => Running::OnDevice(session.start(program).expect("the plan has metrics")),
            Engine::Cpu(session) => Running::Done(session.run(program)),
            Engine::Group(group) => Running::OnGroup(group.start(program)),
            Engine::Process(process) => Running::OnProcess(process.start(program)),
        }
    }

    /// Starts one run of a rank's plan, and returns after its last exchange with the other ranks.
    ///
    /// # Errors
    /// When this device fails, or another rank does.
    pub fn start_with(&mut self, program: usize, collective: &mut dyn Collective) -> Result<Running> {
        match self {
            Engine::Gpu(session) => {
                let running = session.start_with(program, Some(collective))?;
                Ok(Running::OnDevice(running.expect("the plan has metrics")))
            }
            Engine::Cpu(session) => session.run_with(program, Some(collective)).map(Running::Done),
            Engine::Group(_) | Engine::Process(_) => panic!("several devices are no rank"),
        }
    }

    /// Whether the device has nothing to do; None where nobody knows without waiting.
    pub fn is_idle(&self) -> Option<bool> {
        match self {
            Engine::Gpu(session) => Some(session.is_idle()),
            Engine::Cpu(_) => Some(true),
            Engine::Group(_) | Engine::Process(_) => None,
        }
    }

    /// Waits for a run.
    pub fn finish(&mut self, running: Running) -> Result<Metrics> {
        Ok(Metrics::new(&self.numbers(running)?))
    }

    /// Waits for a run: its metrics, then its receipt.
    pub(super) fn numbers(&mut self, running: Running) -> Result<Vec<f32>> {
        match (self, running) {
            (Engine::Gpu(session), Running::OnDevice(running)) => session.finish(&running),
            (Engine::Group(group), Running::OnGroup(running)) => group.finish(running),
            (Engine::Process(process), Running::OnProcess(running)) => process.finish(running?),
            (_, Running::Done(numbers)) => Ok(numbers),
            _ => unreachable!("runs are finished where they were started"),
        }
    }
}
