//! Photographs from their files into one block of small 8-bit RGB images, once, by all processors.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use blake3::Hash;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};
use rayon::prelude::*;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::data::cache::Cache;
use crate::data::copies::Print;
use crate::data::dataset::{Example, Split};
use crate::data::findings::first_of;
use crate::data::resize::{Resampling, resize};
use crate::error::{Error, Result};

/// Pixels that one photograph may have. A header costs nothing to forge; a buffer for what it claims does.
pub const PIXEL_BUDGET: u64 = 1 << 28;
/// Pixels along one side, JPEG's own limit: a strip of one pixel by millions would be widened before it is shortened.
const LONGEST_SIDE: u32 = 65_535;

/// `count` images of `size` x `size` pixels: `pixels` is `[count, size, size, 3]`, RGB, 0..=255.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    pub size: usize,
    pub count: usize,
    pub pixels: Vec<u8>,
}

impl Images {
    /// The pixels of one image, `[size, size, 3]`.
    pub fn image(&self, index: usize) -> &[u8] {
        let bytes = self.size * self.size * 3;
        &self.pixels[index * bytes..][..bytes]
    }
}

/// Decodes every photograph of a split and resizes it to `size` x `size`, its aspect ratio not kept (as Keras does), or
/// takes it from the cache. `progress` gets (images done, images in all), from any thread.
///
/// Errors: the first photograph that does not decode, with its path and its line in the CSV file, and how many more
/// there are; not enough memory.
pub fn decode(
    split: &Split,
    size: usize,
    resampling: Resampling,
    cache: Option<&Cache>,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<Images> {
    Ok(decode_and_hash(split, size, resampling, cache, progress)?.0)
}

/// Does as `decode`, and hashes the bytes of each file.
pub fn decode_and_hash(
    split: &Split,
    size: usize,
    resampling: Resampling,
    cache: Option<&Cache>,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<(Images, Vec<Option<Hash>>)> {
    let count = split.examples.len();
    let bytes = size * size * 3;
    let mut pixels = Vec::new();
    pixels.try_reserve_exact(count * bytes).map_err(|_| {
        Error::Input(format!("not enough memory for {count} images of {size} x {size} pixels; lower the image size"))
    })?;
    pixels.resize(count * bytes, 0);
    let done = AtomicUsize::new(0);
    let load = |(target, example): (&mut [u8], &Example)| {
        let loaded = load_and_hash(&example.path, size, resampling, cache);
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, count);
        let (hash, pixels) = loaded.map_err(|reason| fault(split, example, &reason))?;
        target.copy_from_slice(&pixels);
        Ok(hash)
    };
    // Collecting keeps the order of the rows, so the fault reported does not depend on the threads.
    let hashes: Vec<Result<Hash>> = pixels.par_chunks_exact_mut(bytes).zip(&split.examples).map(load).collect();
    let mut faults = Vec::new();
    let hashes = hashes.into_iter().map(|hash| hash.map_err(|fault| faults.push(fault)).ok()).collect();
    first_of(faults)?;
    Ok((Images { size, count, pixels }, hashes))
}

/// Every photograph of a split that does not decode, and what each of the others is recognised by,
/// in the split's order. `progress` gets the number of images done.
pub fn check(split: &Split, progress: impl Fn(usize) + Sync) -> (Vec<Error>, Vec<Option<Print>>) {
    let done = AtomicUsize::new(0);
    let load = |example: &Example| {
        let bytes = read_image(&example.path);
        let print = bytes.and_then(|bytes| Ok(Print::of(&bytes, &decode_image(&example.path, &bytes)?)));
        progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        print.map_err(|reason| fault(split, example, &reason))
    };
    let prints: Vec<Result<Print>> = split.examples.par_iter().map(load).collect();
    let mut faults = Vec::new();
    let prints = prints.into_iter().map(|print| print.map_err(|fault| faults.push(fault)).ok()).collect();
    (faults, prints)
}

fn fault(split: &Split, example: &Example, reason: &Error) -> Error {
    Error::at(&split.csv, example.line, reason)
}

/// The pixels of one file at `size` x `size`, `[size, size, 3]`, from the cache or as `open_image` and `resize` make them.
pub fn load_image(path: &Path, size: usize, resampling: Resampling, cache: Option<&Cache>) -> Result<Vec<u8>> {
    Ok(load_and_hash(path, size, resampling, cache)?.1)
}

/// The hash of a file's bytes, and its pixels.
fn load_and_hash(path: &Path, size: usize, resampling: Resampling, cache: Option<&Cache>) -> Result<(Hash, Vec<u8>)> {
    let bytes = read_image(path)?;
    let hash = blake3::hash(&bytes);
    if let Some(pixels) = cache.and_then(|cache| cache.get(hash, size, resampling)) {
        return Ok((hash, pixels));
    }
    let pixels = resize(&decode_image(path, &bytes)?, size, size, resampling).into_raw();
    if let Some(cache) = cache {
        cache.put(hash, size, resampling, &pixels);
    }
    Ok((hash, pixels))
}

/// Decodes one file (JPEG, PNG, BMP or TIFF by its content, not its name) to 8-bit RGB: grey is repeated,
/// transparency dropped, the orientation in EXIF data ignored, all as Keras does.
///
/// Errors: `Error::Input` naming the file: unreadable, not an image, damaged, cut short, above `PIXEL_BUDGET`.
pub fn open_image(path: &Path) -> Result<RgbImage> {
    decode_image(path, &read_image(path)?)
}

fn read_image(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| Error::Input(format!("{}: {e}", path.display())))
}

fn decode_image(path: &Path, bytes: &[u8]) -> Result<RgbImage> {
    let decoded = match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => open_jpeg(bytes),
        Ok(format) => open_other(bytes, format),
        Err(_) => Err("not a JPEG, PNG, BMP or TIFF image".to_string()),
    };
    decoded.map_err(|reason| Error::Input(format!("{}: {reason}", path.display())))
}

/// JPEG apart from the other formats: `image` fills the missing part of a damaged one with grey and says nothing.
fn open_jpeg(bytes: &[u8]) -> std::result::Result<RgbImage, String> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| e.to_string())?;
    if !reaches_its_end(bytes) {
        return Err("the JPEG data end early: the file was cut short".to_string());
    }
    let (width, height) = decoder.dimensions().ok_or("a JPEG image without dimensions")?;
    let (width, height) = (width as u32, height as u32);
    within_budget(width, height)?;
    let pixels = decoder.decode().map_err(|e| e.to_string())?;
    RgbImage::from_raw(width, height, pixels).ok_or("an unusual JPEG image: it does not decode to RGB".to_string())
}

/// Whether an end-of-image marker closes the picture: decoders invent one for a file that was cut short. A marker is
/// FF and a byte other than 00 and FF; each but the restarts D0..D7 begins a segment, whose length follows. Scan data
/// come after their segment and hold no other markers, so they are passed over in search of the next one.
fn reaches_its_end(jpeg: &[u8]) -> bool {
    const END_OF_IMAGE: u8 = 0xD9;
    let starts_segment = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF | 0xD0..=0xD7);
    let mut rest = jpeg.get(2..).unwrap_or_default();
    while let Some(marker) = rest.windows(2).position(starts_segment) {
        match rest[marker + 1..] {
            [END_OF_IMAGE, ..] => return true,
            [_, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([high, low]));
                rest = rest.get(marker + 2 + length..).unwrap_or_default();
            }
            _ => return false,
        }
    }
    false
}

fn open_other(bytes: &[u8], format: ImageFormat) -> std::result::Result<RgbImage, String> {
    let decoder = ImageReader::with_format(Cursor::new(bytes), format).into_decoder().map_err(|e| e.to_string())?;
    let (width, height) = decoder.dimensions();
    within_budget(width, height)?;
    Ok(DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?.into_rgb8())
}

fn within_budget(width: u32, height: u32) -> std::result::Result<(), String> {
    match u64::from(width) * u64::from(height) {
        0 => Err("an image without pixels".to_string()),
        pixels if pixels > PIXEL_BUDGET || width.max(height) > LONGEST_SIDE => Err(format!(
            "the image claims {width} x {height} pixels; the most accepted are {LONGEST_SIDE} a side, {PIXEL_BUDGET} in all"
        )),
        _ => Ok(()),
    }
}
