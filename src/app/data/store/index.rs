//! Photographs of a folder by their files: name, size and time of what was read, and the hash that it
//! had. A file that is as the index says need not be opened.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use blake3::Hash;

use crate::error::Result;
use crate::files::write_atomic;

/// Bytes of a record: hash of the name, size, time, hash of the content, flags, sum.
const RECORD: usize = 16 + 8 + 8 + blake3::OUT_LEN + 4 + 4;

/// Age from which on a file's time tells it from a later state. File systems count in steps of two
/// seconds at most.
const SETTLED: Duration = Duration::from_secs(3);

/// Size and time of a file, by which a changed one is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    size: u64,
    /// Nanoseconds since 1970.
    modified: i64,
}

impl Stamp {
    /// None where the file system keeps no times.
    pub fn of(file: &Metadata) -> Option<Stamp> {
        let modified = match file.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()),
            Err(before) => i64::try_from(before.duration().as_nanos()).map(|nanoseconds| -nanoseconds),
        };
        Some(Stamp { size: file.len(), modified: modified.ok()? })
    }

    /// Whether the file was old enough at `now` that every later change would show.
    pub fn is_settled(self, now: SystemTime) -> bool {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        i128::from(self.modified) + SETTLED.as_nanos() as i128 <= now as i128
    }
}

/// A file that was read and decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    name: [u8; 16],
    stamp: Stamp,
    pub photograph: Hash,
    pub flags: u32,
}

impl Seen {
    /// `name` is the file's path within the folder of the data.
    pub fn new(name: &Path, stamp: Stamp, photograph: Hash, flags: u32) -> Seen {
        Seen { name: of_name(name), stamp, photograph, flags }
    }

    fn to_bytes(self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..16].copy_from_slice(&self.name);
        bytes[16..24].copy_from_slice(&self.stamp.size.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.stamp.modified.to_le_bytes());
        bytes[32..64].copy_from_slice(self.photograph.as_bytes());
        bytes[64..68].copy_from_slice(&self.flags.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..68]);
        bytes[68..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// None for a damaged record.
    fn from_bytes(bytes: &[u8; RECORD]) -> Option<Seen> {
        fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
            bytes[at..at + N].try_into().expect("so many bytes")
        }
        let stamp = Stamp { size: u64::from_le_bytes(part(bytes, 16)), modified: i64::from_le_bytes(part(bytes, 24)) };
        let photograph = Hash::from_bytes(part(bytes, 32));
        let seen = Seen { name: part(bytes, 0), stamp, photograph, flags: u32::from_le_bytes(part(bytes, 64)) };
        (seen.to_bytes() == *bytes).then_some(seen)
    }
}

fn of_name(name: &Path) -> [u8; 16] {
    let hash = blake3::hash(name.as_os_str().as_encoded_bytes());
    hash.as_bytes()[..16].try_into().expect("a hash is longer")
}

/// The files of one folder.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    /// In the order of their names' hashes.
    files: Vec<Seen>,
    /// The first file of each part; parts are equal shares of all hashes. A binary search would leave the processor's
    /// caches at each of its steps.
    parts: Vec<u32>,
}

/// Files per part, on average: hashes are spread evenly.
const PER_PART: usize = 8;

impl Index {
    /// Reads an index; a missing one is empty.
    pub fn open(path: PathBuf) -> Index {
        let files = read(&path);
        let count = files.len().div_ceil(PER_PART).max(1);
        let mut parts = vec![0; count + 1];
        for seen in &files {
            parts[part(&seen.name, count) + 1] += 1;
        }
        for at in 1..=count {
            parts[at] += parts[at - 1];
        }
        Index { path, files, parts }
    }

    /// Entries of an index that is not read.
    pub fn entries(path: &Path) -> u64 {
        fs::metadata(path).map_or(0, |file| file.len() / RECORD as u64)
    }

    /// The entry of a file, if it is as it was.
    pub fn find(&self, name: &Path, stamp: Stamp) -> Option<&Seen> {
        let name = of_name(name);
        let part = part(&name, self.parts.len() - 1);
        let files = &self.files[self.parts[part] as usize..self.parts[part + 1] as usize];
        files.iter().find(|seen| seen.name == name).filter(|seen| seen.stamp == stamp)
    }

    /// Writes the index with these files in the place of what it says of them. Other programs may have added to it
    /// since it was read, and may do so now.
    pub fn write_with(self, mut new: Vec<Seen>) -> Result<()> {
        if new.is_empty() {
            return Ok(());
        }
        let path = self.path;
        drop((self.files, self.parts));
        let _ = path.parent().map(fs::create_dir_all);
        let lock = File::options().create(true).truncate(false).write(true).open(path.with_extension("lock"));
        // Without a lock some entries may be lost: their files are opened again.
        let _lock = lock.and_then(|file| file.lock().map(|()| file));
        // A file that was read twice is as it was read last.
        new.reverse();
        new.extend(read(&path));
        new.sort_by_key(|seen| seen.name);
        new.dedup_by_key(|seen| seen.name);
        write_atomic(&path, |file| new.iter().try_for_each(|seen| file.write_all(&seen.to_bytes())))
    }
}

/// The part, of so many, that a name's hash is in.
fn part(name: &[u8; 16], parts: usize) -> usize {
    let start = u64::from_be_bytes(name[..8].try_into().expect("eight bytes"));
    ((u128::from(start) * parts as u128) >> 64) as usize
}

/// The whole entries of an index.
fn read(path: &Path) -> Vec<Seen> {
    let read = || -> io::Result<Vec<u8>> { fs::read(path) };
    let bytes = read().unwrap_or_default();
    let mut files: Vec<Seen> = bytes.as_chunks::<RECORD>().0.iter().filter_map(Seen::from_bytes).collect();
    files.sort_by_key(|seen| seen.name);
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str, size: u64, content: u8) -> Seen {
        Seen::new(Path::new(name), Stamp { size, modified: -7 }, blake3::hash(&[content]), u32::from(content))
    }

    #[test]
    fn files_are_found_as_they_were_read_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not made yet/index");
        let find = |name: &str, size: u64| {
            let stamp = Stamp { size, modified: -7 };
            Index::open(path.clone()).find(Path::new(name), stamp).copied()
        };
        assert_eq!(find("a", 1), None);
        Index::open(path.clone()).write_with(vec![seen("a", 1, 1), seen("b", 2, 2), seen("b", 3, 3)]).unwrap();
        assert_eq!((find("a", 1), find("b", 3)), (Some(seen("a", 1, 1)), Some(seen("b", 3, 3))));
        assert_eq!((find("a", 2), find("b", 2), find("c", 1)), (None, None, None));
        // Two programs that have read the same index add to it.
        let [one, two] = [Index::open(path.clone()), Index::open(path.clone())];
        one.write_with(vec![seen("c", 4, 4)]).unwrap();
        two.write_with(vec![seen("a", 5, 5)]).unwrap();
        assert_eq!((find("a", 5), find("c", 4)), (Some(seen("a", 5, 5)), Some(seen("c", 4, 4))));

        // A flipped bit anywhere in an entry loses that entry only.
        let whole = fs::read(&path).unwrap();
        assert_eq!(whole.len(), 3 * RECORD);
        for at in 0..RECORD {
            let mut bytes = whole.clone();
            bytes[RECORD + at] ^= 16;
            fs::write(&path, bytes).unwrap();
            assert_eq!(read(&path).len(), 2, "{at}");
        }
        fs::write(&path, &whole[..2 * RECORD + 5]).unwrap();
        assert_eq!(read(&path).len(), 2);
    }

    #[test]
    fn each_of_many_files_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        for count in [1, PER_PART, 5 * PER_PART + 3, 1000] {
            let names: Vec<String> = (0..count).map(|number| format!("img/{number}.jpg")).collect();
            let of = |name: &String| seen(name, name.len() as u64, name.len() as u8);
            Index::open(path.clone()).write_with(names.iter().map(of).collect()).unwrap();
            let index = Index::open(path.clone());
            let find = |name: &String, size| index.find(Path::new(name), Stamp { size, modified: -7 }).copied();
            assert!(names.iter().all(|name| find(name, name.len() as u64) == Some(of(name))));
            assert_eq!((find(&names[0], 1), find(&"elsewhere".into(), 1)), (None, None));
            assert_eq!(Index::entries(&path), count as u64);
        }
    }

    #[test]
    fn a_file_that_may_still_change_unseen_is_not_trusted() {
        let now = SystemTime::now();
        let at = |seconds: i64| {
            let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as i64;
            Stamp { size: 1, modified: since + seconds * 1_000_000_000 }.is_settled(now)
        };
        assert_eq!([at(-60), at(-3), at(-2), at(0), at(60)], [true, true, false, false, false]);
    }
}
