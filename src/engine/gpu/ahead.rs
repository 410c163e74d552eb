//! Kernels compiled ahead of a plan's first run. A GPU's driver compiles when a pipeline is made;
//! lavapipe when a dispatch first runs, in the thread of its queue, one after the other, and keeps
//! what it compiled in a cache on disk. So other devices of the same adapter, one per core,
//! dispatch the kernels with nothing to do: their queues compile at the same time, and the device
//! that runs the plan finds its kernels in the cache.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::compile::compile;
use super::dispatch::texture;
use super::{Choice, Device};
use crate::engine::plan::memory::texture_rows;
use crate::engine::shader::{Access, Module};
use crate::error::Result;

/// The driver, as it calls itself.
const LAVAPIPE: &str = "llvmpipe";
/// Devices take time to open: for fewer modules it is not worth it.
const LEAST_MODULES: usize = 24;
/// More devices than these gain little.
const MOST_DEVICES: usize = 8;
/// Size of the dummy buffers: the largest minimum binding that any kernel declares.
const BOUND_BYTES: u64 = 256;

/// Has the modules compiled, if the device is one that compiles late; returns how many were. What fails here will fail again
/// where it is noticed.
pub fn compile_ahead(device: &Device, modules: &[&Module]) -> usize {
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get()).min(MOST_DEVICES);
    if device.listed.info.driver != LAVAPIPE || modules.len() < LEAST_MODULES || workers < 2 {
        return 0;
    }
    // The longest first, so that no worker begins one when the others are done.
    let mut modules = modules.to_vec();
    modules.sort_by_key(|module| std::cmp::Reverse(module.source.len()));
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let Ok(other) =
                    Device::open(&Choice::Again(Box::new(device.listed.info.clone())), device.options.clone())
                else {
                    return;
                };
                while let Some(module) = modules.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if dispatch_nothing(&other, module).is_err() {
                        return;
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.into_inner()
}

/// A dispatch of no workgroups. Lavapipe compiles for the texture that is bound: this one has rows as any session's has
/// (`plan::memory::texture_rows`).
fn dispatch_nothing(on: &Device, module: &Module) -> Result<()> {
    let pipeline = compile(on, "ahead", &module.source)?;
    let buffer = |usage| {
        on.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: BOUND_BYTES,
            usage,
            mapped_at_creation: false,
        })
    };
    let texture = texture(on, texture_rows(BOUND_BYTES) as u32);
    let view = texture.create_view(&Default::default());
    let storage: Vec<wgpu::Buffer> = module.bindings.iter().map(|_| buffer(wgpu::BufferUsages::STORAGE)).collect();
    let uniform = buffer(wgpu::BufferUsages::UNIFORM);
    let bindings = module.bindings.iter().zip(&storage).map(|(binding, buffer)| wgpu::BindGroupEntry {
        binding: binding.index,
        resource: match binding.access {
            Access::Texels => wgpu::BindingResource::TextureView(&view),
            Access::Read | Access::Write => buffer.as_entire_binding(),
        },
    });
    let parameters = module
        .parameters
        .as_ref()
        .map(|parameters| wgpu::BindGroupEntry { binding: parameters.index, resource: uniform.as_entire_binding() });
    let entries: Vec<wgpu::BindGroupEntry> = bindings.chain(parameters).collect();
    on.scoped(|| {
        let bind_group = on.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        let mut encoder = on.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &bind_group, &[]);
        pass.dispatch_workgroups(0, 1, 1);
        drop(pass);
        on.queue.submit([encoder.finish()]);
    })?;
    on.wait(None)
}
