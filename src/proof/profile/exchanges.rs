//! The time of each exchange between the devices of a group.

use std::time::Instant;

use serde_json::{Value, json};

use super::{RUNS, of_runs, shown};
use crate::engine::gpu::warm::warm_up;
use crate::engine::numbers::{median, range};
use crate::engine::plan::budget::MIB;
use crate::engine::plan::{Exchange, Target};
use crate::engine::run::Engine;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::network::compile::training;
use crate::proof::tune::device::write_step;

/// Exchanges of a training step, as the first device sees them.
#[derive(Clone, Debug)]
pub struct Exchanges {
    pub devices: usize,
    /// Median wall clock of a step.
    pub step_seconds: f64,
    /// The shortest and the longest step.
    pub step_range: [f64; 2],
    pub each: Vec<Exchanged>,
}

/// One place where devices meet.
#[derive(Clone, Debug)]
pub struct Exchanged {
    pub name: String,
    /// Bytes that the first device gives.
    pub given: u64,
    /// Bytes that it gets.
    pub got: u64,
    /// Median time from its own numbers being there to all others being there: waiting for other devices, and copying. What
    /// travels while the device computes counts as 0.
    pub seconds: f64,
    /// The shortest and the longest time.
    pub range: [f64; 2],
}

/// Times the exchanges of a training step of a network with fresh weights.
///
/// # Errors
/// `Error::Input` where one device computes, which has nobody to exchange with; those of the devices.
pub fn run(engine: &mut Engine, network: &Network, batch: usize, target: &Target) -> Result<Exchanges> {
    let program = engine.load_for(target, |target| training(network, batch, target))?;
    write_step(engine, program, network);
    let software = engine.is_software();
    let Engine::Group(group) = engine else {
        return Err(Error::Input("one device has nobody to exchange with: name several".into()));
    };
    let meetings: Vec<usize> = group.plan(program).exchanges.iter().map(Exchange::meetings).collect();
    let mut times = vec![Vec::new(); meetings.len()];
    let mut step = || {
        let started = Instant::now();
        let running = group.start(program);
        group.finish(running)?;
        let mut last = group.spent().last(meetings.iter().sum()).into_iter();
        times.iter_mut().zip(&meetings).for_each(|(times, meetings)| times.push(last.by_ref().take(*meetings).sum()));
        Ok(started.elapsed().as_secs_f64())
    };
    warm_up(software, &mut step)?;
    let steps: Vec<f64> = (0..RUNS).map(|_| step()).collect::<Result<_>>()?;
    let (plan, devices) = (group.plan(program), group.ranks());
    let exchanged = |(exchange, times): (&Exchange, &Vec<f64>)| {
        let [given, got] = plan.exchanged(exchange);
        let times = &times[times.len() - RUNS..];
        Exchanged { name: exchange.name.clone(), given, got, seconds: median(times), range: range(times) }
    };
    let each = plan.exchanges.iter().zip(&times).map(exchanged).collect();
    Ok(Exchanges { devices, step_seconds: median(&steps), step_range: range(&steps), each })
}

impl Exchanges {
    /// A row for each exchange, in the order of the step, then their sum.
    pub fn to_text(&self) -> String {
        let mut out =
            format!("{:<40} {:>10} {:>10} {:>10} {:>17}\n", "exchange", "MiB given", "MiB got", "ms", of_runs());
        for Exchanged { name, given, got, seconds, range } in &self.each {
            let ([given, got], of_runs) = ([given, got].map(|bytes| *bytes as f64 / MIB), shown(*range, 3));
            out += &format!("{name:<40} {given:>10.3} {got:>10.3} {:>10.3} {of_runs:>17}\n", 1e3 * seconds);
        }
        let sum: f64 = self.each.iter().map(|one| one.seconds).sum();
        out + &format!(
            "{} devices, {} exchanges: {:.1} ms of a step of {:.1} ms ({}; {:.1} %)\n",
            self.devices,
            self.each.len(),
            1e3 * sum,
            1e3 * self.step_seconds,
            shown(self.step_range, 1),
            100.0 * sum / self.step_seconds
        )
    }

    pub fn to_json(&self) -> Value {
        let each = |one: &Exchanged| {
            json!({
                "name": one.name,
                "given": one.given,
                "got": one.got,
                "seconds": one.seconds,
                "range": one.range,
            })
        };
        json!({
            "devices": self.devices,
            "step_seconds": self.step_seconds,
            "step_range": self.step_range,
            "exchanges": self.each.iter().map(each).collect::<Vec<_>>(),
        })
    }
}
