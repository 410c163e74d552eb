//! Photographs that cannot be read, in commands that take any number of them.

use crate::app::data::stream::Chunk;
use crate::error::{Error, Result};

/// The photographs that a command leaves out.
#[derive(Debug)]
pub struct LeftOut {
    keep_going: bool,
    faults: Vec<Error>,
}

impl LeftOut {
    pub fn new(keep_going: bool) -> LeftOut {
        LeftOut { keep_going, faults: Vec::new() }
    }

    /// Remembers these faults, or refuses the first of them.
    pub fn add(&mut self, faults: impl IntoIterator<Item = Error>) -> Result<()> {
        let mut faults = faults.into_iter();
        if self.keep_going {
            self.faults.extend(faults);
            return Ok(());
        }
        faults.next().map_or(Ok(()), |fault| {
            Err(Error::Input(format!(
                "{fault}\n(--keep-going leaves out what cannot be read, and lists it at the end)"
            )))
        })
    }

    /// The chunk, unless there is something to refuse. `name` says where a photograph with a fault
    /// is listed.
    pub fn without(&mut self, mut chunk: Chunk, name: impl Fn(usize, Error) -> Error) -> Result<Chunk> {
        self.add(std::mem::take(&mut chunk.faults).into_iter().map(|(position, fault)| name(position, fault)))?;
        Ok(chunk)
    }

    /// Lists what was left out of `total` photographs, if anything was.
    ///
    /// # Errors
    /// `Error::Check`, for exit status 1.
    pub fn end(self, total: usize) -> Result<()> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let lines: String = self.faults.iter().map(|fault| format!("\n  {fault}")).collect();
        Err(Error::Check(format!("{} of {total} photographs were left out:{lines}", self.faults.len())))
    }
}
