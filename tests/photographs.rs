//! Real-world oddities, each a small file: the pixels that Pillow 11.3 gives, or a refusal that says what to do.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ocellus::app::data::decode::{self, open_image};
use ocellus::app::data::records::Persons;
use ocellus::app::data::search::photographs;
use ocellus::app::data::stored::Opening;
use ocellus::app::data::{Cache, Example, Faint, Resampling, Split};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name)
}

/// Files, their width and height, and the CRC-32 of Pillow's `Image.open(file).convert("RGB").tobytes()`.
const READ: [(&str, (u32, u32), u32); 18] = [
    // A header of JFIF wins over Adobe's, which says RGB.
    ("jfif_and_adobe.jpg", (64, 64), 0xf1170189),
    ("luma_below_chroma.jpg", (64, 64), 0x060a5b8c),
    ("separate_scans_420.jpg", (64, 64), 0xf1170189),
    ("separate_scans_restart.jpg", (64, 64), 0xc04a9225),
    // Odd in what is no pixel: an unknown transform, Adobe's marker late in a grey picture, no tables, a length too short.
    ("adobe_7.jpg", (64, 64), 0xf1170189),
    ("grey_adobe_after_sof.jpg", (64, 64), 0x2899e144),
    ("no_dht.jpg", (64, 64), 0x473fca31),
    ("xmp_short.jpg", (64, 64), 0xf1170189),
    ("cmyk.jpg", (35, 29), 0x85256357),
    ("arithmetic.jpg", (40, 30), 0x9d81bd59),
    // Some coefficients are never refined: libjpeg smooths, as from its version 2.1.5.1 on.
    ("progression_ends_early.jpg", (30, 7), 0x156d06e3),
    ("turned.tif", (64, 64), 0x6fe26c43),
    ("bigtiff.tif", (64, 64), 0xe64ffbc3),
    ("jpeg_ycc.tif", (64, 64), 0x54ba1d75),
    ("jpeg_ycc_tiles.tif", (135, 111), 0xeb0eeaac),
    ("jpeg_rgb_strips.tif", (135, 111), 0xd3610944),
    ("grey_alpha.tif", (45, 37), 0x3f343053),
    ("cmyk.tif", (45, 37), 0x78fc382e),
];

/// Files, and what a refusal says of them.
const REFUSED: [(&str, &str, &str); 6] = [
    ("ends_early_1.jpg", "the JPEG data end early: the file was cut short", "save or download it anew"),
    ("ends_early_2.jpg", "the JPEG data end early: the file was cut short", "save or download it anew"),
    ("ends_early_4.jpg", "restart markers are lost or out of order", "save or download it anew"),
    ("float.tif", "a TIFF picture of floating-point values", "convert it to PNG"),
    ("palette.tif", "a TIFF picture with a palette", "convert it to PNG"),
    ("picture.webp", "a picture of the WebP format", "convert it to PNG"),
];

#[test]
fn odd_files_are_read_as_pillow_reads_them() {
    for (name, size, sum) in READ {
        let image = open_image(&file(name)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((image.dimensions(), crc32fast::hash(&image)), (size, sum), "{name}");
    }
}

#[test]
fn refusals_say_what_a_file_is_and_what_to_do() {
    for (name, what, remedy) in REFUSED {
        let message = open_image(&file(name)).expect_err(name).to_string();
        assert!(message.contains(name) && message.contains(what) && message.contains(remedy), "{message}");
    }
}

/// A file of `tests/files` changed byte by byte.
fn changed(name: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Result<image::RgbImage, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, change(fs::read(file(name)).unwrap())).unwrap();
    open_image(&path).map_err(|error| error.to_string())
}

fn position(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).expect("it is there")
}

#[test]
fn warnings_of_no_pixel_do_not_refuse() {
    let name = "separate_scans_420.jpg";
    let whole = open_image(&file(name)).unwrap();
    // Bytes after a segment of metadata whose length was said wrong; a version of JFIF that is not known.
    let strays = |mut bytes: Vec<u8>| {
        bytes.splice(20..20, *b"stray bytes");
        bytes
    };
    let version = |mut bytes: Vec<u8>| {
        let at = position(&bytes, b"JFIF\0") + 5;
        bytes[at] = 9;
        bytes
    };
    assert_eq!(changed(name, strays).unwrap(), whole);
    assert_eq!(changed(name, version).unwrap(), whole);
    // A scan that is said to end at the first frequency: harmless if there is one scan.
    let scan = |mut bytes: Vec<u8>| {
        let at = position(&bytes, b"\xFF\xDA");
        let end = at + 2 + usize::from(bytes[at + 3]) - 2;
        bytes[end] = 0;
        bytes
    };
    let one = "luma_below_chroma.jpg";
    assert_eq!(changed(one, scan).unwrap(), open_image(&file(one)).unwrap());
    assert!(changed(name, scan).unwrap_err().contains("damaged JPEG data"));
    // The same bytes after a table, or in front of the end, may be what is left of the picture.
    let after = |marker: &'static [u8]| {
        move |mut bytes: Vec<u8>| {
            let at = position(&bytes, marker);
            let length = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
            bytes.splice(at + 2 + length..at + 2 + length, *b"stray bytes");
            bytes
        }
    };
    assert!(changed(name, after(b"\xFF\xDB")).unwrap_err().contains("belong to no part of the picture"));
    let in_front_of_end = |mut bytes: Vec<u8>| {
        bytes.splice(bytes.len() - 2..bytes.len() - 2, *b"stray bytes");
        bytes
    };
    assert!(changed(name, in_front_of_end).unwrap_err().contains("belong to no part of the picture"));
}

#[test]
fn a_colour_without_data_is_missed() {
    // The first two of three scans, then the end.
    let two_scans = |bytes: Vec<u8>| {
        let scans: Vec<usize> =
            bytes.windows(2).enumerate().filter(|(_, pair)| *pair == b"\xFF\xDA").map(|(at, _)| at).collect();
        [&bytes[..*scans.last().unwrap()], b"\xFF\xD9"].concat()
    };
    let message = changed("separate_scans_420.jpg", two_scans).unwrap_err();
    assert!(message.contains("a colour is missing"), "{message}");
}

#[test]
fn a_picture_of_very_many_scans_is_refused() {
    // The last scan of a progression again and again.
    let many = |bytes: Vec<u8>| {
        let last = bytes.windows(2).rposition(|pair| pair == b"\xFF\xDA").unwrap();
        let end = bytes.len() - 2;
        [&bytes[..end], &bytes[last..end].repeat(600), b"\xFF\xD9"].concat()
    };
    let message = changed("separate_scans_420.jpg", many).unwrap_err();
    assert!(message.contains("too many scans (the most are 500"), "{message}");
}

#[test]
fn twelve_bits_in_sixteen_are_told_every_time() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = file("twelve_bits.png");
    let example = |path: PathBuf| Example { path, label: 0, id: "1".into(), line: 2 };
    let dir = folder.path().to_path_buf();
    let examples = vec![example(path), example(file("turned.tif"))];
    let split = Split { csv: dir.join("a.csv"), dir, examples, persons: Persons::Column };
    let cache = Cache::new(cache.path().into());
    let split = Arc::new(split);
    for _ in 0..2 {
        let faint = Faint::default();
        let opening = Opening { size: 8.into(), cache: Some(&cache), stream: false, verify: false };
        let nowhere = || unreachable!("the cache takes the pixels");
        opening.open(&[(split.clone(), Resampling::Nearest)], &faint, nowhere, |_| ()).unwrap();
        let warning = faint.warning().unwrap();
        assert!(warning.starts_with("1 photograph of 16 bits") && warning.contains("twelve_bits.png"), "{warning}");
    }
    let faint = Faint::default();
    assert!(decode::check(&split, &faint, |_| ()).0.is_empty());
    assert!(faint.warning().is_some());
    // A picture of 16 bits that uses a little more than a sixteenth of its range.
    let bright = folder.path().join("bright.png");
    image::ImageBuffer::<image::Luma<u16>, _>::from_raw(2, 1, vec![0, 4096]).unwrap().save(&bright).unwrap();
    let split = Split { examples: vec![example(bright)], ..Split::clone(&split) };
    let faint = Faint::default();
    assert!(decode::check(&split, &faint, |_| ()).0.is_empty());
    assert_eq!(faint.warning(), None);
}

#[test]
fn folders_are_searched_for_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["2.JPG", "1.png", "._1.png", ".hidden.jpg", "3.webp", "4.WEBP", "5.dcm", "notes.txt", "none"] {
        fs::write(path(name), "").unwrap();
    }
    let found = photographs(&[folder.path().into(), path("5.dcm")]).unwrap();
    assert_eq!(found.paths, [path("1.png"), path("2.JPG"), path("5.dcm")], "what is named is taken");
    let warning = found.warning().unwrap();
    assert!(warning.contains("1 DICOM, 2 WebP") && warning.contains("convert them to PNG"), "{warning}");
    for name in ["2.JPG", "1.png"] {
        fs::remove_file(path(name)).unwrap();
    }
    let message = photographs(&[folder.path().into()]).unwrap_err().to_string();
    assert!(message.contains("no image in it") && message.contains("2 WebP"), "{message}");
    assert_eq!(photographs(&[path("notes.txt")]).unwrap().warning(), None);
}
