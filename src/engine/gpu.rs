//! Adapters and devices: which there are, which one to take, what it can do.

pub mod ahead;
pub mod choice;
pub mod compile;
pub mod dispatch;
mod environment;
pub mod pace;
mod poll;
pub mod session;
pub mod timing;
pub mod translate;
mod units;
pub mod warm;

use std::sync::{Arc, Mutex};

use crate::engine::plan::Target;
use crate::engine::shader::Shaders;
use crate::engine::variant::{Abilities, MatrixUnits, Variant};
use crate::error::{Error, Result};
pub use choice::{Choice, no_adapter};
use pace::Pace;
use poll::Unfinished;

/// A vec4: a limit on bindings must be a multiple of what is bound.
const BINDING_ALIGNMENT: u64 = 16;

/// An adapter as `ocellus devices` lists it.
#[derive(Clone, Debug)]
pub struct Listed {
    pub info: wgpu::AdapterInfo,
    pub limits: wgpu::Limits,
    pub features: wgpu::Features,
    /// Whether shaders can convert to half precision and back.
    pub halves: bool,
    /// Matrix units that the kernels can be made for, or what it lacks for them.
    pub matrix_units: std::result::Result<MatrixUnits, String>,
    /// Why it cannot be used, if so.
    pub problem: Option<String>,
}

impl Listed {
    fn new(adapter: &wgpu::Adapter) -> Listed {
        let limits = adapter.limits();
        let mut problem = None;
        if !wgpu::Limits::defaults().check_limits(&limits) {
            problem = Some("its limits are below WebGPU's defaults".to_string());
        }
        let (info, features) = (adapter.get_info(), adapter.features());
        let halves = adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::SHADER_F16_IN_F32);
        let matrix_units = units::of(&info, features, &adapter.cooperative_matrix_properties());
        Listed { info, limits, features, halves, matrix_units, problem }
    }

    /// Subgroup kernels need one size that never changes.
    pub fn fixed_subgroup(&self) -> Option<usize> {
        let fixed = self.info.subgroup_min_size == self.info.subgroup_max_size;
        let usable = fixed && self.features.contains(wgpu::Features::SUBGROUP) && self.info.subgroup_min_size > 0;
        usable.then_some(self.info.subgroup_min_size as usize)
    }

    pub fn is_software(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    /// `llvmpipe (LLVM 15.0.6, 256 bits), Vulkan, Mesa 22.3.6`
    pub fn describe(&self) -> String {
        let info = &self.info;
        format!("{}, {:?}, {} {}", info.name, info.backend, info.driver, info.driver_info)
    }

    /// `vulkan:llvmpipe (LLVM 15.0.6, 256 bits)`, by which it can be chosen.
    pub fn spelled(&self) -> String {
        format!("{}:{}", self.info.backend, self.info.name)
    }

    /// Real GPUs before software, discrete before integrated.
    fn rank(&self) -> usize {
        match self.info.device_type {
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu => 1,
            wgpu::DeviceType::VirtualGpu => 2,
            wgpu::DeviceType::Other => 3,
            wgpu::DeviceType::Cpu => 4,
        }
    }
}

fn adapters() -> Vec<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let instance = wgpu::Instance::new(descriptor.with_env());
    pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()))
}

/// Every adapter, in the order that `Choice::Index` counts.
pub fn list() -> Vec<Listed> {
    adapters().iter().map(Listed::new).collect()
}

/// An open device.
#[derive(Clone, Debug)]
pub struct Device {
    pub listed: Listed,
    /// How it was opened.
    pub options: Options,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub limits: wgpu::Limits,
    /// How plans compute on it: the best guess for its kind, until `tune` knows better or `probe` finds that it fails here.
    pub variant: Variant,
    /// How fast work is handed over; `None` where nothing watches the time.
    pub pace: Option<Pace>,
    /// The first error that no call returned: a lost device, or a call that validation refused.
    fault: Arc<Mutex<Option<Fault>>>,
}

/// Errors are not `Clone`; a latched one is kept as kind and text.
#[derive(Clone, Debug)]
struct Fault {
    lost: bool,
    message: String,
}

/// How a device is opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Shader modules are made with bounds checks, checked division and workgroup zero-fill.
    pub checked_shaders: bool,
    /// No more than WebGPU's default limits, whatever the adapter offers.
    pub default_limits: bool,
    /// No storage binding larger than this, whatever the adapter offers.
    pub binding_bytes: Option<u64>,
    /// The longest that a dispatch may take; without it, `pace::DISPATCH_MS` on a GPU, and any time on a software adapter.
    pub dispatch_ms: Option<u32>,
    /// Matrix units may compute products: experimental in wgpu, so they are asked for here, or not at all.
    pub matrix_units: bool,
    /// The files that kernels are made of.
    pub shaders: Shaders,
    /// The device is destroyed when it has started as many runs (with a receipt) as the first of these says, the one opened in its place
    /// as the next says: for tests of what happens then.
    pub lose_after: &'static [usize],
}

impl Options {
    /// With dispatches half as long, for a device that was lost.
    pub fn halved(self) -> Options {
        let dispatch_ms = Some((self.dispatch_ms.unwrap_or(pace::DISPATCH_MS) / 2).max(1));
        Options { dispatch_ms, lose_after: self.lose_after.get(1..).unwrap_or_default(), ..self }
    }
}

impl Device {
    /// Opens the adapter that was asked for. `Choice::Cpu` is not a device and panics: the caller handles it.
    pub fn open(choice: &Choice, options: Options) -> Result<Device> {
        let adapters = adapters();
        let listed: Vec<Listed> = adapters.iter().map(Listed::new).collect();
        let index = choice::choose(choice, &listed)?;
        let listed = listed[index].clone();
        if let Some(problem) = &listed.problem {
            return Err(Error::Device(format!("{} cannot be used: {problem}", listed.describe())));
        }
        let mut limits = wgpu::Limits::defaults();
        if !options.default_limits {
            limits.max_storage_buffer_binding_size = listed.limits.max_storage_buffer_binding_size;
            limits.max_buffer_size = listed.limits.max_buffer_size;
        }
        if let Some(bytes) = options.binding_bytes {
            let fewer = limits.max_storage_buffer_binding_size.min(bytes);
            limits.max_storage_buffer_binding_size = fewer - fewer % BINDING_ALIGNMENT;
        }
        let optional = wgpu::Features::SUBGROUP | wgpu::Features::TIMESTAMP_QUERY;
        let (mut wanted, mut experimental) = (listed.features & optional, wgpu::ExperimentalFeatures::disabled());
        if options.matrix_units {
            if let Err(missing) = &listed.matrix_units {
                let device = listed.describe();
                return Err(Error::Device(format!(
                    "{device} has no matrix units for --matrix-units: {missing}; leave it out, or choose another --device"
                )));
            }
            wanted |= units::FEATURES;
            // SAFETY: the feature is known to compute wrongly on some drivers. It runs kernels of this program only, which
            // are proved on the device before they are used (`proof::doctor::open`).
            experimental = unsafe { wgpu::ExperimentalFeatures::enabled() };
        }
        let (device, queue) = pollster::block_on(adapters[index].request_device(&wgpu::DeviceDescriptor {
            label: Some("ocellus"),
            required_features: wanted,
            required_limits: limits.clone(),
            experimental_features: experimental,
            ..Default::default()
        }))
        .map_err(|error| Error::Device(format!("{} did not open: {error}", listed.describe())))?;

        let fault = Arc::new(Mutex::new(None));
        let latch = Arc::clone(&fault);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let mut latched = latch.lock().expect("nothing panics while it holds the latch");
            latched.get_or_insert(Fault { lost: false, message: error.to_string() });
        }));
        let latch = Arc::clone(&fault);
        device.set_device_lost_callback(move |reason, message| {
            let mut latched = latch.lock().expect("nothing panics while it holds the latch");
            // The loss is the cause of whatever calls may have complained of before it was reported.
            *latched = Some(Fault { lost: true, message: format!("{message} ({reason:?})") });
        });
        let variant = Variant::all(&abilities(&listed, &limits, &options)).swap_remove(0);
        Ok(Device { listed, options, device, queue, limits, variant, pace: None, fault })
    }

    /// Every variant that it can run, the best guess first.
    pub fn variants(&self) -> Vec<Variant> {
        Variant::all(&self.abilities())
    }

    /// Properties that variants need.
    pub fn abilities(&self) -> Abilities {
        abilities(&self.listed, &self.limits, &self.options)
    }

    /// Properties of this device that the planner needs.
    pub fn target(&self) -> Target {
        let defaults = Target::default();
        let binding_bytes = self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size);
        let groups_per_dimension = self.limits.max_compute_workgroups_per_dimension;
        let dispatch_flops = self.pace.map_or(defaults.dispatch_flops, |pace| pace.dispatch_flops());
        let variant = self.variant.clone();
        let limits = Target { binding_bytes, dispatch_flops, groups_per_dimension, ..defaults };
        let shaders = self.options.shaders.clone();
        Target { checked: self.options.checked_shaders, variant, shaders, ..limits }
    }

    /// Waits until the device has done a submission and all before it, or everything, as long as `poll::patience` says.
    pub(in crate::engine::gpu) fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let patience = poll::patience(self.listed.is_software());
        let how = wgpu::PollType::Wait { submission_index: submission, timeout: Some(patience) };
        match poll::poll(&self.device, how) {
            Ok(()) => self.check(),
            Err(Unfinished::Lost(message)) => {
                self.latch_loss(message);
                self.check()
            }
            Err(Unfinished::TimedOut) => {
                // The end of a queue waits, without end, for work that may never end.
                std::mem::forget(self.clone());
                self.check()?;
                let seconds = patience.as_secs();
                Err(Error::DeviceLost(format!("{} did not answer for {seconds} s", self.listed.describe())))
            }
        }
    }

    /// Keeps a loss that was found while the device was waited for, if it has not been reported yet.
    fn latch_loss(&self, message: String) {
        let mut latched = self.fault.lock().expect("nothing panics while it holds the latch");
        if !matches!(*latched, Some(Fault { lost: true, .. })) {
            *latched = Some(Fault { lost: true, message });
        }
    }

    /// Runs `work`, and returns the first error that its calls on this thread came to: they return none themselves. Running
    /// out of memory comes first, since other errors follow from it.
    pub(in crate::engine::gpu) fn scoped<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
        let scopes = [OutOfMemory, Internal, Validation].map(|filter| self.device.push_error_scope(filter));
        let done = work();
        let mut first = None;
        for scope in scopes.into_iter().rev() {
            first = pollster::block_on(scope.pop()).or(first);
        }
        let device = self.listed.describe();
        match first {
            None => Ok(done),
            Some(error @ wgpu::Error::OutOfMemory { .. }) => Err(Error::Device(format!(
                "{device} is out of memory ({error}): lower --batch, --image-size or --width"
            ))),
            Some(error) => Err(Error::Device(format!("{device}: {error}"))),
        }
    }

    /// The error latched since the device was opened, if any.
    pub fn check(&self) -> Result<()> {
        // A loss is reported by a poll, and calls complain before that.
        if let Err(Unfinished::Lost(message)) = poll::poll(&self.device, wgpu::PollType::Poll) {
            self.latch_loss(message);
        }
        let fault = self.fault.lock().expect("nothing panics while it holds the latch").clone();
        match fault {
            None => Ok(()),
            Some(Fault { lost: true, message }) => {
                Err(Error::DeviceLost(format!("{} was lost: {message}", self.listed.describe())))
            }
            Some(Fault { message, .. }) => Err(Error::Device(format!("{}: {message}", self.listed.describe()))),
        }
    }
}

fn abilities(listed: &Listed, limits: &wgpu::Limits, options: &Options) -> Abilities {
    Abilities {
        software: listed.is_software(),
        discrete: listed.info.device_type == wgpu::DeviceType::DiscreteGpu,
        fixed_subgroup: listed.fixed_subgroup(),
        matrix_units: listed.matrix_units.clone().ok().filter(|_| options.matrix_units),
        workgroup_threads: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x)
            as usize,
        workgroup_bytes: limits.max_compute_workgroup_storage_size as usize,
    }
}
