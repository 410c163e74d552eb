//! JPEG files of unusual kinds, drawn at random, against libjpeg's own tools: what `djpeg` reads without a word is read
//! to the bit, what it warns of is refused. Needs `cjpeg`, `jpegtran` and `djpeg` (Debian: libjpeg-turbo-progs).
//!
//! `OCELLUS_JPEGS=1000` makes so many files, and half as many damaged ones; `OCELLUS_JPEGS_DIR` keeps them.

mod maker;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use image::RgbImage;
use maker::{Maker, segments};
use ocellus::app::data::Resampling;
use ocellus::app::data::decode::open_image;
use ocellus::app::data::resize::resize;
use ocellus::app::data::source::Once;
use ocellus::engine::image_size::ImageSize;
use rand::RngExt;
use rayon::prelude::*;

/// Files that are made if nothing else is asked for.
const COUNT: usize = 120;

fn count() -> usize {
    std::env::var("OCELLUS_JPEGS").map_or(COUNT, |text| text.parse().expect("a number of files"))
}

/// Whether the tools are there; says so where they are not.
fn tools_are_there() -> bool {
    let there = |tool: &&str| {
        let mut command = Command::new(tool);
        command.arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok()
    };
    let missing: Vec<&str> = ["cjpeg", "djpeg", "jpegtran"].into_iter().filter(|tool| !there(tool)).collect();
    if !missing.is_empty() {
        println!("skipped: no {} (Debian: apt-get install libjpeg-turbo-progs)", missing.join(", "));
    }
    missing.is_empty()
}

/// A folder for the files of a test, which are gone with it if nobody asked to keep them.
struct Folder {
    path: PathBuf,
    _gone: Option<tempfile::TempDir>,
}

impl Folder {
    fn new(name: &str) -> Folder {
        match std::env::var_os("OCELLUS_JPEGS_DIR") {
            Some(kept) => {
                let path = Path::new(&kept).join(name);
                fs::create_dir_all(&path).unwrap();
                Folder { path, _gone: None }
            }
            None => {
                let gone = tempfile::tempdir().unwrap();
                Folder { path: gone.path().into(), _gone: Some(gone) }
            }
        }
    }
}

/// Picture that `djpeg` makes of a file, and its complaints.
fn djpeg(path: &Path) -> (Option<RgbImage>, String) {
    let output = Command::new("djpeg").args(["-pnm", "-dct", "int"]).arg(path).output().expect("djpeg runs");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (read_pnm(&output.stdout), words)
}

/// Whether `djpeg` smooths a progression that ends early as libjpeg does from 3 on. Before that it differs from Pillow,
/// whose libjpeg is newer, by up to 30 levels in such pictures, and in no others.
fn smooths_as_now() -> bool {
    let output = Command::new("djpeg").arg("-version").stdin(Stdio::null()).output().expect("djpeg runs");
    let words = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    let version = words.split("version ").nth(1).and_then(|rest| rest.split('.').next()?.trim().parse::<u32>().ok());
    version.is_some_and(|version| version >= 3)
}

/// Three values a pixel from PPM or PGM, the two that `djpeg` writes.
fn read_pnm(bytes: &[u8]) -> Option<RgbImage> {
    let mut parts = bytes.splitn(4, |byte| byte.is_ascii_whitespace());
    let kind = parts.next()?;
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse().ok();
    let (width, height): (u32, u32) = (number()?, number()?);
    let values = parts.next()?.strip_prefix(b"255\n")?;
    let values = match kind {
        b"P5" => values.iter().flat_map(|&value| [value; 3]).collect(),
        _ => values.to_vec(),
    };
    RgbImage::from_raw(width, height, values)
}

#[test]
fn pixels_are_libjpegs() {
    if !tools_are_there() {
        return;
    }
    let (folder, smooths_as_now) = (Folder::new("legal"), smooths_as_now());
    let differs = |number: u64| -> Option<String> {
        let mut maker = Maker::new(&folder.path, number, 0);
        let path = maker.path("jpg");
        fs::write(&path, maker.legal()).unwrap();
        let (want, words) = djpeg(&path);
        assert!(words.is_empty(), "{}: djpeg: {words}", path.display());
        let want = want.expect("djpeg reads a legal file");
        let image = match open_image(&path) {
            Ok(image) => image,
            Err(error) => return Some(format!("refused: {error}")),
        };
        for (size, resampling) in
            [((5, 9), Resampling::Nearest), ((300, 4), Resampling::Nearest), ((7, 6), Resampling::Lanczos)]
        {
            let size = ImageSize { height: size.0, width: size.1 };
            // Row by row, while it is decoded.
            let once = Once::new(None, false, (size, resampling), std::iter::empty());
            let same = once
                .load(&folder.path, &path)
                .is_ok_and(|pixels| pixels == resize(&image, size, resampling).into_raw());
            if !same {
                return Some(format!("{}: other pixels at {size}, {resampling:?}", path.display()));
            }
        }
        if std::env::var_os("OCELLUS_JPEGS_DIR").is_some() {
            // What was read, for comparisons with other programs.
            image.save(path.with_extension("read.png")).unwrap();
        }
        let sizes = (image.dimensions(), want.dimensions());
        let worst = image.iter().zip(want.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
        let is_same = worst == 0 || maker.ends_early && !smooths_as_now;
        (sizes.0 != sizes.1 || !is_same).then(|| format!("{}: {sizes:?}, off by {worst}", path.display()))
    };
    let count = count();
    let wrong: Vec<String> = (0..count as u64).into_par_iter().filter_map(differs).collect();
    println!("{count} legal files, {} not as djpeg reads them", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Ways in which files come to harm.
const HARMS: [&str; 8] = [
    "cut",
    "cut and closed",
    "bytes lost",
    "restart lost",
    "restarts swapped",
    "rows missing",
    "bits flipped",
    "zeros",
];

/// The file after one kind of harm to the data of its scans; None where it has nothing to harm.
fn harmed(maker: &mut Maker, jpeg: &[u8], harm: &str) -> Option<Vec<u8>> {
    let segments = segments(jpeg);
    let scans: Vec<&[u8]> =
        segments.iter().filter(|(marker, _)| *marker == 0xDA).map(|(_, segment)| *segment).collect();
    let scan = *scans.get(maker.random.random_range(0..scans.len()))?;
    let start = scan.as_ptr() as usize - jpeg.as_ptr() as usize;
    let data = start + 2 + usize::from(u16::from_be_bytes([scan[2], scan[3]]))..start + scan.len();
    if data.len() < 8 {
        return None;
    }
    let at = maker.random.random_range(data.clone());
    let is_restart = |at: &usize| jpeg[*at] == 0xFF && matches!(jpeg[*at + 1], 0xD0..=0xD7);
    let restarts: Vec<usize> = data.clone().take(data.len() - 1).filter(is_restart).collect();
    let mut bytes = jpeg.to_vec();
    match harm {
        "cut" => bytes.truncate(at),
        "cut and closed" => {
            bytes.truncate(at);
            bytes.extend([0xFF, 0xD9]);
        }
        "bytes lost" => drop(bytes.drain(at..(at + maker.random.random_range(1..100)).min(data.end))),
        "restart lost" => {
            let restart = *restarts.first()?;
            drop(bytes.drain(restart..restart + 2));
        }
        "restarts swapped" => {
            let [.., first, last] = restarts[..] else { return None };
            bytes.swap(first + 1, last + 1);
        }
        "rows missing" => {
            let frame = segments.iter().find(|(marker, _)| matches!(marker, 0xC0..=0xC2 | 0xC9 | 0xCA))?.1;
            let at = frame.as_ptr() as usize - jpeg.as_ptr() as usize + 5;
            let height = u16::from_be_bytes([jpeg[at], jpeg[at + 1]]) + maker.random.random_range(9..300);
            bytes[at..at + 2].copy_from_slice(&height.to_be_bytes());
        }
        "bits flipped" => {
            for _ in 0..maker.random.random_range(1..20) {
                let at = maker.random.random_range(data.clone());
                bytes[at] ^= 1 << maker.random.random_range(0..8);
            }
        }
        "zeros" => bytes[at..data.end].fill(0),
        _ => unreachable!("all kinds are listed"),
    }
    Some(bytes)
}

/// Fate of a harmed file.
#[derive(PartialEq, Eq)]
enum Outcome {
    /// `djpeg` complains, and so it is refused.
    Refused,
    /// `djpeg` says nothing: nobody can tell. The pixels are `djpeg`'s.
    Unnoticed,
    /// `djpeg` says nothing, but a colour has no data.
    MissingColour,
    Wrong(String),
}

#[test]
fn damage_is_refused() {
    if !tools_are_there() {
        return;
    }
    let (folder, smooths_as_now) = (Folder::new("damaged"), smooths_as_now());
    let (wanted, refused) = (count().div_ceil(2), AtomicUsize::new(0));
    let outcome = |number: u64| -> Option<(&str, Outcome)> {
        if refused.load(Ordering::Relaxed) >= wanted {
            return None;
        }
        let mut maker = Maker::new(&folder.path, number, 1);
        let harm = HARMS[number as usize % HARMS.len()];
        let legal = maker.legal();
        let bytes = harmed(&mut maker, &legal, harm)?;
        let path = maker.path("jpg");
        fs::write(&path, bytes).unwrap();
        let (want, words) = djpeg(&path);
        let may_differ = !smooths_as_now && segments(&legal).iter().any(|(marker, _)| matches!(marker, 0xC2 | 0xCA));
        let once = Once::new(None, false, (8.into(), Resampling::Nearest), std::iter::empty());
        let (open, loaded) = (open_image(&path), once.load(&folder.path, &path));
        if open.as_ref().err().map(ToString::to_string) != loaded.err().map(|error| error.to_string()) {
            return Some((harm, Outcome::Wrong(format!("{}: read whole or row by row only", path.display()))));
        }
        let outcome = match (open, words.is_empty()) {
            (Err(_), false) => {
                refused.fetch_add(1, Ordering::Relaxed);
                Outcome::Refused
            }
            (Ok(image), true) if may_differ || Some(&image) == want.as_ref() => Outcome::Unnoticed,
            (Err(error), true) if error.to_string().contains("a colour is missing") => Outcome::MissingColour,
            (Ok(_), true) => Outcome::Wrong(format!("{}: other pixels than djpeg's", path.display())),
            (Ok(_), false) => Outcome::Wrong(format!("{}: read; djpeg: {words}", path.display())),
            (Err(error), true) => Outcome::Wrong(format!("{error}; djpeg says nothing")),
        };
        Some((harm, outcome))
    };
    let outcomes: Vec<(&str, Outcome)> = (0..20 * wanted as u64).into_par_iter().filter_map(outcome).collect();
    let mut kinds: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for (harm, outcome) in &outcomes {
        let kind = kinds.entry(harm).or_default();
        match outcome {
            Outcome::Refused => kind[0] += 1,
            Outcome::Unnoticed => kind[1] += 1,
            Outcome::MissingColour => kind[2] += 1,
            Outcome::Wrong(_) => {}
        }
    }
    println!("harm: refused as djpeg complains, unnoticed by both, refused for a colour without data: {kinds:?}");
    let wrong: Vec<&str> = outcomes
        .iter()
        .filter_map(|(_, outcome)| if let Outcome::Wrong(what) = outcome { Some(&what[..]) } else { None })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), outcomes.len(), wrong.join("\n"));
    assert!(refused.into_inner() >= wanted && kinds.len() == HARMS.len(), "too few: {kinds:?}");
}
