//! How long each step of a plan takes: by the device's own timestamps, or by the clock on the wall where it has none.

use std::ops::Range;
use std::time::Instant;

use super::dispatch;
use super::session::Session;
use crate::error::Result;

/// Steps per submission: few enough for displays' watchdogs, enough that the device does not wait
/// for the next.
const STEPS_A_SUBMISSION: usize = 16;

impl Session {
    /// Runs some steps of a plan by themselves, and waits for them. What they read is as the last run left it.
    pub fn run_steps(&self, program: usize, steps: Range<usize>) -> Result<()> {
        let mut encoder = self.device.device.create_command_encoder(&Default::default());
        dispatch::encode(&self.dispatches(program)[steps], &mut encoder);
        self.device.queue.submit([encoder.finish()]);
        self.wait()
    }

    /// Runs a plan once: the seconds of every step, with the copies before it.
    pub fn time_steps(&self, program: usize) -> Result<Vec<f64>> {
        match self.device.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            true => self.time_by_stamps(program),
            false => self.time_by_wall(program),
        }
    }

    /// A step lasts from the end of the one before it, so that nothing in between is lost; the first of a submission
    /// from its own beginning.
    fn time_by_stamps(&self, program: usize) -> Result<Vec<f64>> {
        let (device, queue) = (&self.device.device, &self.device.queue);
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("steps"),
            ty: wgpu::QueryType::Timestamp,
            count: 2 * STEPS_A_SUBMISSION as u32,
        });
        let bytes = 2 * STEPS_A_SUBMISSION as u64 * u64::from(wgpu::QUERY_SIZE);
        let buffer = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size: bytes,
                usage,
                mapped_at_creation: false,
            })
        };
        let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
        let staging = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        let period = f64::from(queue.get_timestamp_period()) * 1e-9;
        let mut seconds = Vec::new();
        for together in self.dispatches(program).chunks(STEPS_A_SUBMISSION) {
            let mut encoder = device.create_command_encoder(&Default::default());
            for (step, one) in together.iter().enumerate() {
                dispatch::encode_timed(one, &mut encoder, &queries, 2 * step as u32);
            }
            encoder.resolve_query_set(&queries, 0..2 * together.len() as u32, &resolved, 0);
            encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, bytes);
            let after = queue.submit([encoder.finish()]);
            let stamps = self.read_staging::<u64>(staging.clone(), after)?;
            let mut from = stamps[0];
            for stamp in stamps.chunks_exact(2).take(together.len()) {
                seconds.push(stamp[1].saturating_sub(from) as f64 * period);
                from = stamp[1];
            }
        }
        Ok(seconds)
    }

    /// Waits after each step, which includes what a submission costs: it says most about steps that take long.
    fn time_by_wall(&self, program: usize) -> Result<Vec<f64>> {
        let mut seconds = Vec::new();
        for step in 0..self.dispatches(program).len() {
            let start = Instant::now();
            self.run_steps(program, step..step + 1)?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        Ok(seconds)
    }
}
