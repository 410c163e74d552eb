//! Exchanges of a plan on a device: a rank's own rows are read back, and those of the others written.

use std::ops::Range;

use super::Piece;
use super::transfer::{self, ToHost};
use crate::engine::collective::Collective;
use crate::engine::gpu::Device;
use crate::engine::gpu::pace::Pace;
use crate::engine::plan::{Exchange, Plan, Rows, TensorId};
use crate::error::Result;

/// Where the rows of an exchange lie, share by share.
#[derive(Debug)]
pub(super) struct Copies {
    shares: Vec<Vec<Run>>,
    held: Range<usize>,
    /// Bytes of each share.
    bytes: u64,
    staging: wgpu::Buffer,
}

/// Bytes of a buffer.
#[derive(Debug)]
struct Run {
    buffer: wgpu::Buffer,
    offset: u64,
    bytes: u64,
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
        let of_share = |share| {
            let run = |rows: &Rows| {
                let (Piece { buffer, offset }, place) = (memory_of(rows.tensor), plan.bytes_of_rows(rows));
                Run { buffer, offset: offset + place.start, bytes: place.end - place.start }
            };
            plan.rows_of_share(exchange, share).map(run).collect()
        };
        let (held, bytes) = (plan.shares.held.clone(), plan.exchanged_by_share(exchange));
        let staging = transfer::staging(device, bytes * held.len() as u64);
        Copies { shares: (0..plan.shares.count).map(of_share).collect(), held, bytes, staging }
    }

    /// Waits for what was submitted before, and meets the other ranks.
    pub fn run(&self, device: &Device, collective: &mut dyn Collective) -> Result<()> {
        let mut encoder = device.device.create_command_encoder(&Default::default());
        let mut end = 0;
        for Run { buffer, offset, bytes } in self.shares[self.held.clone()].iter().flatten() {
            encoder.copy_buffer_to_buffer(buffer, *offset, &self.staging, end, *bytes);
            end += bytes;
        }
        let after = device.queue.submit([encoder.finish()]);
        let own: Vec<u8> = ToHost::start(self.staging.clone(), after).wait(device)?;
        let mut all = vec![0; self.bytes as usize * self.shares.len()];
        collective.all_gather(&own, &mut all)?;
        for (share, runs) in self.shares.iter().enumerate() {
            let mut start = share * self.bytes as usize;
            for Run { buffer, offset, bytes } in runs {
                let end = start + *bytes as usize;
                if !self.held.contains(&share) {
                    device.queue.write_buffer(buffer, *offset, &all[start..end]);
                }
                start = end;
            }
        }
        Ok(())
    }
}
