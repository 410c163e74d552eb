//! The variants in which a device can run the kernels.

use crate::gpu::Device;
use crate::ops::gemm::{Core, MOST_LANES};
use crate::plan::Target;

/// What the planner is told of a device, and what to call it.
#[derive(Clone, Debug)]
pub struct Variant {
    pub name: String,
    pub target: Target,
}

/// Every core that any device can run, with a small and a large tile.
pub fn workgroup_cores() -> [Core; 2] {
    [8, 16].map(|threads| Core::Workgroup { threads_m: threads, threads_n: threads })
}

/// Every variant that this device can run, its own choice first. Where it reads through textures, it does so whatever a
/// tensor's size, so that small ones prove it too.
pub fn of(device: &Device) -> Vec<Variant> {
    let own = device.target();
    let lanes = device.listed.fixed_subgroup().filter(|&lanes| lanes <= MOST_LANES);
    let others = workgroup_cores().into_iter().chain(lanes.map(|lanes| Core::Subgroup { lanes }));
    let mut targets = vec![Target { texel_reads: own.texel_reads.map(|_| 0), ..own.clone() }];
    for core in [own.core].into_iter().chain(others) {
        let target = Target { core, texel_reads: None, ..own.clone() };
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    targets.into_iter().map(|target| Variant { name: name(&target), target }).collect()
}

/// What a target's variant is called.
pub fn name(target: &Target) -> String {
    let core = match target.core {
        Core::Workgroup { threads_m, threads_n } => format!("tiles {} x {}", threads_m * 8, threads_n * 8),
        Core::Subgroup { lanes } => format!("subgroups of {lanes}"),
    };
    if target.texel_reads.is_some() { format!("{core}, textures") } else { core }
}
