//! The stores and indexes in the user's cache folder, which may be deleted at any time.

use std::fs;
use std::path::{Path, PathBuf};

use super::index::Index;
use super::{Store, pack};
use crate::app::data::decode::VERSION;
use crate::app::data::resize::Resampling;
use crate::engine::image_size::ImageSize;
use crate::error::{Error, Result};
use crate::files::user_cache;

/// Folders in the cache: stores, indexes, and what earlier versions left, which kept a file per photograph.
const PIXELS: &str = "pixels";
const FILES: &str = "files";
const EARLIER: &str = "photographs";

/// The folder of all stores and indexes.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

/// Contents of a cache.
#[derive(Debug)]
pub struct Contents {
    pub folder: PathBuf,
    pub sizes: Vec<OfSize>,
    /// Bytes that earlier versions of the program left.
    pub earlier: u64,
}

/// Contents of the store of one size and resampling.
#[derive(Debug)]
pub struct OfSize {
    pub name: String,
    pub photographs: u64,
    pub bytes: u64,
}

/// Outcome of pruning.
#[derive(Debug, Default)]
pub struct Pruned {
    pub removed: u64,
    /// Bytes left.
    pub kept: u64,
    /// Packs that would have been removed, but are being written.
    pub held: usize,
}

impl Cache {
    pub fn new(folder: PathBuf) -> Cache {
        Cache { folder }
    }

    /// The user's, if there is one.
    pub fn of_user() -> Option<Cache> {
        Some(Cache::new(user_cache()?))
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The photographs of one size and resampling.
    pub fn store(&self, size: ImageSize, resampling: Resampling) -> Store {
        Store::open(&self.folder_of(size, resampling), size)
    }

    /// The folder of a store.
    pub fn folder_of(&self, size: ImageSize, resampling: Resampling) -> PathBuf {
        let ImageSize { height, width } = size;
        let resampling = format!("{resampling:?}").to_lowercase();
        self.folder.join(PIXELS).join(format!("{height}x{width}-{resampling}-{VERSION}"))
    }

    /// The index of a folder of data.
    pub fn index(&self, data: &Path) -> Index {
        Index::open(self.path_of_index(data))
    }

    /// The index of a folder of data, unless it has more than `most` entries.
    pub fn index_of_at_most(&self, data: &Path, most: u64) -> Option<Index> {
        let path = self.path_of_index(data);
        (Index::entries(&path) <= most).then(|| Index::open(path))
    }

    fn path_of_index(&self, data: &Path) -> PathBuf {
        let data = std::path::absolute(data).unwrap_or(data.to_path_buf());
        // Without a slash at its end, whoever wrote one.
        let data: PathBuf = data.components().collect();
        let name = blake3::hash(data.as_os_str().as_encoded_bytes()).to_hex();
        self.folder.join(FILES).join(format!("{}-{VERSION}", &name[..32]))
    }

    /// The stores, and their sizes.
    pub fn contents(&self) -> Contents {
        let of_size = |folder: PathBuf| {
            let packs = pack::list(&folder);
            OfSize {
                name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                photographs: packs.iter().map(|pack| pack.records).sum(),
                bytes: packs.iter().map(|pack| pack.bytes).sum(),
            }
        };
        let sizes = self.stores().into_iter().map(of_size).collect();
        Contents { folder: self.folder.clone(), sizes, earlier: bytes_in(&self.folder.join(EARLIER)) }
    }

    /// Removes what earlier versions left, then the packs that were written to longest ago, until no more than `keep`
    /// bytes are left. A pack that a program appends to stays.
    pub fn prune(&self, keep: u64) -> Result<Pruned> {
        let earlier = self.folder.join(EARLIER);
        let mut pruned = Pruned { removed: bytes_in(&earlier), ..Pruned::default() };
        if earlier.exists() {
            fs::remove_dir_all(&earlier).map_err(Error::io(&earlier))?;
        }
        let mut packs: Vec<pack::Listed> = self.stores().iter().flat_map(|folder| pack::list(folder)).collect();
        packs.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
        pruned.kept = packs.iter().map(|pack| pack.bytes).sum();
        for pack in packs {
            if pruned.kept <= keep {
                break;
            }
            match pack::remove(&pack.path).map_err(Error::io(&pack.path))? {
                true => {
                    pruned.kept -= pack.bytes;
                    pruned.removed += pack.bytes;
                }
                false => pruned.held += 1,
            }
        }
        for folder in self.stores() {
            // Only one that is empty goes.
            let _ = fs::remove_dir(folder);
        }
        Ok(pruned)
    }

    fn stores(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.join(PIXELS)).into_iter().flatten().filter_map(std::result::Result::ok);
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        folders.sort();
        folders
    }
}

/// Bytes of all files below a folder.
fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(std::result::Result::ok);
    let of_entry = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(of_entry).sum()
}
