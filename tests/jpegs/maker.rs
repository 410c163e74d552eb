//! Legal JPEG files of random kinds, made with `cjpeg` and `jpegtran`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::seq::{IndexedMutRandom, IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A folder for one test's files, and the random numbers of one of them.
pub struct Maker<'a> {
    folder: &'a Path,
    pub random: ChaCha8Rng,
    number: u64,
    /// Whether the last legal file is a progression without some coefficients, or bits of them.
    pub ends_early: bool,
}

impl Maker<'_> {
    pub fn new(folder: &Path, number: u64, purpose: u64) -> Maker<'_> {
        Maker { folder, random: ChaCha8Rng::seed_from_u64(number << 1 | purpose), number, ends_early: false }
    }

    pub fn path(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{:05}.{ending}", self.number))
    }

    pub fn chance(&mut self, of: u32) -> bool {
        self.random.random_range(0..of) == 0
    }

    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        *all.choose(&mut self.random).expect("there is one")
    }

    /// Output of a tool for a file.
    pub fn run(&self, tool: &str, arguments: &[String], input: &Path) -> Vec<u8> {
        let output = Command::new(tool).args(arguments).arg(input).output().expect("the tool runs");
        assert!(output.status.success(), "{tool} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// A picture with smooth parts, edges and noise, as PPM or PGM.
    fn drawing(&mut self, width: usize, height: usize, channels: usize) -> Vec<u8> {
        let noise = self.one_of(&[1, 9, 90, 256]);
        let slopes: [i64; 6] = std::array::from_fn(|_| self.random.random_range(-9..=9));
        let edge = self.random.random_range(1..=width);
        let mut bytes = format!("P{}\n{width} {height}\n255\n", if channels == 3 { 6 } else { 5 }).into_bytes();
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y as i64, x as i64))) {
            for channel in 0..channels {
                let plain =
                    128 + slopes[channel] * x + slopes[channel + 3] * y + if x as usize > edge { 77 } else { 0 };
                bytes.push((plain + self.random.random_range(0..noise)).rem_euclid(256) as u8);
            }
        }
        bytes
    }

    /// Options for a scan of each component, in any order, or in pairs; or for a progression, which may end early.
    fn scans(&mut self, channels: usize) -> Option<String> {
        let mut components: Vec<String> = (0..channels).map(|channel| channel.to_string()).collect();
        components.shuffle(&mut self.random);
        if self.chance(2) {
            let together = if channels == 3 && self.chance(2) { 2 } else { 1 };
            let parts = [components[..together].to_vec(), components[together..].to_vec()];
            let mut pair = parts[0].clone();
            pair.sort();
            return Some(format!("{};\n{};\n", pair.join(" "), parts[1].join(";\n"))).filter(|_| channels > 1);
        }
        let low = self.random.random_range(0..3);
        let mut script: Vec<String> = components.iter().map(|c| format!("{c}: 0-0, 0, {low};")).collect();
        let mut rest: Vec<Vec<String>> = Vec::new();
        rest.push(
            (0..low).rev().flat_map(|l| components.iter().map(move |c| format!("{c}: 0-0, {}, {l};", l + 1))).collect(),
        );
        let mut skips = false;
        for component in &components {
            let mut start = 1;
            while start < 64 {
                let end = self.random.random_range(start..64);
                let low = self.random.random_range(0..3);
                let first = std::iter::once(format!("{component}: {start}-{end}, 0, {low};"));
                let refine = (0..low).rev().map(|l| format!("{component}: {start}-{end}, {}, {l};", l + 1));
                rest.push(first.chain(refine).collect());
                let is_last = self.chance(3);
                skips |= is_last && end < 63;
                start = if is_last { 64 } else { end + 1 };
            }
        }
        rest.iter_mut().for_each(|band| band.reverse());
        let stop = if self.chance(3) { self.random.random_range(0..8) } else { 1000 };
        self.ends_early = skips || stop < 1000;
        while script.len() < stop + components.len() {
            rest.retain(|band| !band.is_empty());
            let Some(band) = rest.choose_mut(&mut self.random) else { break };
            script.extend(band.pop());
        }
        Some(script.join("\n"))
    }

    /// A legal file of a random kind.
    pub fn legal(&mut self) -> Vec<u8> {
        let side = |maker: &mut Self| match maker.random.random_range(0..8) {
            0 => maker.random.random_range(1..=9),
            7 => maker.random.random_range(100..=260),
            _ => maker.random.random_range(10..=90),
        };
        let (width, height) = (side(self), side(self));
        if self.chance(8) {
            return self.four_colours(width, height);
        }
        let channels = if self.chance(6) { 1 } else { 3 };
        let picture = self.path("pnm");
        fs::write(&picture, self.drawing(width, height, channels)).unwrap();
        let mut options = vec!["-quality".to_string(), self.random.random_range(1..=100).to_string()];
        if channels == 3 {
            if self.chance(5) {
                options.push("-rgb".into());
            }
            options.extend(["-sample".into(), self.sampling()]);
        }
        let script = self.path("scans");
        match self.random.random_range(0..7) {
            0 => options.push("-progressive".into()),
            1 => options.push("-optimize".into()),
            2 | 3 => {
                if let Some(scans) = self.scans(channels) {
                    fs::write(&script, scans).unwrap();
                    options.extend(["-scans".into(), script.display().to_string()]);
                }
            }
            _ => {}
        }
        if self.chance(4) {
            options.retain(|option| option != "-optimize");
            options.push("-arithmetic".into());
        }
        options.extend(self.restarts());
        let jpeg = self.run("cjpeg", &options, &picture);
        self.other_markers(jpeg)
    }

    fn restarts(&mut self) -> Vec<String> {
        match self.random.random_range(0..4) {
            0 => vec!["-restart".into(), format!("{}B", self.random.random_range(1..12))],
            1 => vec!["-restart".into(), self.random.random_range(1..4).to_string()],
            _ => Vec::new(),
        }
    }

    /// Sampling factors of which the largest are multiples of the others, and of ten blocks at most.
    fn sampling(&mut self) -> String {
        const COMMON: [&str; 6] = ["1x1", "2x1", "2x2", "1x2", "4x1", "4x2"];
        if !self.chance(3) {
            return self.one_of(&COMMON).to_string();
        }
        loop {
            let factors: [[u32; 2]; 3] =
                std::array::from_fn(|_| [self.one_of(&[1, 1, 2, 3, 4]), self.one_of(&[1, 1, 2, 3, 4])]);
            let divides = |axis: usize| {
                let most = factors.iter().map(|factor| factor[axis]).max().expect("three");
                factors.iter().all(|factor| most % factor[axis] == 0)
            };
            if divides(0) && divides(1) && factors.iter().map(|[h, v]| h * v).sum::<u32>() <= 10 {
                return factors.map(|[h, v]| format!("{h}x{v}")).join(",");
            }
        }
    }

    /// A picture of four inks: four grey ones, each a scan of its own, under one header, and what `jpegtran` makes of it.
    fn four_colours(&mut self, width: usize, height: usize) -> Vec<u8> {
        let quality = self.random.random_range(30..=95).to_string();
        let mut header = Vec::new();
        let mut scans = Vec::new();
        for ink in 1..=4u8 {
            let picture = self.path("pnm");
            fs::write(&picture, self.drawing(width, height, 1)).unwrap();
            let grey = self.run("cjpeg", &["-quality".into(), quality.clone(), "-grayscale".into()], &picture);
            let segments = segments(&grey);
            let [(.., frame), (.., scan)] = [0xC0, 0xDA].map(|marker| find(&segments, marker));
            if ink == 1 {
                header =
                    segments.iter().take_while(|(marker, _)| *marker != 0xC0).flat_map(|(_, s)| s.to_vec()).collect();
                header = [&[0xFF, 0xD8], &header[..]].concat();
                if self.chance(2) {
                    header.extend(adobe(self.one_of(&[0, 2])));
                }
                let inks: Vec<u8> = (1..=4).flat_map(|ink| [ink, 0x11, 0]).collect();
                header.extend([&[0xFF, 0xC0, 0, 20], &frame[4..9], &[4], &inks].concat());
                header.extend_from_slice(find(&segments, 0xC4).1);
                let tables = segments.iter().filter(|(marker, _)| *marker == 0xC4).skip(1);
                header.extend(tables.flat_map(|(_, segment)| segment.to_vec()));
            }
            // The component's name stands in the scan's header.
            let mut scan = scan.to_vec();
            scan[5] = ink;
            scans.extend(scan);
        }
        let jpeg = [header, scans, vec![0xFF, 0xD9]].concat();
        let options: &[&str] = self.one_of(&[&[][..], &["-progressive"], &["-arithmetic"], &["-optimize"]]);
        let mut options: Vec<String> = options.iter().map(|option| option.to_string()).collect();
        options.extend(self.restarts());
        let plain = self.path("plain.jpg");
        fs::write(&plain, &jpeg).unwrap();
        if self.chance(3) { jpeg } else { self.run("jpegtran", &options, &plain) }
    }

    /// Other names of colours, markers that say what they mean, metadata, fill, no tables.
    fn other_markers(&mut self, jpeg: Vec<u8>) -> Vec<u8> {
        let mut out = vec![0xFF, 0xD8];
        let names = self.one_of(&[[1, 2, 3], [1, 2, 3], [b'R', b'G', b'B'], [0, 1, 2], [7, 9, 200]]);
        let renamed = |name: u8| if (1..=3).contains(&name) { names[usize::from(name) - 1] } else { name };
        let (no_app0, adobe_first, adobe_last) = (self.chance(4), self.chance(5), self.chance(5));
        let no_tables = self.chance(6) && has_standard_tables(&jpeg);
        if adobe_first {
            out.extend(adobe(self.one_of(&[0, 1])));
        }
        for (marker, segment) in segments(&jpeg) {
            let mut segment = segment.to_vec();
            match marker {
                0xE0 | 0xEE if no_app0 => continue,
                0xC4 if no_tables => continue,
                0xC0..=0xC2 | 0xC9 | 0xCA => {
                    let count = usize::from(segment[9]);
                    (0..count).for_each(|component| segment[10 + 3 * component] = renamed(segment[10 + 3 * component]));
                }
                0xDA => {
                    let count = usize::from(segment[4]);
                    (0..count).for_each(|component| segment[5 + 2 * component] = renamed(segment[5 + 2 * component]));
                }
                _ => {}
            }
            if marker == 0xDB && adobe_last {
                out.extend(adobe(self.one_of(&[0, 1])));
            }
            if self.chance(6) {
                out.extend(vec![0xFF; self.random.random_range(1..5)]);
            }
            if self.chance(6) {
                out.extend(self.metadata());
            }
            out.extend(segment);
        }
        out.extend([0xFF, 0xD9]);
        if self.chance(5) {
            let garbage = self.random.random_range(1..200);
            out.extend((0..garbage).map(|_| self.random.random::<u8>()));
        }
        out
    }

    /// A segment that no decoder has to know, with markers inside.
    fn metadata(&mut self) -> Vec<u8> {
        let length = self.random.random_range(0..60);
        let mut content: Vec<u8> = (0..length).map(|_| self.one_of(&[0, 0xFF, 0xD8, 0xD9, 0xDA, b'J', b'F'])).collect();
        let marker = self.one_of(&[0xE1, 0xE2, 0xE5, 0xED, 0xEF, 0xFE]);
        if self.chance(3) {
            content = [b"Exif\0\0", &content[..]].concat();
        }
        [&[0xFF, marker][..], &(content.len() as u16 + 2).to_be_bytes(), &content].concat()
    }
}

/// Adobe's marker, which says what three or four components mean.
fn adobe(transform: u8) -> Vec<u8> {
    [&[0xFF, 0xEE, 0, 14][..], b"Adobe\0\x64\0\0\0\0", &[transform]].concat()
}

/// Segments of a whole file, with their markers; a scan's data belong to its segment. The start and the end of
/// the picture are left out.
pub fn segments(jpeg: &[u8]) -> Vec<(u8, &[u8])> {
    let (mut found, mut at) = (Vec::new(), 2);
    loop {
        // Any number of FF may stand in front of a marker.
        at += jpeg[at + 1..].iter().take_while(|&&byte| byte == 0xFF).count();
        if jpeg[at + 1] == 0xD9 {
            return found;
        }
        let mut end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        if jpeg[at + 1] == 0xDA {
            let is_marker = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xD0..=0xD7);
            end += jpeg[end..].windows(2).position(is_marker).expect("a picture ends");
        }
        found.push((jpeg[at + 1], &jpeg[at..end]));
        at = end;
    }
}

fn find<'a>(segments: &[(u8, &'a [u8])], marker: u8) -> (u8, &'a [u8]) {
    *segments.iter().find(|(found, _)| *found == marker).expect("there is one")
}

/// Whether the tables of codes are those that a decoder takes where there are none: `cjpeg` writes them for a picture
/// of one pass. Others have other lengths.
fn has_standard_tables(jpeg: &[u8]) -> bool {
    const STANDARD: [usize; 2] = [216, 432];
    let segments = segments(jpeg);
    let is = |marker: u8| segments.iter().any(|(found, _)| *found == marker);
    let tables: usize = segments.iter().filter(|(marker, _)| *marker == 0xC4).map(|(_, s)| s.len()).sum();
    is(0xC0) && STANDARD.contains(&tables)
}
