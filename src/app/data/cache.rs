//! Decoded and resized photographs of earlier runs, each in a file of its own, by what it depends on: the photograph's
//! bytes and the settings. Decoding takes longer than a GPU's training step; a second run decodes nothing.
//!
//! The cache only saves time: whatever is wrong with it (no folder, no space, a file cut short) means decoding again.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use blake3::Hash;

use crate::app::data::resize::Resampling;
use crate::engine::image_size::ImageSize;
use crate::files::user_cache;

/// Part of every key; changed whenever decoding or resizing changes.
const VERSION: u32 = 2;

/// The folder of the cache. It may be deleted at any time.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub fn new(folder: PathBuf) -> Cache {
        Cache { folder }
    }

    /// The user's, if there is one.
    pub fn of_user() -> Option<Cache> {
        Some(Cache::new(user_cache()?.join("photographs")))
    }

    /// Where the pixels of a photograph are kept, by the hash of its bytes.
    fn path(&self, photograph: Hash, size: ImageSize, resampling: Resampling) -> PathBuf {
        let hash = photograph.to_hex();
        // Folders of tens of thousands of files are slow to list.
        let (group, rest) = hash.split_at(2);
        self.folder.join(group).join(format!("{rest}-{size}-{resampling:?}-{VERSION}"))
    }

    /// The pixels, `[height, width, 3]`, if they are there and whole.
    pub fn get(&self, photograph: Hash, size: ImageSize, resampling: Resampling) -> Option<Vec<u8>> {
        let mut pixels = fs::read(self.path(photograph, size, resampling)).ok()?;
        let sum = pixels.split_off(pixels.len().checked_sub(4)?);
        let whole = pixels.len() == size.rgb_bytes() && sum == crc32fast::hash(&pixels).to_le_bytes();
        whole.then_some(pixels)
    }

    /// Keeps pixels for `get`, if it can.
    pub fn put(&self, photograph: Hash, size: ImageSize, resampling: Resampling, pixels: &[u8]) {
        let path = self.path(photograph, size, resampling);
        // Not synced to the disk, which would take longer than decoding: the sum tells whether the file is whole.
        let _ = (|| -> io::Result<()> {
            let folder = path.parent().expect("a file in a group");
            fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(pixels)?;
            file.write_all(&crc32fast::hash(pixels).to_le_bytes())?;
            file.persist(path)?;
            Ok(())
        })();
    }
}
