//! `ocellus cache`.

use clap::Args;

use super::output::say;
use crate::app::data::Cache;
use crate::app::data::findings::counted;
use crate::app::data::store::{Contents, GIB, OfSize, Pruned, in_gib};
use crate::error::{Error, Result};
use crate::notes::note;

/// Show the decoded photographs that are kept for later runs, or remove the oldest.
#[derive(Debug, Args)]
pub struct CacheCommandArgs {
    /// Remove the photographs that were kept longest ago until no more than this is left, in packs of a GiB, and what earlier
    /// versions of the program kept; 0 removes all
    #[arg(long, value_name = "N", value_parser = gib)]
    keep_gib: Option<f64>,
}

fn gib(text: &str) -> std::result::Result<f64, String> {
    text.parse().ok().filter(|number| (0.0..=1e9).contains(number)).ok_or("a number of GiB, 0 or more".into())
}

pub fn run(args: CacheCommandArgs) -> Result<()> {
    let cache = Cache::of_user()
        .ok_or_else(|| Error::Input("there is no cache folder: name one by the variable OCELLUS_CACHE".into()))?;
    if let Some(keep) = args.keep_gib {
        let Pruned { removed, kept, held } = cache.prune((keep * GIB as f64) as u64)?;
        note!("Removed {} GiB, kept {} GiB", in_gib(removed), in_gib(kept));
        if held > 0 {
            note!("warning: kept {}, to which a run is writing", counted(held, "pack"));
        }
    }
    let Contents { folder, sizes, earlier } = cache.contents();
    let mut text = format!("{}\n", folder.display());
    let name = sizes.iter().map(|size| size.name.len()).max().unwrap_or(0).max("size".len());
    text += &format!("{:name$}  {:>12}  {:>8}\n", "size", "photographs", "GiB");
    for OfSize { name: of_size, photographs, bytes, .. } in &sizes {
        text += &format!("{of_size:name$}  {photographs:>12}  {:>8}\n", in_gib(*bytes));
    }
    if earlier > 0 {
        text += &format!(
            "{} GiB of earlier versions, which nothing reads (ocellus cache --keep-gib removes it)\n",
            in_gib(earlier)
        );
    }
    say(text)
}
