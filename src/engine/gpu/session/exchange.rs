//! Exchanges of a plan on a device: a rank's own numbers are read back, and those of the others written.

use std::ops::Range;

use super::Piece;
use super::transfer::{self, ToHost};
use crate::engine::collective::Collective;
use crate::engine::gpu::pace::Pace;
use crate::engine::gpu::{Device, poll};
use crate::engine::plan::{self, Exchange, Plan, TensorId};
use crate::error::Result;

/// Copies of an exchange: numbers that all ranks get, and slices, of which each gets its own.
#[derive(Debug)]
pub(super) struct Copies {
    gather: Option<Move>,
    deal: Option<Move>,
    /// Whether slices must be there at once.
    at_once: bool,
}

/// Bytes for other ranks, and room for theirs.
#[derive(Debug)]
struct Move {
    /// Runs for all ranks, or for each; none for this one.
    own: Vec<Vec<Run>>,
    /// Room for those of each rank; none for this one's.
    others: Vec<Vec<Run>>,
    /// Bytes of the longest of either.
    block: u64,
    staging: wgpu::Buffer,
}

/// Bytes of a buffer.
#[derive(Debug)]
struct Run {
    buffer: wgpu::Buffer,
    offset: u64,
    bytes: u64,
}

/// Slices on their way to the other ranks, while the device computes.
#[derive(Debug)]
pub(super) struct Behind<'p> {
    deal: &'p Move,
    own: ToHost,
}

/// Cuts a plan's steps into submissions that end in time and at exchanges, and says after which of them there is one.
pub(super) fn submissions(plan: &Plan, pace: Option<&Pace>) -> (Vec<Range<usize>>, Vec<usize>) {
    let (mut submissions, mut before_exchanges): (Vec<Range<usize>>, Vec<usize>) = Default::default();
    let mut first = 0;
    for end in plan.exchanges.iter().map(|exchange| exchange.before).chain([plan.steps.len()]) {
        if first > 0 {
            before_exchanges.push(submissions.len() - 1);
        }
        match pace {
            Some(pace) => {
                let runs = pace.submissions(plan.steps[first..end].iter().map(|step| plan.cost(step)));
                submissions.extend(runs.into_iter().map(|run| first + run.start..first + run.end));
            }
            None => submissions.push(first..end),
        }
        first = end;
    }
    (submissions, before_exchanges)
}

impl Copies {
    pub fn new(device: &Device, plan: &Plan, exchange: &Exchange, memory_of: impl Fn(TensorId) -> Piece) -> Copies {
        let run = |run: &plan::Run| {
            let (Piece { buffer, offset }, place) = (memory_of(run.tensor), plan.bytes_of_run(run));
            Run { buffer, offset: offset + place.start, bytes: place.end - place.start }
        };
        let runs = |runs: Vec<plan::Run>| runs.iter().map(run).collect::<Vec<Run>>();
        let (own, ranks) = (plan.target.shares.rank(), plan.target.shares.ranks());
        let of_others = |of: &dyn Fn(usize) -> Vec<plan::Run>| {
            (0..ranks).map(|rank| if rank == own { Vec::new() } else { runs(of(rank)) }).collect::<Vec<_>>()
        };
        let longest = |all: &dyn Fn(usize) -> Vec<plan::Run>| {
            (0..ranks).map(|rank| plan.bytes_of_runs(&all(rank))).max().unwrap_or(0)
        };
        let gather = (!exchange.gathered.is_empty()).then(|| {
            let of = |rank| plan.runs_of(exchange, rank);
            Move::new(device, vec![runs(of(own))], of_others(&of), longest(&of))
        });
        let deal = (!exchange.dealt.is_empty()).then(|| {
            let (to, from) = (|rank| plan.runs_for(exchange, rank), |rank| plan.runs_from(exchange, rank));
            // Every rank deals to every rank, itself included here: so all know of the longest.
            Move::new(device, of_others(&to), of_others(&from), longest(&to))
        });
        Copies { gather, deal, at_once: exchange.until == exchange.before }
    }

    /// Waits for what was submitted before, and meets the other ranks. What is dealt may still be on its way.
    pub fn run(&self, device: &Device, collective: &mut dyn Collective) -> Result<Option<Behind<'_>>> {
        let [gather, deal] = [&self.gather, &self.deal].map(|one| one.as_ref().map(|one| (one, one.to_host(device))));
        if let Some((gather, own)) = gather {
            let own: Vec<u8> = own.wait(device)?;
            let mut all = vec![0; own.len() * gather.others.len()];
            collective.all_gather(&own, &mut all)?;
            gather.to_device(device, &all);
        }
        let behind = deal.map(|(deal, own)| Behind { deal, own });
        match behind {
            Some(behind) if self.at_once => behind.finish(device, collective).map(|()| None),
            behind => Ok(behind),
        }
    }
}

impl Move {
    fn new(device: &Device, own: Vec<Vec<Run>>, others: Vec<Vec<Run>>, block: u64) -> Move {
        let staging = transfer::staging(device, block * own.len() as u64);
        Move { own, others, block, staging }
    }

    /// Copies this rank's numbers as they are after all that was submitted.
    fn to_host(&self, device: &Device) -> ToHost {
        let mut encoder = device.device.create_command_encoder(&Default::default());
        for (block, runs) in self.own.iter().enumerate() {
            let mut end = block as u64 * self.block;
            for Run { buffer, offset, bytes } in runs {
                encoder.copy_buffer_to_buffer(buffer, *offset, &self.staging, end, *bytes);
                end += bytes;
            }
        }
        ToHost::start(self.staging.clone(), device.queue.submit([encoder.finish()]))
    }

    /// Writes the numbers of the other ranks.
    fn to_device(&self, device: &Device, all: &[u8]) {
        for (block, runs) in all.chunks(self.block as usize).zip(&self.others) {
            let mut rest = block;
            for Run { buffer, offset, bytes } in runs {
                let (these, others) = rest.split_at(*bytes as usize);
                device.queue.write_buffer(buffer, *offset, these);
                rest = others;
            }
        }
    }
}

impl Behind<'_> {
    /// Meets the other ranks. The device goes on with what was submitted meanwhile.
    pub fn finish(self, device: &Device, collective: &mut dyn Collective) -> Result<()> {
        let own: Vec<u8> = self.own.wait(device)?;
        let mut all = vec![0; own.len()];
        collective.all_to_all(&own, &mut all)?;
        if !poll::is_idle(&device.device) {
            collective.was_hidden();
        }
        self.deal.to_device(device, &all);
        Ok(())
    }
}
