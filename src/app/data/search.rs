//! Photographs in folders, by the endings of their names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::app::data::ENDINGS;
use crate::app::data::decode::unread_ending;
use crate::app::data::folder::IMAGES;
use crate::error::{Error, Result};

/// Photographs that were named or found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In the order in which they were named; those of a folder sorted.
    pub paths: Vec<PathBuf>,
    /// How many pictures of each format that is not read lie in the folders.
    pub unread: BTreeMap<&'static str, usize>,
}

impl Found {
    /// Warning with the count of pictures left out; `None` without any.
    pub fn warning(&self) -> Option<String> {
        let kinds: Vec<String> = self.unread.iter().map(|(what, count)| format!("{count} {what}")).collect();
        (!kinds.is_empty()).then(|| {
            format!("pictures left out, of formats that are not read: {}; convert them to PNG", kinds.join(", "))
        })
    }
}

/// The files named, and those in the folders named, without what begins with a dot: such are other programs' notes
/// about a file (`._1.jpg` is macOS's about `1.jpg`).
///
/// Errors: a folder that cannot be listed, or that holds no photograph.
pub fn photographs(named: &[PathBuf]) -> Result<Found> {
    let mut found = Found::default();
    for path in named {
        if path.is_dir() {
            search(path, &mut found)?;
        } else {
            found.paths.push(path.clone());
        }
    }
    Ok(found)
}

/// The folder of the data that a photograph is of, by its place: the one it is in, or the one above where that is called
/// `img`.
pub fn data_of(photograph: &Path) -> &Path {
    let folder = photograph.parent().unwrap_or(Path::new(""));
    let data = if folder.ends_with(IMAGES) { folder.parent().unwrap_or(folder) } else { folder };
    if data == Path::new("") { Path::new(".") } else { data }
}

fn search(folder: &Path, found: &mut Found) -> Result<()> {
    let mut inside = Vec::new();
    let mut unread = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let Some(ending) = path.extension().filter(|_| !is_hidden).map(|ending| ending.to_string_lossy()) else {
            continue;
        };
        if ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(&ending)) {
            inside.push(path);
        } else if let Some(what) = unread_ending(&ending) {
            *unread.entry(what).or_insert(0) += 1;
        }
    }
    if inside.is_empty() {
        let alone = Found { paths: Vec::new(), unread };
        let rest = alone.warning().map(|warning| format!("; {warning}")).unwrap_or_default();
        return Err(Error::Input(format!("{}: no image in it ({}){rest}", folder.display(), ENDINGS.join(", "))));
    }
    inside.sort();
    found.paths.extend(inside);
    for (what, count) in unread {
        *found.unread.entry(what).or_insert(0) += count;
    }
    Ok(())
}
