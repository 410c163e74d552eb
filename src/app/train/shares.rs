//! Which devices can share batches out.

use super::files;
use crate::error::{Error, Result};

/// Refuses what `ranks` devices cannot do with batches that are cut into `count` shares.
///
/// # Errors
/// `Error::Input` with the remedy.
pub fn check(count: usize, ranks: usize, batch: usize) -> Result<()> {
    if !count.is_multiple_of(ranks) {
        return Err(Error::Input(format!(
            "the run's batches are cut into {count} share(s) (cut.shares in its {}), which {ranks} devices cannot hold equally: \
             name as many devices, a number of them that divides the shares, or one",
            files::CONFIG
        )));
    }
    if !batch.is_multiple_of(count) {
        return Err(Error::Input(format!(
            "--batch {batch} cannot be cut into {count} equal shares, one for each device: it must be a multiple of {count}"
        )));
    }
    Ok(())
}
