//! Dispatches and the copies before them, on their way into a command buffer.

use super::Device;
use crate::engine::shader::{TEXEL_BYTES, TEXEL_WIDTH};

/// Encodes dispatches in order, in as few passes as their copies allow: a copy cannot be inside a pass.
pub fn encode(dispatches: &[Dispatch], encoder: &mut wgpu::CommandEncoder) {
    let mut rest = dispatches;
    while let Some((first, _)) = rest.split_first() {
        first.copies.iter().for_each(|copy| copy.encode(encoder));
        let more = rest[1..].iter().position(|dispatch| !dispatch.copies.is_empty());
        let (together, later) = rest.split_at(more.map_or(rest.len(), |more| more + 1));
        let mut pass = encoder.begin_compute_pass(&Default::default());
        together.iter().for_each(|dispatch| dispatch.encode(&mut pass));
        rest = later;
    }
}

/// Encodes one dispatch in a pass of its own, between two timestamps.
pub fn encode_timed(dispatch: &Dispatch, encoder: &mut wgpu::CommandEncoder, queries: &wgpu::QuerySet, first: u32) {
    dispatch.copies.iter().for_each(|copy| copy.encode(encoder));
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
        label: None,
        timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
            query_set: queries,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        }),
    });
    dispatch.encode(&mut pass);
}

/// One step, ready to run.
#[derive(Debug)]
pub struct Dispatch {
    /// Copies that come first.
    pub copies: Vec<ToTexture>,
    pub pipeline: wgpu::ComputePipeline,
    pub bind_group: wgpu::BindGroup,
    pub grid: [u32; 2],
}

impl Dispatch {
    fn encode(&self, pass: &mut wgpu::ComputePass) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.dispatch_workgroups(self.grid[0], self.grid[1], 1);
    }
}

/// One copy of `texels` vec4s of a buffer into a texture.
#[derive(Debug)]
pub struct ToTexture {
    pub buffer: wgpu::Buffer,
    pub first_byte: u64,
    pub texture: wgpu::Texture,
    pub texels: u32,
}

impl ToTexture {
    /// The whole rows, then what is left.
    fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        let row = TEXEL_WIDTH as u32;
        let (rows, rest) = (self.texels / row, self.texels % row);
        for (first, width, height) in [(0, row, rows), (rows, rest, 1)] {
            if width == 0 || height == 0 {
                continue;
            }
            let bytes_per_row = row * TEXEL_BYTES as u32;
            let layout = wgpu::TexelCopyBufferLayout {
                offset: self.first_byte + u64::from(first) * u64::from(bytes_per_row),
                bytes_per_row: Some(bytes_per_row),
                rows_per_image: None,
            };
            let from = wgpu::TexelCopyBufferInfo { buffer: &self.buffer, layout };
            let origin = wgpu::Origin3d { x: 0, y: first, z: 0 };
            let to = wgpu::TexelCopyTextureInfo { origin, ..self.texture.as_image_copy() };
            encoder.copy_buffer_to_texture(from, to, wgpu::Extent3d { width, height, depth_or_array_layers: 1 });
        }
    }
}

/// A texture that kernels read vec4s through.
pub fn texture(device: &Device, rows: u32) -> wgpu::Texture {
    device.device.create_texture(&wgpu::TextureDescriptor {
        label: Some("reads"),
        size: wgpu::Extent3d { width: TEXEL_WIDTH as u32, height: rows, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba32Float,
        usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    })
}
