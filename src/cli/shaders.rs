//! `ocellus shaders`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use super::NetworkArgs;
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::ops::gemm::{Core, MOST_LANES};
use crate::plan::{Plan, Target, network as plans};
use crate::variant::{LEAST_TEXEL_BYTES, Variant};

/// Write every shader module of a network's plans, as complete WGSL, for other compilers to look at. Nothing runs.
#[derive(Debug, Args)]
pub struct ShadersArgs {
    /// The folder for the files, KERNEL-HASH.wgsl; made if it is not there
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    network: NetworkArgs,
    /// What runs on software adapters with subgroups of this size, instead of what runs on every adapter
    #[arg(long, value_name = "LANES", value_parser = clap::value_parser!(u8).range(1..=MOST_LANES as i64))]
    subgroup: Option<u8>,
}

pub fn run(args: ShadersArgs) -> Result<()> {
    let network = args.network.build()?;
    let mut target = Target::default();
    if let Some(lanes) = args.subgroup {
        let core = Core::Subgroup { lanes: usize::from(lanes) };
        target.variant = Variant { core, texel_reads: Some(LEAST_TEXEL_BYTES), ..Variant::default() };
    }
    let batch = args.network.batch;
    let plans = [plans::training(&network, batch, &target), plans::inference(&network, batch, &target)];
    let modules = modules(&plans)?;
    std::fs::create_dir_all(&args.out).map_err(Error::io(&args.out))?;
    for (name, source) in &modules {
        write_atomic(&args.out.join(name), |file| file.write_all(source.as_bytes()))?;
    }
    println!("{} modules in {}", modules.len(), args.out.display());
    Ok(())
}

/// Every module of the plans once, by the name of its file.
fn modules(plans: &[Plan]) -> Result<BTreeMap<String, String>> {
    let mut modules = BTreeMap::new();
    for plan in plans {
        for (step, module) in plan.steps.iter().zip(plan.modules().map_err(Error::Device)?) {
            let hash = crc32fast::hash(module.source.as_bytes());
            modules.insert(format!("{}-{hash:08x}.wgsl", step.kernel.path.replace('/', "-")), module.source);
        }
    }
    Ok(modules)
}
