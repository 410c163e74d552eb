//! `ocellus shaders`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use rayon::prelude::*;

use super::output::show;
use super::{NetworkArgs, ReplacedArgs, units_of};
use crate::engine::gpu::translate::{Language, translate};
use crate::engine::plan::Target;
use crate::engine::variant::{Abilities, Convolutions, Core, LANES, MatrixUnits, Sizes, Variant};
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::network::Network;
use crate::network::compile as plans;

/// Write every shader module that a network may run on an adapter, whatever is tuned, for other compilers to look at.
/// Nothing runs.
#[derive(Debug, Args)]
pub struct ShadersArgs {
    /// The folder for the files, KERNEL-HASH.ENDING; made if it is not there
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    network: NetworkArgs,
    /// Language of the modules
    #[arg(long, default_value = "wgsl")]
    format: Language,
    /// Modules that only software adapters with subgroups of this size run, instead of those that
    /// every adapter can run
    #[arg(long, value_name = "LANES", value_parser = clap::value_parser!(u8).range(*LANES.start() as i64..=*LANES.end() as i64))]
    subgroup: Option<u8>,
    /// With matrix units of this size, which compute the large products of convolutions; there is no HLSL for them
    #[arg(long, value_name = "SIZE", value_parser = units_of, conflicts_with = "subgroup")]
    matrix_units: Option<MatrixUnits>,
    /// With activations in half precision, as `train --half-activations` has them
    #[arg(long)]
    half_activations: bool,
    /// With work cut into pieces of every size that tuning tries, not only as guessed for a GPU
    /// that shares the processor's memory
    #[arg(long, conflicts_with = "subgroup")]
    every_size: bool,
    #[command(flatten)]
    replaced: ReplacedArgs,
}

pub fn run(args: ShadersArgs) -> Result<()> {
    let network = args.network.build()?;
    let shaders = args.replaced.read()?;
    let lanes = args.subgroup.map(usize::from);
    let (software, matrix_units) = (lanes.is_some(), args.matrix_units);
    let abilities = Abilities { software, fixed_subgroup: lanes, matrix_units, ..Abilities::default() };
    let mut variants = Variant::all(&abilities);
    variants.retain(|variant| matches!(variant.core, Core::Subgroup { .. }) == lanes.is_some());
    variants.retain(|variant| variant.matrix_units == matrix_units);
    let sizes = if args.every_size { Sizes::each() } else { vec![Sizes::guess(&abilities)] };
    let sized = variants.iter().flat_map(|variant| sizes.iter().map(|&sizes| Variant { sizes, ..variant.clone() }));
    let fused =
        |variant: Variant| [false, true].map(|fused_statistics| Variant { fused_statistics, ..variant.clone() });
    let ways: Vec<Variant> =
        sized.flat_map(|variant| Convolutions::each().map(move |each| variant.with(each))).flat_map(fused).collect();
    let target = |variant: &Variant| Target {
        variant: variant.clone(),
        half_activations: args.half_activations,
        shaders: shaders.clone(),
        ..Target::default()
    };
    let modules = ways.par_iter().map(|variant| modules(&network, args.network.batch, &target(variant)));
    let modules = modules.try_reduce(BTreeMap::new, |mut all, more| {
        all.extend(more);
        Ok(all)
    })?;
    std::fs::create_dir_all(&args.out).map_err(Error::io(&args.out))?;
    modules.par_iter().try_for_each(|(name, source)| {
        let file = format!("{name}.{}", args.format.ending());
        let text = translate(source, args.format).map_err(|problem| Error::Device(format!("{file}: {problem}")))?;
        write_atomic(&args.out.join(&file), |file| file.write_all(&text))
    })?;
    show(format_args!("{} modules in {}", modules.len(), args.out.display()));
    Ok(())
}

/// Every module of a network's plans by its kernel and the hash of its source.
fn modules(network: &Network, batch: usize, target: &Target) -> Result<BTreeMap<String, String>> {
    let mut modules = BTreeMap::new();
    for plan in [plans::training(network, batch, target), plans::inference(network, batch, target)] {
        for (step, module) in plan.steps.iter().zip(plan.modules().map_err(Error::Device)?) {
            let hash = crc32fast::hash(module.source.as_bytes());
            modules.insert(format!("{}-{hash:08x}", step.kernel.path.replace('/', "-")), module.source);
        }
    }
    Ok(modules)
}
