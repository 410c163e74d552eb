//! TIFF as Pillow gives it: turned as its orientation says, with what `image` does not read of it: grey with
//! transparency, JPEG data, CMYK as Pillow converts it.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, GrayAlphaImage, ImageBuffer, ImageDecoder, RgbImage, codecs};
use tiff::ColorType;
use tiff::decoder::{ChunkType, Decoder, DecodingResult};
use tiff::tags::{CompressionMethod, PhotometricInterpretation, SampleFormat, Tag};

use super::libjpeg::Colours;
use super::{DAMAGED, Decoded, Whole, jpeg, within_budget};

type File<'a> = Decoder<Cursor<&'a [u8]>>;

/// Decodes the first picture of a TIFF file.
///
/// Errors: what the file is that is not read, and what to do; what is damaged.
pub(super) fn open(bytes: &[u8]) -> Result<Decoded, String> {
    let mut file = Decoder::new(Cursor::new(bytes)).map_err(in_words)?;
    let (width, height) = file.dimensions().map_err(in_words)?;
    within_budget(width, height)?;
    only_whole_numbers(&mut file)?;
    let photometric = file.find_tag_unsigned::<u16>(Tag::PhotometricInterpretation).map_err(in_words)?;
    let photometric = photometric.and_then(PhotometricInterpretation::from_u16);
    if photometric == Some(PhotometricInterpretation::RGBPalette) {
        return Err("a TIFF picture with a palette, which is not read; convert it to PNG".into());
    }
    let colours = file.colortype().map_err(in_words)?;
    let decoded = match compression(&mut file)? {
        Some(CompressionMethod::JPEG) => {
            return Err("a TIFF picture with old-style JPEG data; convert it to PNG".into());
        }
        Some(CompressionMethod::ModernJPEG) => {
            Decoded { image: of_jpeg_data(bytes, &mut file, photometric, colours)?, is_faint: false }
        }
        _ => of_samples(bytes, &mut file, colours)?,
    };
    let Decoded { image, is_faint } = decoded;
    let orientation = file.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten();
    let mut image = DynamicImage::from(image);
    image.apply_orientation(orientation.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms));
    Ok(Decoded { image: image.into_rgb8(), is_faint })
}

/// Errors: floating-point or signed values. What is white in them is not known.
fn only_whole_numbers(file: &mut File) -> Result<(), String> {
    let formats = file.find_tag_unsigned_vec::<u16>(Tag::SampleFormat).map_err(in_words)?.unwrap_or_default();
    let what = match formats.iter().map(|&format| SampleFormat::from_u16_exhaustive(format)).max_by_key(is_odd) {
        Some(SampleFormat::IEEEFP) => "floating-point",
        Some(SampleFormat::Int) => "signed",
        Some(format) if is_odd(&format) => "unusual",
        _ => return Ok(()),
    };
    Err(format!("a TIFF picture of {what} values, of which it is not known what is white; convert it to PNG of 8 bits"))
}

fn is_odd(format: &SampleFormat) -> bool {
    !matches!(format, SampleFormat::Uint | SampleFormat::Void)
}

fn compression(file: &mut File) -> Result<Option<CompressionMethod>, String> {
    Ok(file.find_tag_unsigned::<u16>(Tag::Compression).map_err(in_words)?.map(CompressionMethod::from_u16_exhaustive))
}

fn of_samples(bytes: &[u8], file: &mut File, colours: ColorType) -> Result<Decoded, String> {
    let (width, height) = file.dimensions().map_err(in_words)?;
    let small = |image: Option<DynamicImage>| image.map(Decoded::of).ok_or_else(cut_short);
    match colours {
        ColorType::Multiband { num_samples: 2, bit_depth: 8 | 16 } => match samples(file, 2)? {
            DecodingResult::U8(values) => small(GrayAlphaImage::from_raw(width, height, values).map(Into::into)),
            DecodingResult::U16(values) => {
                small(ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageLumaA16))
            }
            _ => Err(unusual(colours)),
        },
        ColorType::CMYK(8) => {
            let DecodingResult::U8(mut inks) = samples(file, 4)? else { return Err(unusual(colours)) };
            inks.iter_mut().for_each(|ink| *ink = 255 - *ink);
            let rgb = jpeg::rgb_of_cmyk(&mut inks).len();
            inks.truncate(rgb);
            small(RgbImage::from_raw(width, height, inks).map(Into::into))
        }
        ColorType::Gray(1 | 8 | 16) | ColorType::RGB(8 | 16) | ColorType::RGBA(8 | 16) => {
            let decoder = codecs::tiff::TiffDecoder::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
            debug_assert_eq!(decoder.dimensions(), (width, height));
            Ok(Decoded::of(DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?))
        }
        other => Err(unusual(other)),
    }
}

/// All samples, pixel by pixel.
///
/// Errors: they lie plane by plane; they are damaged.
fn samples(file: &mut File, channels: u16) -> Result<DecodingResult, String> {
    let mut values = DecodingResult::U8(Vec::new());
    let layout = file.read_image_to_buffer(&mut values).map_err(in_words)?;
    if channels > 1 && layout.plane_stride.is_some_and(|stride| stride.get() < layout.complete_len) {
        return Err("a TIFF picture whose colours are stored apart; convert it to PNG".into());
    }
    Ok(values)
}

/// Strips or tiles, each a JPEG picture of its own; they share tables.
fn of_jpeg_data(
    bytes: &[u8],
    file: &mut File,
    photometric: Option<PhotometricInterpretation>,
    colours: ColorType,
) -> Result<RgbImage, String> {
    let colours = match (photometric, colours) {
        (Some(PhotometricInterpretation::YCbCr), ColorType::YCbCr(8)) => Colours::YCbCr,
        (Some(PhotometricInterpretation::RGB), ColorType::RGB(8)) => Colours::Rgb,
        (Some(PhotometricInterpretation::BlackIsZero), ColorType::Gray(8)) => Colours::AsMarked,
        (_, other) => return Err(unusual(other)),
    };
    let planar = file.find_tag_unsigned::<u16>(Tag::PlanarConfiguration).map_err(in_words)?;
    if planar.is_some_and(|planar| planar != 1) {
        return Err("a TIFF picture whose colours are stored apart; convert it to PNG".into());
    }
    let (offsets, lengths) = match file.get_chunk_type() {
        ChunkType::Strip => (Tag::StripOffsets, Tag::StripByteCounts),
        ChunkType::Tile => (Tag::TileOffsets, Tag::TileByteCounts),
    };
    let mut list = |tag| file.find_tag_unsigned_vec::<u64>(tag).map_err(in_words).map(Option::unwrap_or_default);
    let (offsets, lengths) = (list(offsets)?, list(lengths)?);
    let tables = match file.find_tag(Tag::JPEGTables).map_err(in_words)? {
        Some(tables) => tables.into_u8_vec().map_err(in_words)?,
        None => Vec::new(),
    };
    // Tables stand between a start and an end of their own.
    let tables = tables.get(2..tables.len().saturating_sub(2)).unwrap_or_default();
    let (width, height) = file.dimensions().map_err(in_words)?;
    let (chunk_width, chunk_height) = file.chunk_dimensions();
    let across = width.div_ceil(chunk_width.max(1));
    let mut picture: Option<RgbImage> = None;
    let mut rows_left = 0..height;
    for (index, (&offset, &length)) in (0..).zip(offsets.iter().zip(&lengths)) {
        let (left, top) = (index % across * chunk_width, index / across * chunk_height);
        if top >= height {
            break;
        }
        let end = offset.checked_add(length).and_then(|end| usize::try_from(end).ok());
        let data = end.and_then(|end| bytes.get(offset as usize..end)).ok_or_else(cut_short)?;
        let body = data.strip_prefix(b"\xFF\xD8").ok_or_else(|| format!("damaged JPEG data in a TIFF; {DAMAGED}"))?;
        let mut part = Whole::default();
        jpeg::read(&[b"\xFF\xD8", tables, body].concat(), colours, &mut part)?;
        let part = part.image();
        let (data_width, data_height) = (chunk_width.min(width - left), chunk_height.min(height - top));
        if part.width() < data_width || part.height() < data_height {
            return Err(cut_short());
        }
        // Whoever claims millions of pixels has shown that there are some.
        let picture = picture.get_or_insert_with(|| RgbImage::new(width, height));
        for row in 0..data_height {
            let count = data_width as usize * 3;
            let from = row as usize * part.width() as usize * 3;
            let to = ((top + row) as usize * width as usize + left as usize) * 3;
            picture.as_mut()[to..to + count].copy_from_slice(&part.as_raw()[from..from + count]);
        }
        if left + data_width == width {
            rows_left.start = top + data_height;
        }
    }
    match picture {
        Some(picture) if rows_left.is_empty() => Ok(picture),
        _ => Err(cut_short()),
    }
}

fn cut_short() -> String {
    format!("the TIFF data end early: the file was cut short; {DAMAGED}")
}

fn unusual(colours: ColorType) -> String {
    let what = match colours {
        ColorType::YCbCr(_) => "YCbCr values without JPEG".to_string(),
        ColorType::Lab(_) => "Lab values".to_string(),
        ColorType::Multiband { num_samples, .. } => format!("{num_samples} channels"),
        other => format!("{} bits a value", other.bit_depth()),
    };
    format!("a TIFF picture of a kind that is not read ({what}); convert it to PNG of 8 bits")
}

fn in_words(error: tiff::TiffError) -> String {
    match error {
        tiff::TiffError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => cut_short(),
        tiff::TiffError::UnsupportedError(what) => {
            format!("a TIFF picture of a kind that is not read ({what}); convert it to PNG")
        }
        tiff::TiffError::LimitsExceeded => "not enough memory for the TIFF picture; make it smaller".into(),
        other => format!("damaged TIFF data ({other}); {DAMAGED}"),
    }
}
