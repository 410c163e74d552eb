//! From WGSL to a pipeline.

use super::Device;
use crate::error::Result;

/// Compiles one module; `name` is for messages. `Error::Device` when wgpu or the driver refuses it.
pub fn compile(device: &Device, name: &str, source: &str) -> Result<wgpu::ComputePipeline> {
    device.scoped(|| pipeline(device, name, source))
}

fn pipeline(device: &Device, name: &str, source: &str) -> wgpu::ComputePipeline {
    let descriptor =
        wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(source.into()) };
    let checks = if device.options.checked_shaders {
        // Loops stay unbounded: every one here ends by its own condition, and the counter that wgpu would add to each
        // keeps drivers from unrolling them, which the register tiles of the matrix products depend on.
        wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..wgpu::ShaderRuntimeChecks::checked() }
    } else {
        wgpu::ShaderRuntimeChecks::unchecked()
    };
    // SAFETY: every kernel is part of this program, or the user named its folder by --shaders, whose help says that no bounds
    // are checked. The program's own stay inside their bindings and end their loops: the test suite runs with the checks on
    // and off and compares the results. The checks would cost time in every inner loop.
    let module = unsafe { device.device.create_shader_module_trusted(descriptor, checks) };
    device.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(name),
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            zero_initialize_workgroup_memory: device.options.checked_shaders,
            ..Default::default()
        },
        cache: None,
    })
}
