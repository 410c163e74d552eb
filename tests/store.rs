//! Decoded photographs on disk: filled by several programs at once, damaged, killed, without room. There
//! is never a wrong pixel.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use blake3::Hash;
use ocellus::app::data::records::Persons;
use ocellus::app::data::source::Once;
use ocellus::app::data::store::{FAINT, Store};
use ocellus::app::data::stored::{Opening, Stored};
use ocellus::app::data::{Cache, Example, Faint, Pixels, Resampling, Split, decode, synthetic};
use ocellus::engine::image_size::ImageSize;
use tempfile::TempDir;

const SIZE: usize = 8;

/// Drawn photographs as one split, old enough that their times can be trusted.
struct Set {
    folder: TempDir,
    split: Arc<Split>,
}

impl Set {
    fn drawn(count: usize) -> Set {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        synthetic::write(&data, &synthetic::Options { images: count, size: 16.into(), seed: 1 }, |_, _| ()).unwrap();
        let mut paths: Vec<PathBuf> =
            fs::read_dir(data.join("img")).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().for_each(|path| age(path));
        let example =
            |(row, path): (usize, PathBuf)| Example { path, label: 0, id: row.to_string(), line: row as u64 + 2 };
        let examples = paths.into_iter().enumerate().map(example).collect();
        let split = Split { csv: data.join("train.csv"), dir: data, examples, persons: Persons::Column };
        Set { folder, split: Arc::new(split) }
    }

    fn cache(&self) -> Cache {
        Cache::new(self.folder.path().join("cache"))
    }

    fn open(&self, cache: Option<&Cache>, verify: bool) -> Stored {
        self.try_open(cache, verify).unwrap()
    }

    fn try_open(&self, cache: Option<&Cache>, verify: bool) -> ocellus::error::Result<Stored> {
        let opening = Opening { size: SIZE.into(), cache, stream: false, verify };
        let nowhere = || panic!("memory has room for so few");
        let splits = [(Arc::clone(&self.split), Resampling::Nearest)];
        Ok(opening.open(&splits, &Faint::default(), nowhere, |_| ())?.remove(0))
    }

    /// Pixels that a fresh decoding gives.
    fn decoded(&self) -> Vec<u8> {
        decode(&self.split, SIZE.into(), Resampling::Nearest, &Faint::default(), |_, _| ()).unwrap().pixels
    }

    fn path(&self, index: usize) -> &Path {
        &self.split.examples[index].path
    }
}

/// Makes a file an hour old.
fn age(path: &Path) {
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(SystemTime::now() - Duration::from_secs(3600))
        .unwrap();
}

fn all(images: &dyn Pixels) -> Vec<u8> {
    let bytes = images.size().rgb_bytes();
    let mut pixels = vec![0; images.count() * bytes];
    for (index, target) in pixels.chunks_exact_mut(bytes).enumerate() {
        images.read(index, target).unwrap();
    }
    pixels
}

/// Files of the packs with an ending, in their order.
fn packs(cache: &Cache, ending: &str) -> Vec<PathBuf> {
    let folder = cache.folder_of(SIZE.into(), Resampling::Nearest);
    let paths = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
    paths.sort();
    paths
}

fn records(cache: &Cache) -> u64 {
    cache.contents().sizes.iter().map(|size| size.photographs).sum()
}

/// Replaces a file's bytes and keeps its size and time: nobody sees the change who does not open it.
fn replace_unseen(path: &Path) {
    let time = fs::metadata(path).unwrap().modified().unwrap();
    let bytes: Vec<u8> = fs::read(path).unwrap().iter().map(|byte| !byte).collect();
    fs::write(path, bytes).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_second_run_opens_no_file() {
    let (set, wanted) = (Set::drawn(40), Set::drawn(40).decoded());
    let cache = set.cache();
    assert_eq!(all(&set.open(Some(&cache), false)), wanted);
    assert_eq!(records(&cache), 40);
    (0..40).for_each(|index| replace_unseen(set.path(index)));
    assert_eq!(all(&set.open(Some(&cache), false)), wanted, "no file was opened");
    let message = set.try_open(Some(&cache), true).unwrap_err().to_string();
    assert!(message.contains("train.csv:2: ") && message.contains("39 more"), "{message}");
    // A file with another time, and one with another size.
    let later = File::options().write(true).open(set.path(3)).unwrap();
    later.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    let message = set.try_open(Some(&cache), false).unwrap_err().to_string();
    assert!(message.contains("train.csv:5: ") && !message.contains("more"), "{message}");
    let bytes = fs::read(set.path(7)).unwrap();
    let time = fs::metadata(set.path(7)).unwrap().modified().unwrap();
    fs::write(set.path(7), [bytes, vec![0]].concat()).unwrap();
    File::options().write(true).open(set.path(7)).unwrap().set_modified(time).unwrap();
    let message = set.try_open(Some(&cache), false).unwrap_err().to_string();
    assert!(message.contains("train.csv:5: ") && message.contains("1 more"), "{message}");
    assert_eq!(records(&cache), 40);
}

/// As with git's index: within the step of a file system's clock, a change may show in neither size nor time.
#[test]
fn a_file_that_was_just_written_is_opened_again() {
    let set = Set::drawn(40);
    let cache = set.cache();
    File::options().write(true).open(set.path(5)).unwrap().set_modified(SystemTime::now()).unwrap();
    set.open(Some(&cache), false);
    replace_unseen(set.path(4));
    replace_unseen(set.path(5));
    let message = set.try_open(Some(&cache), false).unwrap_err().to_string();
    assert!(message.contains("train.csv:7: ") && !message.contains("more"), "{message}");
}

/// Files elsewhere, and of other names, are known by their bytes; other sizes and resamplings are stores of their own.
#[test]
fn photographs_are_known_by_their_bytes() {
    let set = Set::drawn(32);
    let cache = set.cache();
    let photograph = blake3::hash(&fs::read(set.path(0)).unwrap());
    // Other pixels in the store show that it is read.
    let other = vec![1; SIZE * SIZE * 3];
    cache.store(SIZE.into(), Resampling::Nearest).put(photograph, 0, &other).unwrap();
    let moved = set.path(0).with_file_name("moved");
    fs::rename(set.path(0), &moved).unwrap();
    let example = Example { path: moved, ..set.split.examples[0].clone() };
    let split = Arc::new(Split { examples: vec![example], ..Split::clone(&set.split) });
    let open = |size: ImageSize, resampling| {
        let opening = Opening { size, cache: Some(&cache), stream: false, verify: false };
        let nowhere = || panic!("the cache has room");
        all(&opening.open(&[(Arc::clone(&split), resampling)], &Faint::default(), nowhere, |_| ()).unwrap()[0])
    };
    assert_eq!(open(SIZE.into(), Resampling::Nearest), other);
    let [tall, wide] = [(16, 4), (4, 16)].map(|(height, width)| ImageSize { height, width });
    assert_ne!(open(tall, Resampling::Nearest), other);
    assert_ne!(open(wide, Resampling::Nearest), open(tall, Resampling::Nearest));
    assert_ne!(open(SIZE.into(), Resampling::Lanczos), other);
}

/// Every byte of a small pack is changed in its turn, and each of its files cut short at every length.
#[test]
fn damage_means_decoding_again() {
    let set = Set::drawn(32);
    let (cache, wanted) = (set.cache(), set.decoded());
    let record = SIZE * SIZE * 3;
    set.open(Some(&cache), false);
    let [pixels, keys] = ["pixels", "keys"].map(|ending| packs(&cache, ending).remove(0));
    let (whole_pixels, whole_keys) = (fs::read(&pixels).unwrap(), fs::read(&keys).unwrap());
    assert_eq!((whole_pixels.len(), whole_keys.len()), (32 * record, 32 * 40));
    // Another test that starts a program holds this one's locks for a moment: then a run makes a pack of its own.
    let reset = || {
        let others = packs(&cache, "keys").into_iter().filter(|path| *path != keys);
        others.for_each(|path| fs::remove_file(path).unwrap());
        fs::write(&pixels, &whole_pixels).unwrap();
        fs::write(&keys, &whole_keys).unwrap();
    };
    let check = |file: &Path, bytes: Vec<u8>, what: &str| {
        reset();
        fs::write(file, bytes).unwrap();
        assert!(all(&set.open(Some(&cache), false)) == wanted, "{what}");
    };
    let flipped = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1 << (at % 8);
        bytes
    };
    for at in (0..whole_pixels.len()).step_by(41) {
        check(&pixels, flipped(&whole_pixels, at), &format!("pixels, byte {at}"));
    }
    for at in (0..whole_keys.len()).step_by(7) {
        check(&keys, flipped(&whole_keys, at), &format!("keys, byte {at}"));
    }
    for length in (0..whole_pixels.len()).step_by(307) {
        check(&pixels, whole_pixels[..length].to_vec(), &format!("pixels cut to {length}"));
    }
    for length in (0..whole_keys.len()).step_by(53) {
        check(&keys, whole_keys[..length].to_vec(), &format!("keys cut to {length}"));
    }
    // One photograph decoded again is enough for the next run.
    reset();
    fs::write(&pixels, flipped(&whole_pixels, 5)).unwrap();
    assert_eq!(all(&set.open(Some(&cache), false)), wanted);
    assert_eq!(records(&cache), 33);
    fs::remove_file(set.path(0)).unwrap();
    fs::rename(set.folder.path().join("cache"), set.folder.path().join("kept")).unwrap();
    let store = Cache::new(set.folder.path().join("kept")).store(SIZE.into(), Resampling::Nearest);
    for (index, wanted) in wanted.chunks_exact(record).enumerate().skip(1) {
        let mut target = vec![0; record];
        assert!(store.read(&blake3::hash(&fs::read(set.path(index)).unwrap()), &mut target) && target == wanted);
    }
}

/// A run that has begun goes on without its photographs, and without the cache's files; where both are gone, it says
/// so.
#[test]
fn photographs_that_vanish_or_change_after_the_start() {
    let set = Set::drawn(32);
    let (cache, wanted) = (set.cache(), set.decoded());
    let stored = set.open(Some(&cache), false);
    (0..30).for_each(|index| fs::remove_file(set.path(index)).unwrap());
    assert_eq!(all(&stored), wanted);
    #[cfg(unix)]
    {
        fs::remove_dir_all(set.folder.path().join("cache/pixels")).unwrap();
        assert_eq!(all(&stored), wanted, "they are open");
        fs::create_dir_all(set.folder.path().join("cache/pixels")).unwrap();
    }
    let again = Set::drawn(32);
    let cache = again.cache();
    let stored = again.open(Some(&cache), false);
    fs::remove_file(again.path(3)).unwrap();
    fs::copy(again.path(6), again.path(5)).unwrap();
    File::options().write(true).open(packs(&cache, "pixels").remove(0)).unwrap().set_len(0).unwrap();
    let mut target = vec![0; SIZE * SIZE * 3];
    for (index, words) in [(3, "train.csv:5: "), (5, "another photograph now")] {
        let message = stored.read(index, &mut target).unwrap_err().to_string();
        let path = again.path(index).display().to_string();
        assert!(message.contains(words) && message.contains(&path) && message.contains("--resume"), "{message}");
    }
    stored.read(4, &mut target).unwrap();
    assert_eq!(target, wanted[4 * target.len()..][..target.len()]);
}

/// Stores that stand for programs: each has the others' records once it is opened, and no two write to one pack.
#[test]
fn several_programs_fill_one_store() {
    let folder = tempfile::tempdir().unwrap();
    let photograph = |number: usize| blake3::hash(&number.to_le_bytes());
    let pixels = |number: usize| -> Vec<u8> { (0..192).map(|at| (number * 31 + at) as u8).collect() };
    let programs = |count: usize, each: std::ops::Range<usize>| {
        std::thread::scope(|scope| {
            for program in 0..count {
                let (folder, each) = (folder.path(), each.clone());
                scope.spawn(move || {
                    let store = Store::open(folder, SIZE.into());
                    for number in each.skip(program * 100) {
                        store.put(photograph(number), (number % 2) as u32 * FAINT, &pixels(number)).unwrap();
                    }
                });
            }
        });
    };
    programs(4, 0..1000);
    programs(2, 800..1200);
    let store = Store::open(folder.path(), SIZE.into());
    let mut target = vec![0; 192];
    for number in 0..1200 {
        assert!(store.read(&photograph(number), &mut target) && target == pixels(number), "{number}");
        assert_eq!(store.find(&photograph(number)), Some((number % 2) as u32 * FAINT));
    }
    assert!(!store.read(&photograph(1200), &mut target));
}

/// A full disk, a folder without write permission: no reason to stop while memory has room.
#[test]
fn a_cache_that_cannot_be_written_does_no_harm() {
    let set = Set::drawn(32);
    let cache = Cache::new(set.path(0).join("below a file"));
    assert_eq!(all(&set.open(Some(&cache), false)), set.decoded());
    assert_eq!(all(&set.open(None, false)), set.decoded());
}

#[test]
fn the_oldest_packs_are_pruned_first() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path().to_path_buf());
    fs::create_dir_all(folder.path().join("photographs/ab")).unwrap();
    fs::write(folder.path().join("photographs/ab/cd-8-Nearest-2"), [0; 1000]).unwrap();
    let photograph = |number: usize| -> Hash { blake3::hash(&number.to_le_bytes()) };
    for (number, size) in [8, 16, 24].into_iter().enumerate() {
        let store = cache.store(size.into(), Resampling::Nearest);
        store.put(photograph(number), 0, &vec![7; size * size * 3]).unwrap();
        drop(store);
        let keys = cache.folder_of(size.into(), Resampling::Nearest).join("0001.keys");
        let time = SystemTime::now() - Duration::from_secs(100 * (3 - number as u64));
        File::options().write(true).open(keys).unwrap().set_modified(time).unwrap();
    }
    let contents = cache.contents();
    assert_eq!((contents.sizes.len(), contents.earlier), (3, 1000));
    let writing = cache.store(8.into(), Resampling::Nearest);
    writing.put(photograph(9), 0, &[7; 192]).unwrap();
    let time = SystemTime::now() - Duration::from_secs(1000);
    let keys = cache.folder_of(8.into(), Resampling::Nearest).join("0001.keys");
    File::options().write(true).open(keys).unwrap().set_modified(time).unwrap();
    let all: u64 = contents.sizes.iter().map(|size| size.bytes).sum::<u64>() + 192 + 40;
    let pruned = cache.prune(all - 1).unwrap();
    // The oldest is being written to: the next one goes.
    assert_eq!((pruned.held, pruned.removed, pruned.kept), (1, 1000 + 16 * 16 * 3 + 40, all - 16 * 16 * 3 - 40));
    assert!(!folder.path().join("photographs").exists());
    assert_eq!(cache.contents().sizes.len(), 2);
    drop(writing);
    let pruned = cache.prune(0).unwrap();
    assert_eq!((pruned.held, pruned.kept, cache.contents().sizes.len()), (0, 0, 0));
}

/// A program takes up what another one has appended before it appends itself.
#[test]
fn two_programs_do_not_keep_a_photograph_twice() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path().to_path_buf());
    let programs = [(); 2].map(|()| cache.store(SIZE.into(), Resampling::Nearest));
    for number in 0..100u64 {
        let photograph = blake3::hash(&number.to_le_bytes());
        let order = if number % 3 == 0 { [0, 1] } else { [1, 0] };
        order
            .iter()
            .for_each(|&program| programs[program].put(photograph, 0, &[number as u8; SIZE * SIZE * 3]).unwrap());
        // The other one reads it, too.
        let mut target = [0; SIZE * SIZE * 3];
        assert!(programs[order[1]].read(&photograph, &mut target) && target == [number as u8; SIZE * SIZE * 3]);
    }
    assert_eq!((packs(&cache, "keys").len(), records(&cache)), (2, 100));
}

/// Commands that pass over photographs once: pixels of files that are as the index says come from the store, and what
/// they open a later command need not open.
#[test]
fn one_pass_opens_no_file_that_is_known() {
    let (set, wanted) = (Set::drawn(40), Set::drawn(40).decoded());
    let cache = set.cache();
    let pass = |verify: bool| -> Vec<ocellus::error::Result<Vec<u8>>> {
        let data = set.split.examples.iter().map(|_| &*set.split.dir);
        let once = Once::new(Some(&cache), verify, (SIZE.into(), Resampling::Nearest), data);
        let loaded = set.split.examples.iter().map(|example| once.load(&set.split.dir, &example.path)).collect();
        assert_eq!(once.end(), None);
        loaded
    };
    let pixels = |verify: bool| pass(verify).into_iter().map(Result::unwrap).collect::<Vec<_>>().concat();
    assert_eq!(pixels(false), wanted);
    (0..20).for_each(|index| replace_unseen(set.path(index)));
    assert_eq!(pixels(false), wanted, "no file was opened");
    assert_eq!(all(&set.open(Some(&cache), false)), wanted, "nor by a run");
    assert_eq!(pass(true).iter().filter(|loaded| loaded.is_err()).count(), 20);
    // One that is gone, and damaged pixels.
    fs::remove_file(set.path(1)).unwrap();
    let pack = packs(&cache, "pixels").remove(0);
    let mut bytes = fs::read(&pack).unwrap();
    bytes.iter_mut().for_each(|byte| *byte ^= 1);
    fs::write(&pack, bytes).unwrap();
    let loaded = pass(false);
    let message = loaded[1].as_ref().unwrap_err().to_string();
    assert!(message.contains(&set.path(1).display().to_string()), "{message}");
    assert_eq!(loaded.iter().filter(|loaded| loaded.is_err()).count(), 20, "the others are what they were replaced by");
    let of_others: Vec<u8> = loaded.into_iter().skip(20).flat_map(Result::unwrap).collect();
    assert_eq!(of_others, wanted[20 * SIZE * SIZE * 3..]);
}
