//! `ocellus tune`.

use clap::Args;
use serde_json::json;

use super::output::{say, say_json};
use super::{DeviceArgs, NetworkArgs, ReplacedArgs};
use crate::app::config::Config;
use crate::engine::gpu::Device;
use crate::engine::run::Engine;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::notes::note;
use crate::proof::tune::device::{OnDevice, layers};
use crate::proof::tune::{self, Choice, Place, Workload};

/// Find the fastest way to compute a network's products and convolutions on this device: each is checked against its f64
/// twin, then timed. `train` and `profile` use what was found, for the same image size, batch and width.
#[derive(Debug, Args)]
pub struct TuneArgs {
    #[command(flatten)]
    network: NetworkArgs,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    replaced: ReplacedArgs,
}

pub fn run(args: TuneArgs) -> Result<()> {
    let network = args.network.build()?;
    let Engine::Gpu(session) = args.device.open_with(&Config::default(), args.replaced.read()?)? else {
        return Err(Error::Input(
            "the CPU reference has no variants to choose from; choose a device by --device".into(),
        ));
    };
    let (device, batch) = (session.device.clone(), args.network.batch);
    drop(session);
    let choice = choose(&device, &network, batch)?;
    let place = Place::of_user(&device);
    if let Some(place) = &place {
        place.keep(args.network.workload()?, choice.variant.clone())?;
    }
    if args.json {
        say_json(&to_json(&choice))?;
    } else {
        say(to_text(&choice, &args.network.workload()?))?;
    }
    match place {
        Some(place) => note!("Remembered in {}", place.path.display()),
        None => note!("warning: not remembered: there is no cache folder (OCELLUS_CACHE names one)"),
    }
    Ok(())
}

/// Chooses the fastest variant on a device.
pub(super) fn choose(device: &Device, network: &Network, batch: usize) -> Result<Choice> {
    let mut source = OnDevice::new(device.clone(), network, batch);
    tune::choose(&mut source, &device.variants(), &device.abilities(), &layers(network, batch))
}

fn to_text(choice: &Choice, Workload { network, image_size, batch, .. }: &Workload) -> String {
    let mut out = format!("{:<60} {:>9}\n", "variant", "ms a step");
    for tried in &choice.tried {
        out += &match &tried.outcome {
            Ok(seconds) => format!("{:<60} {:>9.1}\n", tried.name, 1e3 * seconds),
            Err(fault) => format!("{:<60} {:>9}  {fault}\n", tried.name, "dropped"),
        };
    }
    out += &format!("\n{:<8} ms by algorithm, of all passes\n", "layer");
    for layer in &choice.layers {
        let times = layer.seconds.iter().map(|(algorithm, seconds)| {
            let mark = if *algorithm == layer.chosen { "*" } else { " " };
            format!(" {:>10} {:>9.2}{mark}", algorithm.to_string(), 1e3 * seconds)
        });
        out += &format!("{:<8}{}\n", layer.name, times.collect::<String>());
    }
    let (variant, ms) = (&choice.variant, 1e3 * choice.seconds);
    out + &format!("\n{network}, {image_size} pixels, batch {batch}: {variant}: {ms:.1} ms a step\n")
}

pub(super) fn to_json(choice: &Choice) -> serde_json::Value {
    let tried = choice.tried.iter().map(|tried| match &tried.outcome {
        Ok(seconds) => json!({ "name": tried.name, "seconds": seconds }),
        Err(fault) => json!({ "name": tried.name, "dropped": fault }),
    });
    let layers = choice.layers.iter().map(|layer| {
        let seconds: serde_json::Map<_, _> =
            layer.seconds.iter().map(|(algorithm, seconds)| (algorithm.to_string(), json!(seconds))).collect();
        json!({ "name": layer.name, "seconds": seconds, "counted": layer.counted, "chosen": layer.chosen })
    });
    json!({
        "variant": choice.variant,
        "seconds": choice.seconds,
        "tried": tried.collect::<Vec<_>>(),
        "layers": layers.collect::<Vec<_>>(),
    })
}
