//! Photographs from their files into one block of small 8-bit RGB images, once, by all processors.

mod jpeg;
mod kinds; // what a file is, by its first bytes
mod libjpeg; // the library, behind a safe function
mod tiff;

use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};
use rayon::prelude::*;

use self::kinds::Kind;
use self::libjpeg::Colours;
use crate::app::data::copies::Print;
use crate::app::data::examples::{Example, Split};
use crate::app::data::findings::first_of;
use crate::app::data::resize::{Resampling, Resizing, resize};
use crate::engine::image_size::ImageSize;
use crate::error::{Error, Result};

pub use self::kinds::unread_ending;

/// Pixels that one photograph may have. A header costs nothing to forge; a buffer for what it claims does.
pub const PIXEL_BUDGET: u64 = 1 << 28;
/// Pixels along one side, JPEG's own limit: a strip of one pixel by millions would be widened before it is shortened.
const LONGEST_SIDE: u32 = 65_535;

/// `count` images of one size: `pixels` is `[count, height, width, 3]`, RGB, 0..=255.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    pub size: ImageSize,
    pub count: usize,
    pub pixels: Vec<u8>,
}

impl Images {
    /// The pixels of one image, `[height, width, 3]`.
    pub fn image(&self, index: usize) -> &[u8] {
        let bytes = self.size.rgb_bytes();
        &self.pixels[index * bytes..][..bytes]
    }
}

/// Advice about a damaged file.
const DAMAGED: &str = "save or download it anew";

/// Part of every name under which decoded photographs are kept; changed whenever decoding or resizing changes.
pub const VERSION: u32 = 2;

/// Photographs of 16 bits that use a sixteenth of their range or less, as cameras of 12 bits write them: they are read,
/// and are nearly black to the network. Gathered from many threads.
#[derive(Debug, Default)]
pub struct Faint(Mutex<BTreeSet<PathBuf>>);

/// The largest value of a sixteenth of 16 bits.
const FAINT: u16 = u16::MAX / 16;

impl Faint {
    pub(super) fn add_if(&self, is_faint: bool, path: &Path) {
        if is_faint {
            self.0.lock().expect("no holder panics").insert(path.to_path_buf());
        }
    }

    /// Warning with the count and one example; `None` if the list is empty.
    pub fn warning(&self) -> Option<String> {
        let paths = self.0.lock().expect("no holder panics");
        let example = paths.first()?.display();
        let count = match paths.len() {
            1 => "1 photograph".to_string(),
            count => format!("{count} photographs"),
        };
        Some(format!(
            "{count} of 16 bits with no value above {FAINT}, nearly black to the network ({example}): where they are of 12 \
             bits, multiply them by 16"
        ))
    }
}

/// Decodes every photograph of a split into memory and resizes it to `size`, its aspect ratio not kept (as Keras does).
/// `progress` gets (images done, images in all), from any thread.
///
/// Errors: the first photograph that does not decode, with its path and its line in the CSV file, and how many more
/// there are; not enough memory.
pub fn decode(
    split: &Split,
    size: ImageSize,
    resampling: Resampling,
    faint: &Faint,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<Images> {
    let count = split.examples.len();
    let bytes = size.rgb_bytes();
    let mut pixels = Vec::new();
    pixels.try_reserve_exact(count * bytes).map_err(|_| {
        Error::Input(format!("not enough memory for {count} images of {size} pixels; lower the image size"))
    })?;
    pixels.resize(count * bytes, 0);
    let done = AtomicUsize::new(0);
    let load = |(target, example): (&mut [u8], &Example)| {
        let decoded =
            read_image(&example.path).and_then(|bytes| decode_to_size(&example.path, &bytes, size, resampling));
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, count);
        let Decoded { image, is_faint } = decoded.map_err(|reason| fault(split, example, &reason))?;
        faint.add_if(is_faint, &example.path);
        target.copy_from_slice(image.as_raw());
        Ok(())
    };
    // Collecting keeps the order of the rows, so the fault reported does not depend on the threads.
    let all: Vec<Result<()>> = pixels.par_chunks_exact_mut(bytes).zip(&split.examples).map(load).collect();
    first_of(all.into_iter().filter_map(Result::err).collect())?;
    Ok(Images { size, count, pixels })
}

/// Every photograph of a split that does not decode, and what each of the others is recognised by,
/// in the split's order; faint ones are added to `faint`. `progress` gets the number of images done.
pub fn check(split: &Split, faint: &Faint, progress: impl Fn(usize) + Sync) -> (Vec<Error>, Vec<Option<Print>>) {
    let done = AtomicUsize::new(0);
    let print = |path: &Path| {
        let bytes = read_image(path)?;
        let Decoded { image, is_faint } = decode_image(path, &bytes)?;
        faint.add_if(is_faint, path);
        Ok(Print::of(&bytes, &image))
    };
    let load = |example: &Example| {
        let print: Result<Print> = print(&example.path);
        progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        print.map_err(|reason| fault(split, example, &reason))
    };
    let prints: Vec<Result<Print>> = split.examples.par_iter().map(load).collect();
    let mut faults = Vec::new();
    let prints = prints.into_iter().map(|print| print.map_err(|fault| faults.push(fault)).ok()).collect();
    (faults, prints)
}

pub(super) fn fault(split: &Split, example: &Example, reason: &Error) -> Error {
    Error::at(&split.csv, example.line, reason)
}

/// Decodes one file (JPEG, PNG, BMP or TIFF by its content, not its name) to 8-bit RGB, all as Keras does: grey is
/// repeated, transparency dropped, a TIFF picture turned as it says, a JPEG picture's orientation ignored.
///
/// Errors: `Error::Input` naming the file: unreadable, not an image, damaged, cut short, above `PIXEL_BUDGET`.
pub fn open_image(path: &Path) -> Result<RgbImage> {
    Ok(decode_image(path, &read_image(path)?)?.image)
}

pub(super) fn read_image(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| Error::Input(format!("{}: {e}", path.display())))
}

/// A picture as the network will see it.
pub(super) struct Decoded {
    pub image: RgbImage,
    /// Whether it has 16 bits a value and uses a sixteenth of their range or less.
    pub is_faint: bool,
}

/// The picture of a file's bytes.
///
/// Errors: as `open_image`.
pub(super) fn decode_image(path: &Path, bytes: &[u8]) -> Result<Decoded> {
    let jpeg = || {
        let mut rows = Whole::default();
        jpeg::read(bytes, Colours::AsMarked, &mut rows)?;
        Ok(rows.image())
    };
    decode_kind(path, bytes, jpeg, |image| image)
}

/// The picture of a file's bytes at another size, as `resize` makes it. A JPEG picture is never whole in memory.
///
/// Errors: as `open_image`.
pub(super) fn decode_to_size(path: &Path, bytes: &[u8], size: ImageSize, resampling: Resampling) -> Result<Decoded> {
    let jpeg = || {
        let mut rows = Resized { size, resampling, resizing: None };
        jpeg::read(bytes, Colours::AsMarked, &mut rows)?;
        Ok(rows.resizing.expect("a picture has begun").end())
    };
    decode_kind(path, bytes, jpeg, |image| resize(&image, size, resampling))
}

/// Decodes the picture of a file's bytes and keeps nothing of it; whether it is faint.
///
/// Errors: as `open_image`.
pub(super) fn try_decode(path: &Path, bytes: &[u8]) -> Result<bool> {
    let jpeg = || jpeg::read(bytes, Colours::AsMarked, &mut Unkept).map(|()| RgbImage::default());
    Ok(decode_kind(path, bytes, jpeg, |image| image)?.is_faint)
}

/// The picture that `jpeg` makes of a JPEG file's bytes, and `other` of another kind of picture.
fn decode_kind(
    path: &Path,
    bytes: &[u8],
    jpeg: impl FnOnce() -> std::result::Result<RgbImage, String>,
    other: impl FnOnce(RgbImage) -> RgbImage,
) -> Result<Decoded> {
    let of_other = |decoded: Decoded| Decoded { image: other(decoded.image), ..decoded };
    let decoded = match Kind::of(bytes) {
        Some(Kind::Jpeg) => jpeg().map(|image| Decoded { image, is_faint: false }),
        Some(Kind::Tiff) => tiff::open(bytes).map(of_other),
        Some(Kind::Png) => open_other(bytes, ImageFormat::Png).map(of_other),
        Some(Kind::Bmp) => open_other(bytes, ImageFormat::Bmp).map(of_other),
        Some(Kind::Unread(what)) => {
            Err(format!("a picture of the {what} format, which is not read; convert it to PNG"))
        }
        Some(Kind::NoPicture(what)) => Err(format!("{what}, not a JPEG, PNG, BMP or TIFF image; download it anew")),
        None if bytes.is_empty() => Err(format!("an empty file, not a JPEG, PNG, BMP or TIFF image; {DAMAGED}")),
        None => Err("not a JPEG, PNG, BMP or TIFF image".to_string()),
    };
    decoded.map_err(|reason| Error::Input(format!("{}: {reason}", path.display())))
}

/// Taker of a picture's rows, the first row first.
trait Rows {
    /// Gets the picture's size, once, before its rows.
    ///
    /// Errors: why the picture is not read.
    fn begin(&mut self, width: u32, height: u32) -> std::result::Result<(), String>;

    /// Gets the next few rows, `[rows, width, 3]`, RGB.
    fn add(&mut self, rows: &[u8]);
}

/// A picture in memory, once all its rows are there.
#[derive(Default)]
struct Whole {
    width: u32,
    height: u32,
    values: Vec<u8>,
}

impl Whole {
    fn image(self) -> RgbImage {
        RgbImage::from_raw(self.width, self.height, self.values).expect("all rows are there")
    }
}

impl Rows for Whole {
    fn begin(&mut self, width: u32, height: u32) -> std::result::Result<(), String> {
        (self.width, self.height) = (width, height);
        let bytes = width as usize * height as usize * 3;
        self.values.try_reserve_exact(bytes).map_err(|_| "not enough memory for the picture; make it smaller".into())
    }

    fn add(&mut self, rows: &[u8]) {
        self.values.extend_from_slice(rows);
    }
}

/// A picture that is only decoded.
struct Unkept;

impl Rows for Unkept {
    fn begin(&mut self, _: u32, _: u32) -> std::result::Result<(), String> {
        Ok(())
    }

    fn add(&mut self, _: &[u8]) {}
}

/// A picture that is resized while its rows come.
struct Resized {
    size: ImageSize,
    resampling: Resampling,
    /// None before the first row.
    resizing: Option<Resizing>,
}

impl Rows for Resized {
    fn begin(&mut self, width: u32, height: u32) -> std::result::Result<(), String> {
        self.resizing = Some(Resizing::new((width, height), self.size, self.resampling));
        Ok(())
    }

    fn add(&mut self, rows: &[u8]) {
        self.resizing.as_mut().expect("a picture has begun").add(rows);
    }
}

fn open_other(bytes: &[u8], format: ImageFormat) -> std::result::Result<Decoded, String> {
    let decoder = ImageReader::with_format(Cursor::new(bytes), format).into_decoder().map_err(|e| e.to_string())?;
    let (width, height) = decoder.dimensions();
    within_budget(width, height)?;
    Ok(Decoded::of(DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?))
}

impl Decoded {
    /// Eight bits of a picture that may have more. Of grey values of 16 bits the nearest are taken; Keras clips them to
    /// white. Of colours of 16 bits the upper byte is taken, as Pillow does.
    fn of(image: DynamicImage) -> Decoded {
        // Transparency is no light.
        let brightest = match &image {
            DynamicImage::ImageLuma16(values) => values.iter().max().copied(),
            DynamicImage::ImageLumaA16(values) => values.chunks_exact(2).map(|pixel| pixel[0]).max(),
            DynamicImage::ImageRgb16(values) => values.iter().max().copied(),
            DynamicImage::ImageRgba16(values) => values.chunks_exact(4).flat_map(|pixel| &pixel[..3]).max().copied(),
            _ => None,
        };
        let upper = |values: &[u16]| values.iter().map(|value| (value >> 8) as u8).collect::<Vec<u8>>();
        let (width, height) = (image.width(), image.height());
        let image = match image {
            DynamicImage::ImageLumaA16(values) => {
                let bytes = image::GrayAlphaImage::from_raw(width, height, upper(&values));
                DynamicImage::from(bytes.expect("a byte a value")).into_rgb8()
            }
            DynamicImage::ImageRgb16(values) => {
                RgbImage::from_raw(width, height, upper(&values)).expect("a byte a value")
            }
            DynamicImage::ImageRgba16(values) => {
                let bytes = image::RgbaImage::from_raw(width, height, upper(&values));
                DynamicImage::from(bytes.expect("a byte a value")).into_rgb8()
            }
            other => other.into_rgb8(),
        };
        Decoded { image, is_faint: brightest.is_some_and(|value| value <= FAINT) }
    }
}

/// Errors: more pixels than `PIXEL_BUDGET`, a side longer than `LONGEST_SIDE`, none at all.
fn within_budget(width: u32, height: u32) -> std::result::Result<(), String> {
    match u64::from(width) * u64::from(height) {
        0 => Err("an image without pixels".to_string()),
        pixels if pixels > PIXEL_BUDGET || width.max(height) > LONGEST_SIDE => Err(format!(
            "the image claims {width} x {height} pixels; the most accepted are {LONGEST_SIDE} a side, {PIXEL_BUDGET} in all"
        )),
        _ => Ok(()),
    }
}
