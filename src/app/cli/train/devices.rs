//! The devices of a run: one, or several that share every batch out.

use clap::Args;

use super::others::Others;
use super::{Config, TrainArgs};
use crate::app::train::shares;
use crate::engine::gpu::{Choice, Options, choice};
use crate::engine::run::Engine;
use crate::engine::run::group::Group;
use crate::engine::shader::Shaders;
use crate::engine::variant::Variant;
use crate::error::{Error, Result};
use crate::notes::note;
use crate::proof::doctor::open;
use crate::proof::tune::{self, Workload};

/// The word of `--devices` for every device of the kind that `auto` takes.
const ALL: &str = "all";

/// Several devices.
#[derive(Debug, Args)]
#[command(next_help_heading = "Several devices")]
pub struct DevicesArgs {
    /// Share every batch out to these devices of one kind, as --device names them (0,1), or to all like the one that auto takes; the
    /// bits are those of one device with the same cut. One may be named twice
    #[arg(long, value_name = "LIST|all", conflicts_with = "device")]
    devices: Option<String>,
}

impl DevicesArgs {
    /// The devices of the command line take the place of the config's, and so does the one device of `--device`.
    pub fn override_settings(&self, one: Option<&str>, config: &mut Config) {
        match one {
            Some(_) => config.devices = None,
            None => config.devices = self.devices.clone().or(config.devices.take()),
        }
    }
}

/// Opens the devices of a run that this process uses, and makes sure that all can hold its batches.
pub fn open_all(args: &TrainArgs, config: &Config, shaders: Shaders, others: &Others) -> Result<Vec<Engine>> {
    let choices = match (&config.devices, args.device.choice(config)) {
        (Some(list), _) => choices(list)?,
        (None, Choice::Auto) if others.exist() => choice::all_alike()?,
        (None, one) if others.exist() => vec![one],
        (None, _) => return Ok(vec![args.device.open_with(config, shaders)?]),
    };
    let ranks = others.ranks().unwrap_or(choices.len());
    shares::check(config.cut.map_or(ranks, |cut| cut.share_count()), ranks, config.batch)?;
    let choices = others.own_of(&choices).map_or(choices, |own| vec![own]);
    let options = Options { shaders, matrix_units: config.matrix_units, ..args.device.options() };
    open_each(&choices, &options, ranks)
}

/// Opens devices that will compute together with others, `ranks` in all.
pub fn open_each(choices: &[Choice], options: &Options, ranks: usize) -> Result<Vec<Engine>> {
    let mut engines = Vec::new();
    for (rank, choice) in choices.iter().enumerate() {
        let engine = open::open(choice, options.clone())?;
        note!("Device {rank} of {ranks}: {}", engine.describe());
        engines.push(engine);
    }
    Ok(engines)
}

/// The devices of a list.
pub fn choices(list: &str) -> Result<Vec<Choice>> {
    if list.trim().eq_ignore_ascii_case(ALL) {
        return choice::all_alike();
    }
    let each = list.split(',').map(str::trim);
    if each.clone().any(str::is_empty) {
        return Err(Error::Input(format!("--devices {list}: a name is empty; name devices as in 0,1")));
    }
    Ok(each.map(|name| name.parse().unwrap_or_else(|never| match never {})).collect())
}

/// Has all devices compute in one way: as the run began, or as the first device does best. Returns them as one, together
/// with those of other processes, and that way.
pub fn settle(
    mut engines: Vec<Engine>,
    recorded: Option<Variant>,
    workload: Option<&Workload>,
    others: &mut Others,
) -> Result<(Engine, Option<Variant>)> {
    let own = match others.are_led_here() {
        true => tune::settle(&mut engines[0], recorded, workload)?,
        false => None,
    };
    let variant = others.variant_of_first(own)?;
    let settled = usize::from(others.are_led_here());
    for engine in &mut engines[settled..] {
        open::choose(engine, variant.clone().unwrap_or_default())?;
    }
    engines.iter().try_for_each(open::check_replaced)?;
    Ok((others.with(as_one(engines)?)?, variant))
}

/// One device, or a group.
pub fn as_one(mut engines: Vec<Engine>) -> Result<Engine> {
    match engines.len() {
        1 => Ok(engines.remove(0)),
        _ => Ok(Engine::Group(Box::new(Group::new(engines)?))),
    }
}
