//! A pack: the pixels of many photographs in one file, and a file of keys beside it. Record number i of
//! each begins at i times its length, and a record's key is written once its pixels are.
//!
//! Pixels are read at their position and not through a map of the file into memory: the system's page cache
//! keeps the same pages either way, and a file that somebody cuts short is an error here, where a map would
//! end the program.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use blake3::Hash;

use super::GIB;
use crate::files::at::{read_exact_at, write_all_at};
use crate::files::lock::{Asked, ask};

/// Bytes of pixels from which on a pack gets no more of them.
const LIMIT: u64 = GIB;
/// Bytes of a key: the photograph's hash, flags, and the sum.
const KEY: usize = blake3::OUT_LEN + 4 + 4;

/// Endings of a pack's files: keys, pixels, and the file by which one process appends to them. Another file than the
/// keys' is locked, since Windows keeps others from reading what is locked.
const KEYS: &str = "keys";
const PIXELS: &str = "pixels";
const LOCK: &str = "lock";

/// Identity of a record, with the sum that tells whether it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Hash of the photograph's file.
    pub photograph: Hash,
    pub flags: u32,
    /// CRC-32 of the two above and the pixels.
    pub sum: u32,
}

impl Key {
    pub fn of(photograph: Hash, flags: u32, pixels: &[u8]) -> Key {
        let mut sum = crc32fast::Hasher::new();
        sum.update(photograph.as_bytes());
        sum.update(&flags.to_le_bytes());
        sum.update(pixels);
        Key { photograph, flags, sum: sum.finalize() }
    }

    fn to_bytes(self) -> [u8; KEY] {
        let mut bytes = [0; KEY];
        bytes[..KEY - 8].copy_from_slice(self.photograph.as_bytes());
        bytes[KEY - 8..KEY - 4].copy_from_slice(&self.flags.to_le_bytes());
        bytes[KEY - 4..].copy_from_slice(&self.sum.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; KEY]) -> Key {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let hash: [u8; blake3::OUT_LEN] = bytes[..KEY - 8].try_into().expect("a hash");
        Key { photograph: hash.into(), flags: number(KEY - 8), sum: number(KEY - 4) }
    }
}

/// A pack that is read.
#[derive(Debug)]
pub(super) struct Pack {
    /// Without an ending.
    path: PathBuf,
    pixels: File,
    /// Records whose keys are known.
    seen: usize,
    /// Only this process appends to it.
    is_own: bool,
}

impl Pack {
    pub fn open(path: &Path) -> io::Result<Pack> {
        Ok(Pack { path: path.to_path_buf(), pixels: File::open(path.with_extension(PIXELS))?, seen: 0, is_own: false })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether another process may have appended records, of `bytes` each, that are not known.
    pub fn has_grown(&self, bytes: usize) -> bool {
        let is_full = is_full(self.seen, bytes);
        !self.is_own
            && !is_full
            && fs::metadata(self.path.with_extension(KEYS)).is_ok_and(|keys| keys.len() / KEY as u64 > self.seen as u64)
    }

    /// Keys appended since the last call, with the numbers of their records, of `bytes` each.
    pub fn news(&mut self, bytes: usize) -> io::Result<impl Iterator<Item = (usize, Key)> + use<>> {
        let keys = File::open(self.path.with_extension(KEYS))?;
        let whole = (keys.metadata()?.len() / KEY as u64).min(self.pixels.metadata()?.len() / bytes as u64);
        let first = self.seen;
        self.seen = first.max(whole as usize);
        let mut new = vec![0; (self.seen - first) * KEY];
        read_exact_at(&keys, &mut new, (first * KEY) as u64)?;
        let key = move |index: usize| Key::from_bytes(new[index * KEY..][..KEY].try_into().expect("a key"));
        Ok((first..self.seen).map(move |record| (record, key(record - first))))
    }

    /// A record was appended by this process, which knows its key, and alone appends.
    pub fn grown_to(&mut self, records: usize) {
        self.is_own = true;
        self.seen = self.seen.max(records);
    }

    /// Reads a record's pixels, whatever they are.
    pub fn read(&self, record: usize, target: &mut [u8]) -> io::Result<()> {
        read_exact_at(&self.pixels, target, record as u64 * target.len() as u64)
    }
}

/// Paths of the packs in a folder, without endings, the oldest number first.
pub(super) fn paths_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|ending| ending == KEYS))
        .map(|path| path.with_extension(""))
        .collect();
    paths.sort_by_key(|path| number(path));
    paths
}

fn number(path: &Path) -> u64 {
    path.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0)
}

/// Whether a pack of so many records, of `bytes` each, gets no more.
fn is_full(records: usize, bytes: usize) -> bool {
    ((records + 1) * bytes) as u64 > LIMIT && records > 0
}

/// A pack that this process alone appends to.
#[derive(Debug)]
pub(super) struct Writer {
    /// None where the drive has no locks: then the pack is new, and its name known to this process only.
    _lock: Option<File>,
    keys: File,
    pixels: File,
    records: usize,
    /// Of a record's pixels.
    bytes: usize,
}

impl Writer {
    /// Takes the first pack of a folder with room to which nobody appends, or makes one; its path without an ending
    /// comes with it. What a killed process left half-written at its end is cut off.
    pub fn take(folder: &Path, bytes: usize) -> io::Result<(PathBuf, Writer)> {
        fs::create_dir_all(folder)?;
        let mut last = 0;
        for path in paths_in(folder) {
            last = last.max(number(&path));
            let records = |file: fs::Metadata| (file.len() / bytes as u64) as usize;
            if fs::metadata(path.with_extension(PIXELS)).is_ok_and(|file| is_full(records(file), bytes)) {
                continue;
            }
            if let Asked::Taken(lock) = ask(&path.with_extension(LOCK))? {
                match Writer::append_to(&path, bytes, Some(lock)) {
                    // It was removed meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    taken => return Ok((path, taken?)),
                }
            }
        }
        for number in last + 1.. {
            let path = folder.join(format!("{number:04}"));
            match File::create_new(path.with_extension(KEYS)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            };
            match ask(&path.with_extension(LOCK))? {
                Asked::Taken(lock) => return Ok((path.clone(), Writer::append_to(&path, bytes, Some(lock))?)),
                Asked::NoLocks => return Ok((path.clone(), Writer::append_to(&path, bytes, None)?)),
                // Another process has seen the new file and taken it.
                Asked::Held => {}
            }
        }
        unreachable!("numbers go on")
    }

    fn append_to(path: &Path, bytes: usize, lock: Option<File>) -> io::Result<Writer> {
        let keys = File::options().read(true).write(true).open(path.with_extension(KEYS))?;
        let mut pixels = File::options();
        let pixels = pixels.create(true).truncate(false).read(true).write(true).open(path.with_extension(PIXELS))?;
        let records = (keys.metadata()?.len() / KEY as u64).min(pixels.metadata()?.len() / bytes as u64) as usize;
        let writer = Writer { _lock: lock, keys, pixels, records, bytes };
        writer.cut()?;
        Ok(writer)
    }

    /// Leaves whole records only.
    fn cut(&self) -> io::Result<()> {
        self.keys.set_len((self.records * KEY) as u64)?;
        self.pixels.set_len((self.records * self.bytes) as u64)
    }

    pub fn is_full(&self) -> bool {
        is_full(self.records, self.bytes)
    }

    /// The number of the new record. After an error the pack is as before.
    pub fn append(&mut self, key: &Key, pixels: &[u8]) -> io::Result<usize> {
        let record = self.records;
        let written = write_all_at(&self.pixels, pixels, (record * self.bytes) as u64)
            .and_then(|()| write_all_at(&self.keys, &key.to_bytes(), (record * KEY) as u64));
        if let Err(error) = written {
            // Where even this fails, the sums tell.
            let _ = self.cut();
            return Err(error);
        }
        self.records += 1;
        Ok(record)
    }
}

/// Size and age of a pack.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub path: PathBuf,
    pub records: u64,
    pub bytes: u64,
    pub modified: std::time::SystemTime,
}

/// The packs in a folder.
pub(super) fn list(folder: &Path) -> Vec<Listed> {
    let listed = |path: PathBuf| {
        let (keys, pixels) =
            (fs::metadata(path.with_extension(KEYS)).ok()?, fs::metadata(path.with_extension(PIXELS)).ok());
        let bytes = keys.len() + pixels.map_or(0, |pixels| pixels.len());
        Some(Listed { records: keys.len() / KEY as u64, bytes, modified: keys.modified().ok()?, path })
    };
    paths_in(folder).into_iter().filter_map(listed).collect()
}

/// Removes a pack, unless a process appends to it: then false.
pub(super) fn remove(path: &Path) -> io::Result<bool> {
    let lock = path.with_extension(LOCK);
    let held = ask(&lock)?;
    if let Asked::Held = held {
        return Ok(false);
    }
    fs::remove_file(path.with_extension(KEYS))?;
    match fs::remove_file(path.with_extension(PIXELS)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    drop(held);
    fs::remove_file(lock)?;
    Ok(true)
}
