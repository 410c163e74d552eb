//! Opens a device: before it is used, it shows that its optional paths give right results, and how fast it is.
//! Takes a second or two on a software adapter, which compiles as it runs, and milliseconds on a GPU.

use std::time::{Duration, Instant};

use crate::engine::cpu;
use crate::engine::gpu::pace::{DISPATCH_MS, Pace};
use crate::engine::gpu::session::Session;
use crate::engine::gpu::warm::warm_up;
use crate::engine::gpu::{Choice, Device, Options};
use crate::engine::plan::{Layout, Plan, Target, TensorId};
use crate::engine::run::group::Group;
use crate::engine::run::{Closed, Engine};
use crate::engine::shader::Shaders;
use crate::engine::shape::Padding;
use crate::engine::variant::Variant;
use crate::error::{Error, Result};
use crate::notes::note;
use crate::ops::case::Case;
use crate::ops::conv2d::{self, Problem};
use crate::proof::doctor;

/// Images, side, channels in and out of the convolution that checks them: ragged everywhere, a moment for its twin, and
/// with weights large enough to be read through a texture.
const CHECKED: [usize; 4] = [3, 7, 12, 40];
/// Sizes of the convolution that is timed: a fraction of a millisecond on the fastest GPU.
const TIMED: [usize; 4] = [16, 56, 64, 64];
/// The fastest of a few runs counts: the first compiles.
const RUNS: usize = 3;

/// How often a lost device is tried, and the time between: a driver that resets a GPU needs some seconds.
const TRIES: usize = 5;
const RESET: Duration = Duration::from_secs(2);

fn warn(warning: Option<String>) {
    if let Some(warning) = warning {
        note!("warning: {warning}");
    }
}

/// Opens a device, or the twins.
///
/// # Errors
/// `Error::Input` for the twins with options that only a device has; those of `Device::open`; a device that is lost on the
/// way.
pub fn open(choice: &Choice, options: Options) -> Result<Engine> {
    Ok(match choice {
        Choice::Cpu => {
            let refused = [
                (options.shaders != Shaders::default(), "runs no shaders: leave out --shaders"),
                (options.matrix_units, "has no matrix units: leave out --matrix-units"),
            ];
            if let Some((_, why)) = refused.into_iter().find(|(refused, _)| *refused) {
                return Err(Error::Input(format!("the CPU reference {why}, or choose another --device")));
            }
            Engine::Cpu(cpu::Session::default())
        }
        _ => {
            let mut device = Device::open(choice, options)?;
            warn(run(&mut device)?);
            Engine::Gpu(Box::new(Session::new(device)))
        }
    })
}

/// Opens the devices of a run in which one was lost, with dispatches half as long. One that is still being reset is
/// waited for.
///
/// # Errors
/// As [`open`].
pub fn reopen(closed: &[Closed]) -> Result<Engine> {
    let mut engines = closed.iter().map(reopen_one).collect::<Result<Vec<Engine>>>()?;
    match engines.len() {
        1 => Ok(engines.remove(0)),
        _ => Ok(Engine::Group(Box::new(Group::new(engines)?))),
    }
}

fn reopen_one(closed: &Closed) -> Result<Engine> {
    let choice = Choice::Again(Box::new(closed.info.clone()));
    let mut opened = open(&choice, closed.options.clone());
    for _ in 1..TRIES {
        if let Err(Error::Device(_)) = opened {
            std::thread::sleep(RESET);
            opened = open(&choice, closed.options.clone());
        }
    }
    let mut engine = opened?;
    choose(&mut engine, closed.variant.clone())?;
    Ok(engine)
}

/// Has plans made from here on compute in this way, if it gives right results.
///
/// # Errors
/// When the device is lost.
pub fn choose(engine: &mut Engine, variant: Variant) -> Result<()> {
    let Engine::Gpu(session) = engine else { return Ok(()) };
    if session.device.variant != variant {
        session.device.variant = variant;
        warn(check(&mut session.device)?);
    }
    Ok(())
}

/// Checks a convolution once more where shader files were replaced: no variant is left to fall back to that is known to be
/// right. `ocellus doctor` checks all kernels.
///
/// # Errors
/// `Error::Check` if it gives wrong results.
pub fn check_replaced(engine: &Engine) -> Result<()> {
    match engine {
        Engine::Gpu(session) if session.device.options.shaders != Shaders::default() => {
            match computes_rightly(&session.device, session.device.target())? {
                true => Ok(()),
                false => Err(Error::Check(
                    "the shaders of --shaders give wrong results: `ocellus doctor --shaders DIR` says which and where"
                        .into(),
                )),
            }
        }
        _ => Ok(()),
    }
}

/// Checks that activations may be stored in half precision; the twins do not store them so.
///
/// # Errors
/// `Error::Device` if the device cannot do that.
pub fn check_halves(engine: &Engine) -> Result<()> {
    match engine {
        Engine::Gpu(session) => device_stores_halves(&session.device),
        Engine::Cpu(_) => Ok(()),
        Engine::Group(_) | Engine::Process(_) => unreachable!("devices are checked before they are grouped"),
    }
}

/// Turns the optional paths off if they fail here, and measures the pace unless nothing watches the time. Returns what the
/// user should know.
pub fn run(device: &mut Device) -> Result<Option<String>> {
    let warning = check(device)?;
    measure(device)?;
    Ok(warning)
}

/// Measures the pace, unless nothing watches the time.
pub fn measure(device: &mut Device) -> Result<()> {
    let dispatch_ms = device.options.dispatch_ms.or((!device.listed.is_software()).then_some(DISPATCH_MS));
    if let Some(milliseconds) = dispatch_ms {
        let dispatch_seconds = f64::from(milliseconds) / 1e3;
        device.pace = Some(Pace { flops_per_second: speed(device)?, dispatch_seconds });
    }
    Ok(())
}

/// Turns the variant off if it needs more than plain WebGPU and fails here. Returns what the user should know.
pub fn check(device: &mut Device) -> Result<Option<String>> {
    if let Some(warning) = check_units(device)? {
        return Ok(check(device)?.or(Some(warning)));
    }
    if !device.variant.is_optional() || computes_rightly(device, device.target())? {
        return Ok(None);
    }
    let failed = std::mem::take(&mut device.variant);
    let cause = if device.options.shaders == Shaders::default() { "this driver" } else { "this driver and --shaders" };
    Ok(Some(format!("{failed} gives wrong results with {cause} and is turned off: this will be slower")))
}

/// Turns matrix units off if a convolution that they compute is out of its bounds, at the first that is. Returns what the user
/// should know.
fn check_units(device: &mut Device) -> Result<Option<String>> {
    let Some(units) = device.variant.matrix_units else { return Ok(None) };
    note!("Checking {units}");
    let targets = [doctor::target_in(device, device.variant.clone())];
    let runs = |case: &Case| case.plan(&targets[0]).steps.iter().any(|step| step.is_on_units());
    for case in conv2d::proof::direct().into_iter().filter(|case| case.telling && runs(case)) {
        let rows = doctor::run_cases_in(device, &targets, &[case], |_| {})?;
        if let Some(row) = rows.iter().find(|row| !row.findings.passed()) {
            let fault = row.findings.faults.first().map_or("nothing compared", |fault| fault);
            device.variant.matrix_units = None;
            return Ok(Some(format!("{units} are turned off, {} is wrong with this driver: {fault}", row.kernel)));
        }
    }
    Ok(None)
}

/// Checks that activations may be stored in half precision.
///
/// # Errors
/// `Error::Device` if the device cannot convert them, or does not do it rightly.
fn device_stores_halves(device: &Device) -> Result<()> {
    let target = Target { half_activations: true, ..device.target() };
    if device.listed.halves && computes_rightly(device, target)? {
        return Ok(());
    }
    let device = device.listed.describe();
    Err(Error::Device(format!("{device} cannot store activations in half precision: leave out --half-activations")))
}

/// A forward convolution, and the names of what it reads and writes.
fn plan(target: Target, [images, side, cin, cout]: [usize; 4]) -> (Plan, Problem, [TensorId; 4]) {
    let p = Problem::new([images, side, side, cin], cout, [3, 3], [1, 1], Padding::Same);
    let mut plan = Plan::new(target, images, 0);
    let x = plan.output("x", &[images, side, side, cin]);
    let w = plan.kept("w", &p.weight_shape(), Layout::Matrix);
    let bias = plan.kept("bias", &[cout], Layout::Rows);
    let y = plan.output("y", &[images, side, side, cout]);
    [(x, "x"), (y, "y")].into_iter().for_each(|(id, name)| plan.keep(id, name));
    conv2d::steps::forward(&mut plan, "probe", p, conv2d::steps::Forward { x, w, bias, y, moments: false });
    (plan, p, [x, w, bias, y])
}

/// Small whole numbers, which every order of summation adds exactly, to sums that halves hold.
fn whole(count: usize) -> Vec<f32> {
    (0..count).map(|index| (index * index % 7) as f32 - 3.0).collect()
}

/// Whether what the device would use for a target gives the twin's numbers, all of them.
fn computes_rightly(device: &Device, target: Target) -> Result<bool> {
    let (on_device, _, [.., y]) = plan(target, CHECKED);
    // Shaders that do not fit together are no fault of the device.
    on_device.modules().map_err(Error::Input)?;
    let mut session = Session::new(device.clone());
    let program = match session.load(on_device) {
        // Refused by the driver, which is one way of not working.
        Err(Error::Device(_)) => return Ok(false),
        loaded => loaded?,
    };
    let mut twins = cpu::Session::default();
    let twin = twins.load(plan(Target::default(), CHECKED).0);
    for id in (0..y.0).map(TensorId) {
        let values = whole(session.plan(program).tensor(id).shape.iter().product());
        session.write(program, id, &values);
        twins.write(twin, id, &values);
    }
    session.start(program);
    twins.run(twin);
    Ok(session.read(program, y)? == twins.read(twin, y))
}

/// Operations a second of a convolution.
fn speed(device: &Device) -> Result<f64> {
    let (timed, p, _) = plan(device.target(), TIMED);
    let mut session = Session::new(device.clone());
    let program = session.load(timed)?;
    let mut run = || {
        let started = Instant::now();
        session.start(program);
        session.wait()?;
        Ok(started.elapsed().as_secs_f64())
    };
    warm_up(device.listed.is_software(), &mut run)?;
    let seconds: Vec<f64> = (0..RUNS).map(|_| run()).collect::<Result<_>>()?;
    Ok(p.flops() as f64 / seconds.into_iter().fold(f64::INFINITY, f64::min))
}
