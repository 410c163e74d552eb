//! Kernels compiled ahead of a plan's first run.

use crate::common::device::device;
use ocellus::engine::gpu::ahead::compile_ahead;
use ocellus::engine::shader::Module;
use ocellus::network::compile::training;
use ocellus::network::tutorial;

/// Each kernel takes what is bound to it there; only lavapipe compiles late.
#[test]
fn the_kernels_of_a_network_are_compiled_ahead() {
    let plan = training(&tutorial(32, 0.0625, 3), 2, &device().target());
    let mut modules: Vec<Module> = plan.modules().unwrap();
    modules.sort_by(|a, b| a.source.cmp(&b.source));
    modules.dedup_by(|a, b| a.source == b.source);
    let modules: Vec<&Module> = modules.iter().collect();
    let cores = std::thread::available_parallelism().unwrap().get();
    let late = device().listed.info.driver == "llvmpipe" && cores > 1;
    let expected = if late { modules.len() } else { 0 };
    assert_eq!(compile_ahead(device(), &modules), expected);
    assert!(modules.len() > 50, "{} modules", modules.len());
    assert_eq!(compile_ahead(device(), &modules[..3]), 0, "it is not worth it");
}
