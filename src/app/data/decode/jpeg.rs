//! JPEG as Pillow gives it, to the bit, and in a user's words why not.

use mozjpeg_sys::*;

use super::libjpeg::{self, Colours, Fault, Header, MOST_SCANS, Sink, Warning};
use super::{DAMAGED, Rows, within_budget};

/// Decodes a JPEG picture of one component (grey), three (YCbCr or RGB) or four (CMYK or YCCK). What is odd outside the
/// picture's data is passed over; what libjpeg warns of inside is refused: it goes on with made-up pixels.
///
/// Errors: what is wrong with the picture, in words for its owner. `rows` may have been given rows by then.
pub(super) fn read(jpeg: &[u8], colours: Colours, rows: &mut dyn Rows) -> Result<(), String> {
    let forgive = |warning| is_harmless(warning, jpeg);
    libjpeg::read(jpeg, colours, &forgive, &mut Rgb { rows, channels: 0 }).map_err(|fault| in_words(&fault))
}

/// Taker of RGB rows, which gives out what it gets.
struct Rgb<'a> {
    rows: &'a mut dyn Rows,
    channels: usize,
}

impl Sink for Rgb<'_> {
    fn begin(&mut self, header: Header) -> Result<(), String> {
        within_budget(header.width, header.height)?;
        self.channels = header.channels();
        match header.components {
            1 | 3 | 4 => self.rows.begin(header.width, header.height),
            count => Err(format!("a JPEG picture with {count} colours, not 1, 3 or 4; convert it to PNG")),
        }
    }

    fn add(&mut self, rows: &mut [u8]) {
        match self.channels {
            // In JPEG files inks are inverted, as Adobe began it: 255 is no ink. Pillow takes that for granted.
            4 => self.rows.add(rgb_of_cmyk(rows)),
            _ => self.rows.add(rows),
        }
    }
}

/// Whether a warning leaves the pixels as they were meant.
fn is_harmless(warning: Warning, jpeg: &[u8]) -> bool {
    match warning.code {
        // A version of JFIF, or a transform of Adobe's, that is not known: the usual one is taken.
        JWRN_JFIF_MAJOR | JWRN_ADOBE_XFORM => true,
        // The limits of a band of frequencies, which are not used where a single scan holds them all. Some cameras
        // write zeros.
        JWRN_NOT_SEQUENTIAL => !warning.several_scans,
        JWRN_EXTRANEOUS_DATA => !warning.in_scans && strays_follow_metadata(jpeg),
        _ => false,
    }
}

/// Whether all bytes between the segments before the first scan come after metadata (APPn,
/// comments), whose length was said wrong. After a table they may be the rest of that table.
fn strays_follow_metadata(jpeg: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    let is_metadata = |marker: u8| matches!(marker, 0xE0..=0xEF | 0xFE);
    // SOI counts as metadata: nothing is in front of what follows it.
    let (mut metadata, mut at) = (true, 2);
    loop {
        let Some(next) = jpeg[at..].windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF)) else {
            return metadata;
        };
        let strays = jpeg[at..at + next].iter().any(|&byte| byte != 0xFF);
        if strays && !metadata {
            return false;
        }
        let [marker, high, low, ..] = jpeg[at + next + 1..] else { return metadata };
        if marker == START_OF_SCAN {
            return true;
        }
        metadata = is_metadata(marker);
        at = (at + next + 2 + usize::from(u16::from_be_bytes([high, low]))).min(jpeg.len());
    }
}

/// Words for the owner of the file.
fn in_words(fault: &Fault) -> String {
    let (code, words) = match fault {
        Fault::Refused(reason) => return reason.clone(),
        Fault::MissingComponent => return format!("the JPEG data end early: a colour is missing; {DAMAGED}"),
        Fault::TooManyScans => {
            return format!(
                "a JPEG picture of too many scans (the most are {MOST_SCANS}, of a large one 16); save it anew"
            );
        }
        Fault::OutOfMemory => return "not enough memory for the JPEG picture; make it smaller".into(),
        Fault::Libjpeg(code, words) => (*code, words),
    };
    match code {
        JWRN_JPEG_EOF | JWRN_HIT_MARKER | JERR_INPUT_EOF | JERR_INPUT_EMPTY | JERR_NO_IMAGE | JERR_SOF_NO_SOS => {
            format!("the JPEG data end early: the file was cut short; {DAMAGED}")
        }
        JWRN_MUST_RESYNC => format!("JPEG data are missing: restart markers are lost or out of order; {DAMAGED}"),
        JWRN_EXTRANEOUS_DATA => format!("damaged JPEG data: some belong to no part of the picture; {DAMAGED}"),
        JERR_EMPTY_IMAGE => "a JPEG picture without a width or a height; save it anew".into(),
        JERR_BAD_PRECISION => "a JPEG picture of more than 8 bits a colour; convert it to PNG".into(),
        JERR_SOF_UNSUPPORTED => "a lossless or hierarchical JPEG picture; convert it to PNG".into(),
        JERR_NO_BACKING_STORE | JERR_OUT_OF_MEMORY => "not enough memory for the JPEG picture; make it smaller".into(),
        JERR_FRACT_SAMPLE_NOTIMPL | JERR_CCIR601_NOTIMPL | JERR_CONVERSION_NOTIMPL => {
            format!("a JPEG picture of an unusual kind ({words}); convert it to PNG")
        }
        _ => format!("damaged JPEG data ({words}); {DAMAGED}"),
    }
}

/// Pillow's RGB of inverted CMYK pixels, `[pixels, 4]` to `[pixels, 3]`, in the same place: 255 is no ink.
pub(super) fn rgb_of_cmyk(values: &mut [u8]) -> &[u8] {
    let count = values.len() / 4;
    for pixel in 0..count {
        let [cyan, magenta, yellow, light]: [u8; 4] = values[4 * pixel..][..4].try_into().expect("four inks");
        let rgb = [cyan, magenta, yellow].map(|ink| {
            // A product of two bytes, divided by 255 and rounded.
            let product = u32::from(255 - ink) * u32::from(light) + 128;
            light - ((product + (product >> 8)) >> 8) as u8
        });
        values[3 * pixel..][..3].copy_from_slice(&rgb);
    }
    &values[..3 * count]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inks_become_light() {
        // No ink; all inks; half of each under half of black.
        let mut inks = [255, 255, 255, 255, 0, 0, 0, 0, 128, 128, 128, 128, 255, 0, 128, 200];
        assert_eq!(rgb_of_cmyk(&mut inks), [255, 255, 255, 0, 0, 0, 64, 64, 64, 200, 0, 100]);
    }

    #[test]
    fn only_what_follows_metadata_is_passed_over() {
        let segment = |marker: u8, rest: &[u8]| [&[0xFF, marker, 0, 4, 1, 2], rest].concat();
        let file = |parts: &[Vec<u8>]| [&[0xFF, 0xD8][..], &parts.concat(), &segment(0xDA, &[])].concat();
        for metadata in [0xE0, 0xE1, 0xEF, 0xFE] {
            assert!(strays_follow_metadata(&file(&[segment(metadata, &[7, 7]), segment(0xDB, &[])])));
        }
        for table in [0xC0, 0xC4, 0xDB, 0xDD] {
            assert!(!strays_follow_metadata(&file(&[segment(0xE0, &[]), segment(table, &[7])])));
            assert!(strays_follow_metadata(&file(&[segment(table, &[0xFF, 0xFF])])), "fill is nothing odd");
        }
        assert!(strays_follow_metadata(&file(&[vec![7, 7, 7]])), "after the start");
    }
}
