//! The photographs of a run's splits: each is known to decode before the first step. Their pixels are in a
//! store then, or are decoded again in every epoch.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use blake3::Hash;
use rayon::prelude::*;

use crate::app::bars::LongBar;
use crate::app::data::decode::{Faint, fault, read_image};
use crate::app::data::examples::{Example, Split};
use crate::app::data::findings::{counted, first_of};
use crate::app::data::pixels::Pixels;
use crate::app::data::resize::Resampling;
use crate::app::data::source::{Opened, Source};
use crate::app::data::store::{Cache, FAINT, HELD, Seen, Store, in_gib};
use crate::engine::image_size::ImageSize;
use crate::error::{Error, Result};
use crate::files::unfinished_folder;
use crate::notes::note;

/// The photographs of a split, for any thread to read.
#[derive(Debug)]
pub struct Stored {
    split: Arc<Split>,
    /// Of their files, as they were when the run began.
    hashes: Arc<[Hash]>,
    size: ImageSize,
    resampling: Resampling,
    /// None means that each is decoded whenever it is read.
    store: Option<Arc<Store>>,
}

impl Pixels for Stored {
    fn size(&self) -> ImageSize {
        self.size
    }

    fn count(&self) -> usize {
        self.hashes.len()
    }

    fn read(&self, index: usize, target: &mut [u8]) -> Result<()> {
        let photograph = &self.hashes[index];
        if self.store.as_ref().is_some_and(|store| store.read(photograph, target)) {
            return Ok(());
        }
        let (flags, pixels) = self.decode(index)?;
        target.copy_from_slice(&pixels);
        if let Some(store) = &self.store {
            // It was damaged. Where it cannot be kept, it is decoded again the next time.
            let _ = store.put(*photograph, flags, &pixels);
        }
        Ok(())
    }
}

impl Stored {
    /// The hash of each photograph's file as it was when the run began, in the split's order.
    pub fn hashes(&self) -> Arc<[Hash]> {
        Arc::clone(&self.hashes)
    }

    /// Decodes a photograph that was decoded before the first step.
    fn decode(&self, index: usize) -> Result<(u32, Vec<u8>)> {
        let example = &self.split.examples[index];
        let path = &example.path;
        let decoded = || {
            let bytes = read_image(path)?;
            if blake3::hash(&bytes) != self.hashes[index] {
                return Err(Error::Input(format!("{}: another photograph now", path.display())));
            }
            Source { size: self.size, resampling: self.resampling, store: None }.decoded(path, &bytes)
        };
        decoded().map_err(|reason| {
            let reason = format!("{reason}; the run began with it: --resume goes on once it is there again");
            fault(&self.split, example, &Error::Input(reason))
        })
    }
}

/// How the photographs of a run are opened.
#[derive(Debug)]
pub struct Opening<'a> {
    pub size: ImageSize,
    /// None keeps nothing for later runs.
    pub cache: Option<&'a Cache>,
    /// Decode in every epoch, and keep no pixels.
    pub stream: bool,
    /// Read the files that are as the index says, and the pixels of the store, too.
    pub verify: bool,
}

/// A split on its way into a store.
struct Part {
    split: Arc<Split>,
    resampling: Resampling,
    /// Photographs that need not be opened, with their flags.
    known: Vec<Option<(Hash, u32)>>,
}

impl Opening<'_> {
    /// Opens the photographs of splits that are in one folder; those of which nothing is known are read and decoded.
    /// Where neither the cache nor memory can take their pixels, they go to a folder in the one that `scratch` gives.
    /// `progress` gets the number of photographs that are done, from any thread.
    ///
    /// # Errors
    /// The first photograph of a split that does not decode, with its path and its line in the CSV file, and how many
    /// more there are; too little space for the pixels.
    pub fn open(
        &self,
        splits: &[(Arc<Split>, Resampling)],
        faint: &Faint,
        mut scratch: impl FnMut() -> Result<PathBuf>,
        progress: impl Fn(usize) + Sync,
    ) -> Result<Vec<Stored>> {
        let Some((first, _)) = splits.first() else { return Ok(Vec::new()) };
        let index = self.cache.map(|cache| cache.index(&first.dir));
        let mut stores: Vec<(Resampling, Store)> = Vec::new();
        for &(_, resampling) in splits {
            if !self.stream && !stores.iter().any(|(known, _)| *known == resampling) {
                let store = self.cache.map(|cache| cache.store(self.size, resampling));
                stores.push((resampling, store.unwrap_or_else(|| Store::in_memory(self.size))));
            }
        }
        let mut parts = Vec::new();
        for (split, resampling) in splits {
            let store = stores.iter().find(|(of, _)| of == resampling).map(|(_, store)| store);
            let known = match &index {
                Some(index) if !self.verify => {
                    let source = Source { size: self.size, resampling: *resampling, store };
                    let bar = LongBar::new("Looking for changed photographs", split.examples.len());
                    let known = |example: &Example| {
                        bar.add(1);
                        source.known(index, split.name_of(&example.path), &example.path)
                    };
                    split.examples.par_iter().map(known).collect()
                }
                _ => vec![None; split.examples.len()],
            };
            parts.push(Part { split: Arc::clone(split), resampling: *resampling, known });
        }
        let stores = self.with_room(stores, &parts, &mut scratch)?;
        let seen = Mutex::new(Vec::new());
        let done = AtomicUsize::new(0);
        let progress = || progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        let filled = parts.into_iter().map(|part| {
            let store = stores.iter().find(|(of, _)| *of == part.resampling).map(|(_, store)| Arc::clone(store));
            self.fill(part, store, faint, &seen, progress)
        });
        let filled: Result<Vec<Stored>> = filled.collect();
        if let Some(index) = index {
            // It saves time, and no more.
            let _ = index.write_with(seen.into_inner().expect("no holder panics"));
        }
        filled
    }

    /// Stores that have a place for what is not in them yet.
    fn with_room(
        &self,
        stores: Vec<(Resampling, Store)>,
        parts: &[Part],
        scratch: &mut dyn FnMut() -> Result<PathBuf>,
    ) -> Result<Vec<(Resampling, Arc<Store>)>> {
        if self.stream {
            return Ok(Vec::new());
        }
        let bytes = self.size.rgb_bytes() as u64;
        let of_store = |resampling| parts.iter().filter(move |part| part.resampling == resampling);
        let missing = |part: &Part| part.known.iter().filter(|known| known.is_none()).count() as u64;
        let most: u64 = parts.iter().map(missing).sum::<u64>() * bytes;
        let exactly = || stores.iter().map(|(of, store)| absent(of_store(*of), store)).sum::<u64>() * bytes;
        let in_memory = |needed: u64| needed <= HELD as u64;
        let kept = self.cache.filter(|_| stores.iter().all(|(_, store)| most == 0 || store.prepare().is_ok()));
        if let Some(cache) = kept {
            let Some((needed, free)) = short_of(cache.folder(), most, exactly) else { return Ok(shared(stores)) };
            if !in_memory(needed) {
                return Err(too_little(self.size, needed, free, cache.folder(), NO_CACHE));
            }
            let [needed, free] = [needed, free].map(in_gib);
            note!("warning: {}: {free} GiB are free, and {needed} GiB were to be kept there", cache.folder().display());
            return Ok(shared(stores.into_iter().map(|(of, store)| (of, store.read_only())).collect()));
        }
        if in_memory(most) {
            return Ok(shared(stores));
        }
        let folder = scratch()?;
        if let Some((needed, free)) = short_of(&folder, most, exactly) {
            return Err(too_little(self.size, needed, free, &folder, CACHE));
        }
        note!("Decoded photographs are in {} until the run ends: up to {} GiB", folder.display(), in_gib(most));
        let mut temporary = Vec::new();
        for (of, store) in stores {
            temporary.push((of, store.with_temporary(unfinished_folder(&folder, "pixels")?)));
        }
        Ok(shared(temporary))
    }

    /// Reads and decodes what is not known of a split.
    fn fill(
        &self,
        part: Part,
        store: Option<Arc<Store>>,
        faint: &Faint,
        seen: &Mutex<Vec<Seen>>,
        progress: impl Fn() + Sync,
    ) -> Result<Stored> {
        let Part { split, resampling, known } = part;
        let full = OnceLock::new();
        let one = |(example, known): (&Example, &Option<(Hash, u32)>)| {
            if full.get().is_some() {
                // What is read from here on is not looked at.
                return Ok(Hash::from_bytes([0; blake3::OUT_LEN]));
            }
            let opened = match *known {
                Some(known) => Ok(known),
                None => self.open_one(&split, example, resampling, store.as_deref(), seen, &full),
            };
            progress();
            let (photograph, flags) = opened.map_err(|reason| fault(&split, example, &reason))?;
            faint.add_if(flags & FAINT != 0, &example.path);
            Ok(photograph)
        };
        // Collecting keeps the order of the rows, so the fault reported does not depend on the threads.
        let all: Vec<Result<Hash>> = split.examples.par_iter().zip(&known).map(one).collect();
        if let Some(why) = full.into_inner() {
            return Err(Error::Input(format!("{why}; {WAYS_OUT}")));
        }
        let (mut hashes, mut faults) = (Vec::with_capacity(all.len()), Vec::new());
        for one in all {
            match one {
                Ok(photograph) => hashes.push(photograph),
                Err(reason) => faults.push(reason),
            }
        }
        first_of(faults)?;
        Ok(Stored { split, hashes: hashes.into(), size: self.size, resampling, store })
    }

    /// Reads one photograph, and decodes it if its pixels are not in the store; its hash and flags. `full` gets why
    /// there is no room for them.
    fn open_one(
        &self,
        split: &Split,
        example: &Example,
        resampling: Resampling,
        store: Option<&Store>,
        seen: &Mutex<Vec<Seen>>,
        full: &OnceLock<String>,
    ) -> Result<(Hash, u32)> {
        let path = &example.path;
        let source = Source { size: self.size, resampling, store };
        let mut checked = vec![0; if self.verify && store.is_some() { self.size.rgb_bytes() } else { 0 }];
        let checked = Some(&mut checked[..]).filter(|checked| !checked.is_empty());
        let Opened { photograph, flags, stamp, unkept } = source.open(path, checked)?;
        if let (Some(store), Some((why, pixels))) = (store, unkept)
            && !store.hold(photograph, flags, pixels)
        {
            let _ = full.set(why.to_string());
        }
        if let Some(stamp) = stamp {
            let seen_now = Seen::new(split.name_of(path), stamp, photograph, flags);
            seen.lock().expect("no holder panics").push(seen_now);
        }
        Ok((photograph, flags))
    }
}

/// Photographs whose pixels a store does not have, each once: found by reading all files that are not known.
fn absent<'p>(parts: impl Iterator<Item = &'p Part>, store: &Store) -> u64 {
    let mut all: HashSet<Hash> = HashSet::new();
    for Part { split, known, .. } in parts {
        let unknown = split.examples.par_iter().zip(known).filter(|(_, known)| known.is_none());
        // What cannot be read is told when it is decoded.
        let hash = |(example, _): (&Example, _)| Some(blake3::hash(&read_image(&example.path).ok()?));
        all.extend(unknown.filter_map(hash).filter(|hash| store.find(hash).is_none()).collect::<Vec<_>>());
    }
    all.len() as u64
}

fn shared(stores: Vec<(Resampling, Store)>) -> Vec<(Resampling, Arc<Store>)> {
    stores.into_iter().map(|(of, store)| (of, Arc::new(store))).collect()
}

/// The bytes needed and free, if a file system has too few. `most` is at least what is needed; `exactly` takes longer.
fn short_of(folder: &Path, most: u64, exactly: impl FnOnce() -> u64) -> Option<(u64, u64)> {
    // A file system that does not say how much is free may have enough.
    let free = fs4::available_space(folder).unwrap_or(u64::MAX);
    let needed = if most > free { exactly() } else { most };
    (needed > free).then_some((needed, free))
}

/// Ways to train without the space that is missing.
const WAYS_OUT: &str = "make room (`ocellus cache --keep-gib N` removes the oldest of the cache), name another folder by the \
                        environment variable OCELLUS_CACHE, or decode in every epoch by --stream";
const NO_CACHE: &str = "; with --no-cache they are in the run's folder while it lasts";
const CACHE: &str = "";

fn too_little(size: ImageSize, needed: u64, free: u64, folder: &Path, more: &str) -> Error {
    let photographs = counted((needed / size.rgb_bytes() as u64) as usize, "photograph");
    let (needed, free, folder) = (in_gib(needed), in_gib(free), folder.display());
    Error::Input(format!(
        "{folder}: {photographs} of {size} pixels to decode take {needed} GiB, and {free} GiB are free there; {WAYS_OUT}{more}"
    ))
}
