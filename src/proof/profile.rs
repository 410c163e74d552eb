//! Where a step's time goes, and how near each part comes to what the device can do at the most.

pub mod exchanges;
mod trace;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::engine::gpu::session::Session;
use crate::engine::gpu::warm::warm_up;
use crate::engine::image_size::ImageSize;
use crate::engine::numbers::{median, range};
use crate::engine::plan::{Layout, Plan, Step, Target, View, memory};
use crate::engine::run::Engine;
use crate::engine::variant::{Abilities, Variant};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::ops::peak;
use crate::proof::tune::device::write_step;

/// Runs whose median counts, after those that compile and warm up.
const RUNS: usize = 5;
const ARITHMETIC_PROBE: &str = "peak of arithmetic";
const MEMORY_PROBE: &str = "peak of memory";

/// The most that a device was seen to do, by the probes of `shaders/peak`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peaks {
    /// Multiply-adds count as two.
    pub gflops: f64,
    /// Read and written.
    pub gbytes_per_second: f64,
}

/// Time of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    pub name: String,
    pub kernel: &'static str,
    /// Median of the runs.
    pub seconds: f64,
    /// The shortest and the longest of the runs.
    pub range: [f64; 2],
    pub gflop: f64,
    /// Bound to the step, each byte counted once.
    pub gbytes: f64,
    /// Tensors that are copied into textures before it.
    pub copied: usize,
}

/// A node of the plan: the steps of one operation, together.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    pub name: String,
    /// Median, over the runs, of the time of its steps together.
    pub seconds: f64,
    /// The shortest and the longest such time.
    pub range: [f64; 2],
    /// That its steps compute.
    pub gflop: f64,
    /// That the plain computation would take: more than `gflop` where Winograd saves products.
    pub direct_gflop: f64,
    pub gbytes: f64,
}

#[derive(Clone, Debug)]
pub struct Profile {
    pub device: String,
    pub driver: String,
    pub image_size: ImageSize,
    pub batch: usize,
    pub variant: Variant,
    /// The largest binding of the plan's target.
    pub binding_bytes: u64,
    /// Median wall clock of a training step, data on the device, metrics read back.
    pub step_seconds: f64,
    /// The shortest and the longest of these.
    pub step_range: [f64; 2],
    /// Median time in which the host encodes and submits one.
    pub submit_seconds: f64,
    pub peaks: Peaks,
    pub peak_bytes: u64,
    pub steps: Vec<Timed>,
    pub operations: Vec<Operation>,
}

/// How much the probes do.
#[derive(Clone, Copy, Debug)]
pub struct ProbeSizes {
    /// Numbers that the probe of arithmetic works on, and iterations of each.
    pub numbers: usize,
    pub iterations: usize,
    /// Bytes that the probe of memory copies.
    pub copied: usize,
}

impl ProbeSizes {
    /// Work for a millisecond or more, and more memory than the caches hold: a few of a CPU's MiB, up to 100 of a GPU's.
    pub fn of(abilities: &Abilities) -> ProbeSizes {
        match abilities {
            Abilities { software: true, .. } => ProbeSizes { numbers: 1 << 17, iterations: 1 << 12, copied: 64 << 20 },
            Abilities { discrete: true, .. } => ProbeSizes { numbers: 1 << 21, iterations: 1 << 13, copied: 512 << 20 },
            _ => ProbeSizes { numbers: 1 << 19, iterations: 1 << 12, copied: 128 << 20 },
        }
    }
}

/// The probes as a plan of two nodes.
pub fn probes(target: &Target, sizes: ProbeSizes) -> Plan {
    let mut plan = Plan::new(target.clone(), 1, 1);
    let [x, y] = ["x", "y"].map(|name| plan.kept(name, &[sizes.numbers], Layout::Rows));
    peak::steps::arithmetic(&mut plan, ARITHMETIC_PROBE, sizes.iterations, x, y);
    let copied = sizes.copied.min(target.binding_bytes as usize) / 4;
    let [from, to] = ["from", "to"].map(|name| plan.kept(name, &[copied], Layout::Rows));
    peak::steps::copy(&mut plan, MEMORY_PROBE, from, to);
    plan
}

/// Times a plan of a training step of a network with fresh weights, and every part of it. `Error::Input` for the CPU
/// reference, which has no steps.
pub fn run(engine: &mut Engine, network: &Network, plan: Plan) -> Result<Profile> {
    refuse_twins(engine)?;
    let software = engine.is_software();
    let (batch, peak_bytes) = (plan.batch, memory::total(&plan).bytes());
    let program = engine.load(plan)?;
    write_step(engine, program, network);
    let mut submit_seconds = Vec::new();
    let mut step = || {
        let started = std::time::Instant::now();
        let running = engine.start(program);
        submit_seconds.push(started.elapsed().as_secs_f64());
        engine.finish(running)?;
        Ok(started.elapsed().as_secs_f64())
    };
    warm_up(software, &mut step)?;
    let step_seconds: Vec<f64> = (0..RUNS).map(|_| step()).collect::<Result<_>>()?;
    let submit_seconds = submit_seconds.split_off(submit_seconds.len() - RUNS);
    let Engine::Gpu(session) = engine else { unreachable!("the twins were refused") };
    let peaks = peaks(session)?;
    let runs = time_steps(session, program)?;
    let plan = session.plan(program);
    let steps = timed(plan, &runs);
    let operation = |node: &crate::engine::plan::Node| {
        let of_runs: Vec<f64> = runs.iter().map(|run| run[node.steps.clone()].iter().sum()).collect();
        let steps = &steps[node.steps.clone()];
        let sum = |of: fn(&Timed) -> f64| steps.iter().map(of).sum();
        Operation {
            name: node.name.clone(),
            seconds: median(&of_runs),
            range: range(&of_runs),
            gflop: sum(|step| step.gflop),
            direct_gflop: node.flops as f64 / 1e9,
            gbytes: sum(|step| step.gbytes),
        }
    };
    let operations = plan.nodes.iter().map(operation).collect();
    let (variant, binding_bytes) = (plan.target.variant.clone(), plan.target.binding_bytes);
    let info = &session.device.listed.info;
    Ok(Profile {
        device: info.name.clone(),
        driver: format!("{} {}", info.driver, info.driver_info),
        image_size: network.image_size,
        batch,
        variant,
        binding_bytes,
        step_seconds: median(&step_seconds),
        step_range: range(&step_seconds),
        submit_seconds: median(&submit_seconds),
        peaks,
        peak_bytes,
        steps,
        operations,
    })
}

/// Times the steps of a training step that run one shader file, alone. `Error::Input` when no step
/// runs it, and for the CPU reference, which has no steps.
pub fn run_only(engine: &mut Engine, network: &Network, plan: Plan, shader: &str) -> Result<Vec<Timed>> {
    let run: BTreeSet<&str> = plan.files().map_err(Error::Input)?.into_iter().flatten().collect();
    if !run.contains(shader) {
        let of = plan.target.shaders.offer(shader, run);
        return Err(Error::Input(format!(
            "no step of this network on this device runs a shader of the name {shader}{of}"
        )));
    }
    let plan = plan.only(shader).map_err(Error::Input)?;
    refuse_twins(engine)?;
    let program = engine.load(plan)?;
    write_step(engine, program, network);
    let Engine::Gpu(session) = engine else { unreachable!("the twins were refused") };
    session.time_steps(program)?;
    let runs = time_steps(session, program)?;
    Ok(timed(session.plan(program), &runs))
}

/// Each step of a plan with its times in several runs.
fn timed(plan: &Plan, runs: &[Vec<f64>]) -> Vec<Timed> {
    let memory = memory::assign(plan);
    let of = |(index, (step, copies)): (usize, (&Step, &Vec<View>))| {
        let of_runs: Vec<f64> = runs.iter().map(|run| run[index]).collect();
        let cost = plan.cost(step);
        Timed {
            name: step.name.clone(),
            kernel: step.kernel.path,
            seconds: median(&of_runs),
            range: range(&of_runs),
            gflop: cost.flops as f64 / 1e9,
            gbytes: cost.bytes as f64 / 1e9,
            copied: copies.len(),
        }
    };
    plan.steps.iter().zip(&memory.copies).enumerate().map(of).collect()
}

/// Milliseconds from the shortest run to the longest: `12.80-13.01`.
fn shown([least, most]: [f64; 2], digits: usize) -> String {
    format!("{:.digits$}-{:.digits$}", 1e3 * least, 1e3 * most)
}

/// Head of the column of `shown`.
fn of_runs() -> String {
    format!("of {RUNS} runs")
}

/// Table of one row per step, then their sum.
pub fn steps_to_text(steps: &[Timed]) -> String {
    let mut out = format!("{:<48} {:>9} {:>17} {:>9} {:>9}\n", "step", "ms", of_runs(), "GFLOP/s", "GB/s");
    for Timed { name, seconds, range, gflop, gbytes, .. } in steps {
        out += &format!(
            "{name:<48} {:>9.3} {:>17} {:>9.1} {:>9.2}\n",
            1e3 * seconds,
            shown(*range, 3),
            gflop / seconds,
            gbytes / seconds
        );
    }
    let sum: f64 = steps.iter().map(|step| step.seconds).sum();
    out + &format!("{} steps, {:.3} ms in all\n", steps.len(), 1e3 * sum)
}

/// An object per step.
pub fn steps_to_json(steps: &[Timed]) -> Value {
    let object = |step: &Timed| {
        json!({
            "name": step.name,
            "kernel": step.kernel,
            "seconds": step.seconds,
            "range": step.range,
            "gflop": step.gflop,
            "gbytes": step.gbytes,
        })
    };
    steps.iter().map(object).collect()
}

fn refuse_twins(engine: &Engine) -> Result<()> {
    match engine {
        Engine::Cpu(_) => {
            Err(Error::Input("the CPU reference has no kernels to profile; choose a device by --device".into()))
        }
        Engine::Gpu(_) | Engine::Group(_) | Engine::Process(_) => Ok(()),
    }
}

/// The best of several runs of each probe.
pub fn peaks(session: &mut Session) -> Result<Peaks> {
    let abilities = session.device.abilities();
    let sizes = ProbeSizes::of(&abilities);
    let program = session.load(probes(&session.device.target(), sizes))?;
    let x = session.plan(program).find("x").expect("the probes have it");
    session.write(program, x, &vec![0.5; sizes.numbers]);
    warm_up(abilities.software, || Ok(session.time_steps(program)?.iter().sum()))?;
    let mut best = [f64::INFINITY; 2];
    for _ in 0..RUNS {
        let seconds = session.time_steps(program)?;
        best.iter_mut().zip(seconds).for_each(|(best, seconds)| *best = best.min(seconds));
    }
    let plan = session.plan(program);
    let cost = |index: usize| plan.cost(&plan.steps[index]);
    Ok(Peaks { gflops: cost(0).flops as f64 / best[0] / 1e9, gbytes_per_second: cost(1).bytes as f64 / best[1] / 1e9 })
}

/// The time of each step, in each of several runs.
fn time_steps(session: &mut Session, program: usize) -> Result<Vec<Vec<f64>>> {
    (0..RUNS).map(|_| session.time_steps(program)).collect()
}

impl Profile {
    /// An operation a row, the longest first, then what is left between their sum and the wall clock.
    pub fn to_text(&self) -> String {
        let sum: f64 = self.operations.iter().map(|operation| operation.seconds).sum();
        let mut rows: Vec<&Operation> = self.operations.iter().collect();
        rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        let mut out = format!(
            "{}, {}\npeaks, probed: {:.1} GFLOP/s, {:.1} GB/s\n\n{:<32} {:>9} {:>15} {:>6} {:>9} {:>9} {:>8} {:>9} {:>8}\n",
            self.device,
            self.driver,
            self.peaks.gflops,
            self.peaks.gbytes_per_second,
            "operation",
            "ms",
            of_runs(),
            "share",
            "GFLOP/s",
            "direct",
            "of peak",
            "GB/s",
            "of peak",
        );
        for row in rows {
            let per_second = |amount: f64| amount / row.seconds;
            out += &format!(
                "{:<32} {:>9.2} {:>15} {:>5.1}% {:>9.1} {:>9.1} {:>7.0}% {:>9.2} {:>7.0}%\n",
                row.name,
                1e3 * row.seconds,
                shown(row.range, 2),
                100.0 * row.seconds / sum,
                per_second(row.gflop),
                per_second(row.direct_gflop),
                100.0 * per_second(row.gflop) / self.peaks.gflops,
                per_second(row.gbytes),
                100.0 * per_second(row.gbytes) / self.peaks.gbytes_per_second,
            );
        }
        let direct: f64 = self.operations.iter().map(|operation| operation.direct_gflop).sum();
        let products = self.steps.iter().filter(|step| step.name.starts_with("conv") || step.name.starts_with("dense"));
        let products: f64 = products.map(|step| step.seconds).sum();
        out += &format!(
            "\nsum of the operations {:.1} ms; a whole step {:.1} ms by the clock on the wall ({}; {:+.1} ms)\n\
             convolutions and dense layers {:.1} % of the sum, the rest {:.1} %\n\
             {:.2} GFLOP as direct convolution counts them: {:.1} GFLOP/s; {:.0} MiB on the device\n",
            1e3 * sum,
            1e3 * self.step_seconds,
            shown(self.step_range, 1),
            1e3 * (self.step_seconds - sum),
            100.0 * products / sum,
            100.0 - 100.0 * products / sum,
            direct,
            direct / self.step_seconds,
            self.peak_bytes as f64 / f64::from(1 << 20),
        );
        out
    }

    pub fn to_json(&self) -> Value {
        let operations = self.operations.iter().map(|operation| {
            json!({
                "name": operation.name,
                "seconds": operation.seconds,
                "range": operation.range,
                "gflop": operation.gflop,
                "direct_gflop": operation.direct_gflop,
                "gbytes": operation.gbytes,
            })
        });
        json!({
            "device": self.device,
            "driver": self.driver,
            "image_size": self.image_size,
            "batch": self.batch,
            "variant": self.variant,
            "binding_bytes": self.binding_bytes,
            "step_seconds": self.step_seconds,
            "step_range": self.step_range,
            "peaks": { "gflops": self.peaks.gflops, "gbytes_per_second": self.peaks.gbytes_per_second },
            "peak_bytes": self.peak_bytes,
            "steps": steps_to_json(&self.steps),
            "operations": operations.collect::<Vec<_>>(),
        })
    }
}
