//! Photographs of one size, each from a store that knows its file, else from the file. Then the store gets
//! its pixels.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use blake3::Hash;

use crate::app::data::decode::{Decoded, Faint, decode_to_size, try_decode};
use crate::app::data::examples::name_in;
use crate::app::data::resize::Resampling;
use crate::app::data::store::{Cache, FAINT, Index, Seen, Stamp, Store};
use crate::engine::image_size::ImageSize;
use crate::error::{Error, Result};

/// Way of a photograph from its file to its pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub size: ImageSize,
    pub resampling: Resampling,
    /// None keeps nothing.
    pub store: Option<&'a Store>,
}

/// A photograph whose file was read.
pub(super) struct Opened {
    pub photograph: Hash,
    pub flags: u32,
    /// None where a later change of the file may not show.
    pub stamp: Option<Stamp>,
    /// Pixels that the store could not take, and why.
    pub unkept: Option<(io::Error, Vec<u8>)>,
}

impl Source<'_> {
    /// Hash and flags of a photograph whose file is as the index says, and whose pixels the store has, if there is one.
    pub fn known(&self, index: &Index, name: &Path, path: &Path) -> Option<(Hash, u32)> {
        let stamp = Stamp::of(&fs::metadata(path).ok()?)?;
        let seen = index.find(name, stamp)?;
        match self.store {
            Some(store) => Some((seen.photograph, store.find(&seen.photograph)?)),
            None => Some((seen.photograph, seen.flags)),
        }
    }

    /// Reads a photograph's file, and decodes it if its pixels are not in the store. `target`, if given, gets the pixels,
    /// `[height, width, 3]`; without it those of the store are not looked at.
    ///
    /// # Errors
    /// A file that cannot be read or decoded, by its path.
    pub fn open(&self, path: &Path, mut target: Option<&mut [u8]>) -> Result<Opened> {
        let (bytes, stamp) = read_stamped(path)?;
        let photograph = blake3::hash(&bytes);
        let mut is_whole = |store: &Store| target.as_mut().is_none_or(|target| store.read(&photograph, target));
        let kept = self.store.and_then(|store| store.find(&photograph).filter(|_| is_whole(store)));
        if let Some(flags) = kept {
            return Ok(Opened { photograph, flags, stamp, unkept: None });
        }
        if self.store.is_none() && target.is_none() {
            let flags = if try_decode(path, &bytes)? { FAINT } else { 0 };
            return Ok(Opened { photograph, flags, stamp, unkept: None });
        }
        let (flags, pixels) = self.decoded(path, &bytes)?;
        if let Some(target) = target {
            target.copy_from_slice(&pixels);
        }
        let put = self.store.map_or(Ok(()), |store| store.put(photograph, flags, &pixels));
        Ok(Opened { photograph, flags, stamp, unkept: put.err().map(|why| (why, pixels)) })
    }

    /// Flags and pixels, `[height, width, 3]`, of the bytes of a file.
    pub fn decoded(&self, path: &Path, bytes: &[u8]) -> Result<(u32, Vec<u8>)> {
        let Decoded { image, is_faint } = decode_to_size(path, bytes, self.size, self.resampling)?;
        Ok((if is_faint { FAINT } else { 0 }, image.into_raw()))
    }
}

/// The bytes of a file, and its stamp if that tells it from every later state.
fn read_stamped(path: &Path) -> Result<(Vec<u8>, Option<Stamp>)> {
    let read = || {
        let now = SystemTime::now();
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
        file.read_to_end(&mut bytes)?;
        let is_whole = metadata.len() == bytes.len() as u64;
        let stamp = Stamp::of(&metadata).filter(|stamp| is_whole && stamp.is_settled(now));
        Ok((bytes, stamp))
    };
    read().map_err(|error: io::Error| Error::Input(format!("{}: {error}", path.display())))
}

/// Folders of data whose indexes a command uses. The photographs in further ones are opened.
const MOST_FOLDERS: usize = 16;
/// Entries of an index per photograph that a command asks for. Reading more takes longer than opening the photographs.
const MOST_ENTRIES: u64 = 100;

/// Photographs for a command that passes over them once and keeps none in memory.
#[derive(Debug)]
pub struct Once {
    size: ImageSize,
    resampling: Resampling,
    store: Option<Store>,
    verify: bool,
    folders: Vec<OfFolder>,
    faint: Faint,
}

/// A folder of data, with what was read of it.
#[derive(Debug)]
struct OfFolder {
    folder: PathBuf,
    index: Index,
    seen: Mutex<Vec<Seen>>,
}

impl Once {
    /// `data` names the folder of the data that each photograph is of, in any order. Without a cache, all photographs are
    /// decoded; with `verify`, the files of all are read.
    pub fn new<'p>(
        cache: Option<&Cache>,
        verify: bool,
        (size, resampling): (ImageSize, Resampling),
        data: impl Iterator<Item = &'p Path>,
    ) -> Once {
        let mut counted: Vec<(&Path, u64)> = Vec::new();
        for folder in data.filter(|_| cache.is_some()) {
            match counted.iter().position(|(known, _)| *known == folder) {
                Some(at) => counted[at].1 += 1,
                None if counted.len() < MOST_FOLDERS => counted.push((folder, 1)),
                None => {}
            }
        }
        let open = |(folder, count): (&Path, u64)| {
            let index = cache?.index_of_at_most(folder, count * MOST_ENTRIES)?;
            Some(OfFolder { folder: folder.to_path_buf(), index, seen: Mutex::default() })
        };
        let folders = counted.into_iter().filter_map(open).collect();
        let store = cache.map(|cache| cache.store(size, resampling));
        Once { size, resampling, store, verify, folders, faint: Faint::default() }
    }

    /// The pixels of a photograph of the folder `data`, `[height, width, 3]`.
    ///
    /// # Errors
    /// A file that cannot be read or decoded, by its path.
    pub fn load(&self, data: &Path, path: &Path) -> Result<Vec<u8>> {
        let source = Source { size: self.size, resampling: self.resampling, store: self.store.as_ref() };
        let of_folder = self.folders.iter().find(|of| of.folder == data);
        let name = name_in(data, path);
        let mut pixels = vec![0; self.size.rgb_bytes()];
        let known = of_folder.filter(|_| !self.verify).and_then(|of| source.known(&of.index, name, path));
        let mut is_whole =
            |photograph: &Hash| self.store.as_ref().is_some_and(|store| store.read(photograph, &mut pixels));
        let flags = match known.filter(|(photograph, _)| is_whole(photograph)) {
            Some((_, flags)) => flags,
            None => {
                let Opened { photograph, flags, stamp, .. } = source.open(path, Some(&mut pixels))?;
                if let Some((of, stamp)) = of_folder.zip(stamp) {
                    let seen = Seen::new(name, stamp, photograph, flags);
                    of.seen.lock().expect("no holder panics").push(seen);
                }
                flags
            }
        };
        self.faint.add_if(flags & FAINT != 0, path);
        Ok(pixels)
    }

    /// Keeps for later runs which files were read; the warning about faint photographs, if there were any.
    pub fn end(self) -> Option<String> {
        for OfFolder { index, seen, .. } in self.folders {
            // It saves time, and no more.
            let _ = index.write_with(seen.into_inner().expect("no holder panics"));
        }
        self.faint.warning()
    }
}
