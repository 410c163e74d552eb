//! Tensors on their way to the device and back.

use std::sync::mpsc;

use half::f16;

use super::{Piece, Program, Session};
use crate::engine::gpu::{Device, poll};
use crate::engine::layout::{pad, unpad};
use crate::engine::plan::{Element, Lifetime, TensorId, View};
use crate::error::{Error, Result};

/// A buffer on its way to the host.
#[derive(Debug)]
pub(super) struct ToHost {
    staging: wgpu::Buffer,
    /// The submission that writes it. Later ones are not waited for: the device would have nothing to do meanwhile.
    after: wgpu::SubmissionIndex,
    mapped: mpsc::Receiver<std::result::Result<(), wgpu::BufferAsyncError>>,
}

impl ToHost {
    /// Asks for a buffer that can be mapped, as it is after all that was submitted.
    pub fn start(staging: wgpu::Buffer, after: wgpu::SubmissionIndex) -> ToHost {
        let (sender, mapped) = mpsc::channel();
        // The receiver is gone when nobody wants the result any more.
        staging.slice(..).map_async(wgpu::MapMode::Read, move |result| drop(sender.send(result)));
        ToHost { staging, after, mapped }
    }

    /// Waits for the buffer.
    pub fn wait<T: bytemuck::Pod>(&self, device: &Device) -> Result<Vec<T>> {
        loop {
            match self.mapped.try_recv() {
                Ok(Ok(())) => break,
                Ok(Err(error)) => {
                    device.check()?;
                    return Err(Error::DeviceLost(format!("reading results back failed: {error}")));
                }
                Err(mpsc::TryRecvError::Empty) => device.wait(Some(self.after.clone()))?,
                Err(mpsc::TryRecvError::Disconnected) => {
                    device.check()?;
                    return Err(Error::DeviceLost("results were thrown away before they were read back".into()));
                }
            }
        }
        let lost = |error| Error::DeviceLost(format!("reading results back failed: {error}"));
        let values = {
            let range = self.staging.slice(..).get_mapped_range().map_err(lost)?;
            bytemuck::pod_collect_to_vec(&range)
        };
        self.staging.unmap();
        device.check()?;
        Ok(values)
    }
}

/// A buffer that is read back.
pub(super) fn staging(device: &Device, bytes: u64) -> wgpu::Buffer {
    device.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("staging"),
        size: bytes,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

impl Session {
    /// Whether the device has done everything that was submitted.
    pub fn is_idle(&self) -> bool {
        poll::is_idle(&self.device.device)
    }

    /// Writes a tensor that the host may write. Padding is filled with zeros.
    pub fn write(&mut self, program: usize, id: TensorId, values: &[f32]) {
        let program = &self.programs[program];
        let tensor = program.plan.tensor(id);
        assert_eq!(values.len(), tensor.shape.iter().product::<usize>(), "{} has that many numbers", tensor.name);
        let stored = pad(tensor, values);
        match tensor.element {
            Element::F32 => self.upload(program, id, bytemuck::cast_slice(&stored)),
            Element::F16 => {
                let halves: Vec<u16> = stored.into_iter().map(|number| f16::from_f32(number).to_bits()).collect();
                self.upload(program, id, bytemuck::cast_slice(&halves));
            }
            Element::U32 => panic!("{} holds integers", tensor.name),
        }
    }

    pub fn write_integers(&mut self, program: usize, id: TensorId, values: &[u32]) {
        let program = &self.programs[program];
        let tensor = program.plan.tensor(id);
        assert_eq!(tensor.element, Element::U32, "{} holds integers", tensor.name);
        assert_eq!(values.len(), tensor.shape.iter().product::<usize>(), "{} has that many integers", tensor.name);
        self.upload(program, id, bytemuck::cast_slice(values));
    }

    fn upload(&self, program: &Program, id: TensorId, bytes: &[u8]) {
        let mut from = 0;
        for (window, Piece { buffer, offset }) in program.pieces[id.0].iter().enumerate() {
            let to = from + program.plan.bytes_of(View { tensor: id, window }) as usize;
            self.device.queue.write_buffer(buffer, *offset, &bytes[from..to]);
            from = to;
        }
    }

    /// Reads a tensor that is not temporary, without its padding, after every run started so far.
    pub fn read(&mut self, program: usize, id: TensorId) -> Result<Vec<f32>> {
        let program = &self.programs[program];
        let tensor = program.plan.tensor(id);
        assert!(tensor.lifetime != Lifetime::Temporary, "{} does not outlive its step", tensor.name);
        let mut stored: Vec<f32> = Vec::new();
        for (window, Piece { buffer, offset }) in program.pieces[id.0].iter().enumerate() {
            let bytes = program.plan.bytes_of(View { tensor: id, window });
            let staging = self.staging(bytes);
            let mut encoder = self.device.device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(buffer, *offset, &staging, 0, bytes);
            let after = self.device.queue.submit([encoder.finish()]);
            match tensor.element {
                Element::F16 => {
                    let halves = self.read_staging::<u16>(staging, after)?;
                    stored.extend(halves.into_iter().map(|bits| f16::from_bits(bits).to_f32()));
                }
                Element::F32 | Element::U32 => stored.extend(self.read_staging::<f32>(staging, after)?),
            }
        }
        Ok(unpad(tensor, &stored))
    }

    pub(super) fn staging(&self, bytes: u64) -> wgpu::Buffer {
        staging(&self.device, bytes)
    }

    /// Reads a buffer after the last submission that writes to it.
    pub(in crate::engine::gpu) fn read_staging<T: bytemuck::Pod>(
        &self,
        staging: wgpu::Buffer,
        after: wgpu::SubmissionIndex,
    ) -> Result<Vec<T>> {
        ToHost::start(staging, after).wait(&self.device)
    }
}
