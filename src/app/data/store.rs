//! Pixels of photographs at one size, once decoded, in a few large files that any number of programs
//! read and fill at once. A photograph is found by the hash of its file's bytes.
//!
//! Every read is checked by a sum. Whatever is wrong with a record (a flipped bit, a file cut short or gone)
//! means that it is not there, and never a wrong pixel.

mod cache;
mod index;
mod pack;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, RwLock};
use std::time::SystemTime;

use blake3::Hash;
use tempfile::TempDir;

pub use self::cache::{Cache, Contents, OfSize, Pruned};
pub use self::index::{Index, Seen, Stamp};
use self::pack::{Key, Pack, Writer};
use crate::engine::image_size::ImageSize;

/// Bytes of a GiB.
pub const GIB: u64 = 1 << 30;

/// Flag of a photograph of 16 bits that uses a sixteenth of their range or less.
pub const FAINT: u32 = 1;

/// Bytes of pixels that are held in memory where nothing can be written.
pub const HELD: usize = 256 << 20;

/// Decoded photographs of one size and resampling.
#[derive(Debug)]
pub struct Store {
    /// Of an image.
    bytes: usize,
    places: RwLock<Places>,
    packs: RwLock<Vec<Pack>>,
    writing: Mutex<Writing>,
    held: RwLock<HashMap<Hash, Held>>,
    watched: Option<Watched>,
    /// A folder that goes with the store; last, since some systems keep folders of open files.
    _temporary: Option<TempDir>,
}

/// Records by photograph. Two programs that append one at the same moment each have a record of it.
#[derive(Debug, Default)]
struct Places {
    first: HashMap<Hash, Place>,
    others: HashMap<Hash, Vec<Place>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    pack: u32,
    record: u32,
    flags: u32,
    sum: u32,
}

/// The folder that other programs write to.
#[derive(Debug)]
struct Watched {
    folder: PathBuf,
    /// Time of the folder when its packs were last listed.
    listed: Mutex<Option<SystemTime>>,
}

/// Pixels that no pack could take.
#[derive(Debug)]
struct Held {
    flags: u32,
    pixels: Vec<u8>,
}

#[derive(Debug)]
enum Writing {
    /// Nothing was written so far; packs go to this folder.
    To(PathBuf),
    /// The pack, by its number here, and where the next one goes.
    On(usize, Writer, PathBuf),
    /// It failed once, or is not wanted.
    Off(io::ErrorKind, String),
}

impl Places {
    fn add(&mut self, photograph: Hash, place: Place) {
        match self.first.get(&photograph) {
            Some(first) if *first == place => {}
            Some(_) => self.others.entry(photograph).or_default().push(place),
            None => drop(self.first.insert(photograph, place)),
        }
    }

    /// The place turned out to be damaged.
    fn forget(&mut self, photograph: &Hash, damaged: Place) {
        if self.first.get(photograph) == Some(&damaged) {
            match self.others.get_mut(photograph).and_then(Vec::pop) {
                Some(other) => self.first.insert(*photograph, other),
                None => self.first.remove(photograph),
            };
        }
    }
}

impl Store {
    /// A store of what is in `folder`, which need not be there; new packs are made in it.
    pub fn open(folder: &Path, size: ImageSize) -> Store {
        let watched = Watched { folder: folder.to_path_buf(), listed: Mutex::default() };
        let writing = Mutex::new(Writing::To(folder.to_path_buf()));
        let store = Store { writing, watched: Some(watched), ..Store::in_memory(size) };
        store.take_up_news();
        store
    }

    /// An empty store without a folder.
    pub fn in_memory(size: ImageSize) -> Store {
        Store {
            bytes: size.rgb_bytes(),
            places: RwLock::default(),
            packs: RwLock::default(),
            writing: Mutex::new(Writing::Off(io::ErrorKind::Unsupported, "no folder for them".into())),
            held: RwLock::default(),
            watched: None,
            _temporary: None,
        }
    }

    /// The store with its new packs in a folder that is removed with it.
    pub fn with_temporary(self, folder: TempDir) -> Store {
        let writing = Mutex::new(Writing::To(folder.path().to_path_buf()));
        Store { writing, _temporary: Some(folder), ..self }
    }

    /// The store without new packs.
    pub fn read_only(self) -> Store {
        Store { writing: Mutex::new(Writing::Off(io::ErrorKind::ReadOnlyFilesystem, "not written to".into())), ..self }
    }

    /// Takes up what other programs have appended since the last time.
    fn take_up_news(&self) {
        let Some(Watched { folder, listed }) = &self.watched else { return };
        let time = std::fs::metadata(folder).and_then(|folder| folder.modified()).ok();
        let earlier = std::mem::replace(&mut *listed.lock().expect("no holder panics"), time);
        if time != earlier {
            return self.scan(folder);
        }
        let grown = |(number, pack): (usize, &Pack)| pack.has_grown(self.bytes).then_some(number);
        let grown: Vec<usize> = read(&self.packs).iter().enumerate().filter_map(grown).collect();
        if !grown.is_empty() {
            let (mut packs, mut places) = (write(&self.packs), write(&self.places));
            for number in grown {
                let _ = take_up(&mut packs[number], number, self.bytes, &mut places);
            }
        }
    }

    /// Lists the folder's packs, and takes up what is in them.
    fn scan(&self, folder: &Path) {
        let (mut packs, mut places) = (write(&self.packs), write(&self.places));
        for path in pack::paths_in(folder) {
            let number = packs.iter().position(|pack| pack.path() == path);
            let number = number.or_else(|| {
                packs.push(Pack::open(&path).ok()?);
                Some(packs.len() - 1)
            });
            // Without one of its files it has nothing.
            if let Some(number) = number {
                let _ = take_up(&mut packs[number], number, self.bytes, &mut places);
            }
        }
    }

    /// The flags of a photograph that is there.
    pub fn find(&self, photograph: &Hash) -> Option<u32> {
        let place = read(&self.places).first.get(photograph).map(|place| place.flags);
        place.or_else(|| read(&self.held).get(photograph).map(|held| held.flags))
    }

    /// Fills `target`, `[height, width, 3]`, with the pixels of a photograph; false if they are not there, or damaged.
    /// Then `target` has any pixels.
    pub fn read(&self, photograph: &Hash, target: &mut [u8]) -> bool {
        loop {
            let Some(place) = read(&self.places).first.get(photograph).copied() else { break };
            let done = read(&self.packs)[place.pack as usize].read(place.record as usize, target);
            let key = Key { photograph: *photograph, flags: place.flags, sum: place.sum };
            if done.is_ok() && Key::of(*photograph, place.flags, target) == key {
                return true;
            }
            write(&self.places).forget(photograph, place);
        }
        match read(&self.held).get(photograph) {
            Some(held) => target.copy_from_slice(&held.pixels),
            None => return false,
        }
        true
    }

    /// Whether packs can be written: makes or takes one if none is at hand.
    ///
    /// # Errors
    /// No right to write, no space, no folder.
    pub fn prepare(&self) -> io::Result<()> {
        self.pack(&mut self.writing.lock().expect("no holder panics")).map(drop)
    }

    /// Adds a photograph's pixels, unless they are there. After an error, all further calls fail in the same way.
    pub fn put(&self, photograph: Hash, flags: u32, pixels: &[u8]) -> io::Result<()> {
        // Before the lock: other threads append meanwhile.
        let key = Key::of(photograph, flags, pixels);
        let mut writing = self.writing.lock().expect("no holder panics");
        if self.find(&photograph).is_some() {
            return Ok(());
        }
        self.take_up_news();
        if self.find(&photograph).is_some() {
            return Ok(());
        }
        let (number, writer) = self.pack(&mut writing)?;
        match writer.append(&key, pixels) {
            Ok(record) => {
                write(&self.packs)[number].grown_to(record + 1);
                let place = Place { pack: number as u32, record: record as u32, flags, sum: key.sum };
                write(&self.places).add(photograph, place);
                Ok(())
            }
            Err(error) => {
                let path = read(&self.packs)[number].path().display().to_string();
                Err(off(&mut writing, io::Error::new(error.kind(), format!("{path}: {error}"))))
            }
        }
    }

    /// The pack that is written, with its number.
    fn pack<'w>(&self, writing: &'w mut Writing) -> io::Result<(usize, &'w mut Writer)> {
        let folder = match writing {
            Writing::To(folder) => Some(folder.clone()),
            Writing::On(_, writer, folder) if writer.is_full() => Some(folder.clone()),
            _ => None,
        };
        if let Some(folder) = folder {
            // The full one is let go before another is taken.
            *writing = Writing::To(folder.clone());
            match self.take(&folder) {
                Ok((number, writer)) => *writing = Writing::On(number, writer, folder),
                Err(error) => {
                    let error = io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
                    return Err(off(writing, error));
                }
            }
        }
        match writing {
            Writing::On(number, writer, _) => Ok((*number, writer)),
            Writing::Off(kind, why) => Err(io::Error::new(*kind, why.clone())),
            Writing::To(_) => unreachable!("a pack was taken"),
        }
    }

    fn take(&self, folder: &Path) -> io::Result<(usize, Writer)> {
        let (path, writer) = Writer::take(folder, self.bytes)?;
        let mut packs = write(&self.packs);
        let number = packs.iter().position(|pack| pack.path() == path);
        let number = number.map_or_else(
            || {
                packs.push(Pack::open(&path)?);
                Ok(packs.len() - 1)
            },
            io::Result::Ok,
        )?;
        take_up(&mut packs[number], number, self.bytes, &mut write(&self.places))?;
        Ok((number, writer))
    }

    /// Holds a photograph's pixels in memory; false if there is no more room for them.
    pub fn hold(&self, photograph: Hash, flags: u32, pixels: Vec<u8>) -> bool {
        let mut held = write(&self.held);
        let fits = (held.len() + 1) * self.bytes <= HELD;
        if fits {
            held.insert(photograph, Held { flags, pixels });
        }
        fits
    }
}

/// Bytes in GiB, as they are shown.
pub fn in_gib(bytes: u64) -> String {
    format!("{:.3}", bytes as f64 / GIB as f64)
}

/// Adds the new keys of a pack.
fn take_up(pack: &mut Pack, number: usize, bytes: usize, places: &mut Places) -> io::Result<()> {
    for (record, Key { photograph, flags, sum }) in pack.news(bytes)? {
        places.add(photograph, Place { pack: number as u32, record: record as u32, flags, sum });
    }
    Ok(())
}

/// Writes no more, for this reason.
fn off(writing: &mut Writing, error: io::Error) -> io::Error {
    *writing = Writing::Off(error.kind(), error.to_string());
    error
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().expect("no holder panics")
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().expect("no holder panics")
}
