//! `ocellus devices`.

use clap::Args;
use serde_json::json;

use super::output::{say, say_json};
use crate::engine::gpu::{self, Listed};
use crate::error::Result;

/// List every adapter with the limits that matter here.
#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub fn run(args: DevicesArgs) -> Result<()> {
    let listed = gpu::list();
    if args.json {
        let numbered = |(index, one): (usize, &Listed)| {
            let mut object = as_json(one);
            object["index"] = index.into();
            object
        };
        return say_json(&listed.iter().enumerate().map(numbered).collect());
    }
    for (index, one) in listed.iter().enumerate() {
        let (info, limits) = (&one.info, &one.limits);
        say(format_args!("{index}  {}", one.spelled()))?;
        let bus =
            if info.device_pci_bus_id.is_empty() { String::new() } else { format!(", PCI {}", info.device_pci_bus_id) };
        say(format_args!("   {:?}, driver {} {}{bus}", info.device_type, info.driver, info.driver_info))?;
        say(format_args!(
            "   binding {} MiB, buffer {} MiB, workgroup memory {} KiB, {} threads a group, subgroups {}..{}",
            limits.max_storage_buffer_binding_size >> 20,
            limits.max_buffer_size >> 20,
            limits.max_compute_workgroup_storage_size >> 10,
            limits.max_compute_invocations_per_workgroup,
            info.subgroup_min_size,
            info.subgroup_max_size,
        ))?;
        match &one.matrix_units {
            Ok(units) => say(format_args!("   {units} in half precision (--matrix-units)"))?,
            Err(missing) => say(format_args!("   no matrix units: {missing}"))?,
        }
        match &one.problem {
            None => say("   usable")?,
            Some(problem) => say(format_args!("   not usable: {problem}"))?,
        }
    }
    if listed.is_empty() {
        say(gpu::no_adapter())?;
    }
    say("cpu  the f64 CPU reference (slow)")
}

/// Properties of an adapter that matter here.
pub(super) fn as_json(one: &Listed) -> serde_json::Value {
    let (info, limits) = (&one.info, &one.limits);
    json!({
        "name": info.name,
        "backend": info.backend.to_str(),
        "type": format!("{:?}", info.device_type),
        "driver": info.driver,
        "driver_info": info.driver_info,
        "pci_bus": info.device_pci_bus_id,
        "max_storage_buffer_binding_size": limits.max_storage_buffer_binding_size,
        "max_buffer_size": limits.max_buffer_size,
        "max_compute_workgroup_storage_size": limits.max_compute_workgroup_storage_size,
        "max_compute_invocations_per_workgroup": limits.max_compute_invocations_per_workgroup,
        "subgroup_sizes": [info.subgroup_min_size, info.subgroup_max_size],
        "matrix_units": one.matrix_units.as_ref().ok().map(|units| units.size),
        "usable": one.problem.is_none(),
        "problem": one.problem,
    })
}
