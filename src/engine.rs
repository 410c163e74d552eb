//! Where plans run: on a device, or on the f64 twins. The two take the same plans.

use std::time::Duration;

use crate::cpu;
use crate::error::{Error, Result};
use crate::gpu::pace::DISPATCH_MS;
use crate::gpu::session::{Running as OnDevice, Session};
use crate::gpu::{Choice, Device, Options, probe};
use crate::notes::note;
use crate::ops::receipt;
use crate::plan::{Plan, Target, TensorId};
use crate::variant::Variant;

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

/// What a run says of its batch.
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
    info: wgpu::AdapterInfo,
    options: Options,
    variant: Variant,
}

/// How often a lost device is tried, and the time between: a driver that resets a GPU needs some seconds.
const TRIES: usize = 5;
const RESET: Duration = Duration::from_secs(2);

fn warn(warning: Option<String>) {
    if let Some(warning) = warning {
        note!("warning: {warning}");
    }
}

impl Engine {
    pub fn open(choice: &Choice, options: Options) -> Result<Engine> {
        Ok(match choice {
            Choice::Cpu => Engine::Cpu(cpu::Session::default()),
            _ => {
                let mut device = Device::open(choice, options)?;
                warn(probe::run(&mut device)?);
                Engine::Gpu(Box::new(Session::new(device)))
            }
        })
    }

    /// That activations may be stored in half precision; the twins do not store them so.
    ///
    /// # Errors
    /// `Error::Device` if the device cannot do that.
    pub fn check_halves(&self) -> Result<()> {
        match self {
            Engine::Gpu(session) => probe::check_halves(&session.device),
            Engine::Cpu(_) => Ok(()),
        }
    }

    /// Gives up the device, with its plans and its memory; what it takes to open it again.
    pub fn close(&mut self) -> Option<Closed> {
        let Engine::Gpu(session) = std::mem::replace(self, Engine::Cpu(Default::default())) else { return None };
        let Device { listed, options, variant, .. } = session.device.clone();
        Some(Closed { info: listed.info, options: options.halved(), variant })
    }

    /// Opens a device that was lost, with dispatches half as long. One that is still being reset is waited for.
    pub fn reopen(&mut self, closed: &Closed) -> Result<()> {
        let choice = Choice::Again(Box::new(closed.info.clone()));
        let mut opened = Engine::open(&choice, closed.options.clone());
        for _ in 1..TRIES {
            if let Err(Error::Device(_)) = opened {
                std::thread::sleep(RESET);
                opened = Engine::open(&choice, closed.options.clone());
            }
        }
        *self = opened?;
        self.choose(closed.variant.clone())
    }

    /// Has plans made from here on compute in this way, if it gives right results.
    pub fn choose(&mut self, variant: Variant) -> Result<()> {
        let Engine::Gpu(session) = self else { return Ok(()) };
        if session.device.variant != variant {
            session.device.variant = variant;
            warn(probe::check(&mut session.device)?);
        }
        Ok(())
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
