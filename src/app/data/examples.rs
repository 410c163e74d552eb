//! The photographs of a split.

use std::path::{Path, PathBuf};

use crate::app::data::records::Persons;

/// The photographs of one CSV file, in its order.
#[derive(Clone, Debug)]
pub struct Split {
    pub csv: PathBuf,
    /// The folder of the set: photographs are in it, or in its `img/`.
    pub dir: PathBuf,
    pub examples: Vec<Example>,
    pub persons: Persons,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    pub path: PathBuf,
    /// Position in the list of classes.
    pub label: usize,
    /// The person the photograph is of.
    pub id: String,
    /// Line in the split's CSV file.
    pub line: u64,
}

impl Split {
    /// A photograph's path within the folder of its data.
    pub fn name_of<'a>(&self, path: &'a Path) -> &'a Path {
        name_in(&self.dir, path)
    }
}

/// A photograph's path within the folder of its data.
pub(super) fn name_in<'a>(data: &Path, path: &'a Path) -> &'a Path {
    path.strip_prefix(data).unwrap_or(path)
}
