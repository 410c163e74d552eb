//! Decoding (every format, every way a file can be damaged) and resizing (bit for bit as Pillow's).

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::golden::{check, twins};
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage, RgbaImage};
use ocellus::app::data::decode::{PIXEL_BUDGET, open_image};
use ocellus::app::data::records::Persons;
use ocellus::app::data::resize::resize;
use ocellus::app::data::{Example, Faint, Resampling, Split, decode};
use ocellus::engine::image_size::ImageSize;

#[test]
fn resizes_as_pillow_does() {
    // Nearest, Lanczos, and indices of nearest.
    assert_eq!(check("resize", &twins()).findings.compared, 18 + 18 + 10);
}

/// A picture that no row, column or channel order could be mistaken in.
fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 5) as u8, (y * 7) as u8, ((x * y) % 251) as u8]))
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A split with one example a file, written to `dir`, on lines 2, 3, ...
fn split_of(dir: &Path, files: &[(&str, Vec<u8>)]) -> Split {
    let example = |(row, (name, bytes)): (usize, &(&str, Vec<u8>))| {
        let path = dir.join(name);
        fs::write(&path, bytes).unwrap();
        Example { path, label: 0, id: row.to_string(), line: row as u64 + 2 }
    };
    let examples = files.iter().enumerate().map(example).collect();
    Split { csv: dir.join("train.csv"), dir: dir.into(), examples, persons: Persons::Column }
}

#[test]
fn decodes_every_format_in_row_order() {
    let dir = tempfile::tempdir().unwrap();
    let rgb = picture(31, 17);
    let dynamic = DynamicImage::from(rgb.clone());
    let files = [
        // Names are not believed: the content says what a file is.
        ("a.jpg", encoded(&dynamic, ImageFormat::Png)),
        ("b", encoded(&dynamic, ImageFormat::Bmp)),
        ("c.tif", encoded(&dynamic, ImageFormat::Tiff)),
    ];
    let split = split_of(dir.path(), &files);
    let size = ImageSize { height: 14, width: 19 };
    let last = AtomicUsize::new(0);
    let images = decode(&split, size, Resampling::Nearest, &Faint::default(), |done, total| {
        assert_eq!(total, 3);
        last.fetch_max(done, Ordering::Relaxed);
    })
    .unwrap();
    assert_eq!(last.into_inner(), 3);
    assert_eq!((images.size, images.count, images.pixels.len()), (size, 3, 3 * 14 * 19 * 3));
    let want = resize(&rgb, size, Resampling::Nearest);
    assert_eq!(want.dimensions(), (19, 14));
    for (index, (name, _)) in files.iter().enumerate() {
        assert!(images.image(index) == &want.as_raw()[..], "{name}");
    }
}

#[test]
fn grey_is_repeated_and_transparency_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let grey = GrayImage::from_fn(9, 5, |x, y| Luma([(x * 20 + y) as u8]));
    let clear = RgbaImage::from_fn(9, 5, |x, y| image::Rgba([x as u8, y as u8, 7, 0]));
    let grey_jpeg = encoded(&GrayImage::from_pixel(16, 16, Luma([77])).into(), ImageFormat::Jpeg);
    let files = [
        ("grey.png", encoded(&grey.into(), ImageFormat::Png)),
        ("clear.png", encoded(&clear.into(), ImageFormat::Png)),
        ("grey.jpg", grey_jpeg),
    ];
    let split = split_of(dir.path(), &files);
    let open = |row: usize| open_image(&split.examples[row].path).unwrap();
    assert_eq!(open(0).get_pixel(3, 2), &Rgb([62, 62, 62]));
    assert_eq!(open(1).get_pixel(3, 2), &Rgb([3, 2, 7]));
    assert_eq!(open(2).get_pixel(15, 15), &Rgb([77, 77, 77]));
}

#[test]
fn a_jpeg_is_close_to_its_source() {
    let dir = tempfile::tempdir().unwrap();
    let smooth = RgbImage::from_fn(64, 48, |x, y| Rgb([40 + 2 * x as u8, 60 + 2 * y as u8, 128]));
    let split = split_of(dir.path(), &[("a.jpg", encoded(&smooth.clone().into(), ImageFormat::Jpeg))]);
    let got = open_image(&split.examples[0].path).unwrap();
    assert_eq!(got.dimensions(), (64, 48));
    let worst = got.as_raw().iter().zip(smooth.as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(worst <= 12, "{worst}");
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let image = DynamicImage::from(picture(64, 48));
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff] {
        let whole = encoded(&image, format);
        let path = dir.path().join("cut");
        fs::write(&path, &whole).unwrap();
        open_image(&path).unwrap();
        // What follows the last pixel may be missing: PNG's closing chunk, TIFF's second directory pointer.
        let spare = if format == ImageFormat::Png { 12 } else { 0 };
        for length in (0..whole.len() - spare).step_by(7).chain([whole.len() - spare - 1]) {
            fs::write(&path, &whole[..length]).unwrap();
            match open_image(&path) {
                Ok(_) => panic!("{format:?} cut to {length} of {} bytes passes", whole.len()),
                Err(reason) => assert!(reason.to_string().contains("cut: "), "{reason}"),
            }
        }
    }
}

#[test]
fn a_damaged_jpeg_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.jpg");
    let whole = encoded(&picture(256, 256).into(), ImageFormat::Jpeg);
    let mut zeros = whole.clone();
    zeros[whole.len() / 2..].fill(0);
    fs::write(&path, zeros).unwrap();
    assert!(open_image(&path).is_err(), "the second half was never downloaded");
    // Most garbage reads as some picture, but a good part is no code at all. (A decoder that is not strict refuses 1.)
    let refused = |start: usize| {
        let mut garbage = whole.clone();
        let noise = |(i, byte): (usize, &mut u8)| *byte = byte.wrapping_mul(7).wrapping_add((13 * i) as u8);
        garbage[start..start + 64].iter_mut().enumerate().for_each(noise);
        fs::write(&path, garbage).unwrap();
        open_image(&path).is_err()
    };
    let count = (0..100).filter(|at| refused(700 + at * 97)).count();
    assert!(count >= 20, "{count} of 100");
}

#[test]
fn faults_name_the_file_and_the_row() {
    let dir = tempfile::tempdir().unwrap();
    let good = encoded(&picture(8, 8).into(), ImageFormat::Png);
    let files = [("a.png", good.clone()), ("b.png", b"<html>".to_vec()), ("c.png", good), ("d.png", Vec::new())];
    let split = split_of(dir.path(), &files);
    let message = decode(&split, 8.into(), Resampling::Nearest, &Faint::default(), |_, _| ()).unwrap_err().to_string();
    let (row, file) = (format!("{}:3: ", split.csv.display()), split.examples[1].path.display().to_string());
    assert!(message.starts_with(&row) && message.contains(&file), "{message}");
    assert!(message.contains("not a JPEG, PNG, BMP or TIFF image") && message.contains("1 more"), "{message}");
    let (all, _) = ocellus::app::data::decode::check(&split, &Faint::default(), |_| ());
    assert_eq!(all.len(), 2);
    assert!(all[1].to_string().contains("train.csv:5: "), "{}", all[1]);
}

#[test]
fn a_picture_of_a_billion_pixels_is_refused_by_its_header() {
    let dir = tempfile::tempdir().unwrap();
    let small = DynamicImage::from(picture(8, 8));
    let mut bmp = encoded(&small, ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&60_000u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000u32.to_le_bytes());
    let mut png = encoded(&small, ImageFormat::Png);
    png[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    png[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    let mut jpeg = encoded(&small, ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xEA, 0x60, 0xEA, 0x60]);
    let strip = encoded(&RgbImage::new(1, 65_536).into(), ImageFormat::Png);
    let message = open_image(&split_of(dir.path(), &[("strip.png", strip)]).examples[0].path).unwrap_err().to_string();
    assert!(message.contains("1 x 65536"), "{message}");
    let split = split_of(dir.path(), &[("a.bmp", bmp), ("b.png", png), ("c.jpg", jpeg)]);
    for example in &split.examples {
        let message = open_image(&example.path).unwrap_err().to_string();
        assert!(message.contains("60000 x 60000") && message.contains(&PIXEL_BUDGET.to_string()), "{message}");
    }
}

/// The checksum of a PNG chunk (its type and data).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}
