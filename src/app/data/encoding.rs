//! The text of a table's bytes: UTF-8, UTF-16 with its mark, or an older encoding that is guessed
//! and said.

mod plausible;

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GBK, MACINTOSH, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1250, WINDOWS_1251,
    WINDOWS_1252, WINDOWS_1253, WINDOWS_1254,
};

use crate::error::{Error, Result};

/// Encodings that spreadsheets write, each with the name that its users know.
const KNOWN: [(&Encoding, &str); 11] = [
    (SHIFT_JIS, "cp932 (Shift_JIS, Japanese)"),
    (WINDOWS_1252, "cp1252 (Western European)"),
    (BIG5, "Big5 (traditional Chinese)"),
    (GBK, "GBK (simplified Chinese)"),
    (EUC_KR, "cp949 (Korean)"),
    (EUC_JP, "EUC-JP (Japanese)"),
    (WINDOWS_1250, "cp1250 (Central European)"),
    (WINDOWS_1251, "cp1251 (Cyrillic)"),
    (WINDOWS_1253, "cp1253 (Greek)"),
    (WINDOWS_1254, "cp1254 (Turkish)"),
    (MACINTOSH, "Mac Roman"),
];

/// Different cells with more than ASCII in them that a guess is made from.
const MOST_CELLS: usize = 10_000;

/// The cells from which the encoding is told, without repetition, and the line of the first.
struct Sample<'a> {
    cells: Vec<&'a [u8]>,
    line: u64,
}

/// The text of a file, without a byte order mark, and a warning if its encoding had to be guessed.
///
/// Errors: text in an encoding that cannot be told, or of which several would make sense; a file in
/// UTF-8 with damaged characters.
pub(super) fn decode<'a>(path: &Path, bytes: &'a [u8]) -> Result<(Cow<'a, str>, Option<String>)> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes)
        && encoding != UTF_8
    {
        return Ok((utf16(path, encoding, &bytes[mark..])?, None));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let header = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    if header.contains(&0) {
        return Err(Error::at(path, 1, unreadable("text in UTF-16 without a byte order mark")));
    }
    if bytes.contains(&0x1b)
        && let Some(escape) = bytes.windows(2).position(|pair| pair == b"\x1b$")
    {
        return Err(Error::at(path, line_of(bytes, escape), unreadable("text in ISO-2022-JP")));
    }
    match str::from_utf8(bytes) {
        Ok(text) => Ok((Cow::Borrowed(text), None)),
        Err(error) => guess(path, bytes, error.valid_up_to()),
    }
}

fn unreadable(what: &str) -> String {
    format!("{what}; save the file as \"CSV UTF-8\"")
}

fn utf16<'a>(path: &Path, encoding: &'static Encoding, bytes: &'a [u8]) -> Result<Cow<'a, str>> {
    debug_assert!(encoding == UTF_16LE || encoding == UTF_16BE);
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
    // UTF-32 with its mark begins as UTF-16 with its own does, and has zeros in between.
    text.filter(|text| !text.contains('\0')).ok_or_else(|| Error::at(path, 1, unreadable("damaged UTF-16, or UTF-32")))
}

/// The text of a file that is not UTF-8 from `damage` on.
fn guess<'a>(path: &Path, bytes: &'a [u8], damage: usize) -> Result<(Cow<'a, str>, Option<String>)> {
    let before = &bytes[..damage];
    let column = before.iter().rev().take_while(|&&byte| !matches!(byte, b'\r' | b'\n')).count() + 1;
    let refuse = |what: &str| Error::at(path, line_of(bytes, damage), format!("byte {column}: {}", unreadable(what)));
    if is_damaged_utf8(bytes) {
        return Err(refuse("a damaged character in a file that is UTF-8 otherwise"));
    }
    let sample = Sample::of(bytes);
    let fits = sample.fits();
    let text = |encoding: &'static Encoding| {
        // The rest of a long table has to be of that encoding, too.
        encoding
            .decode_without_bom_handling_and_without_replacement(bytes)
            .ok_or_else(|| refuse(&format!("neither UTF-8 nor, in all of its rows, {}", name(encoding))))
    };
    match fits[..] {
        [] => Err(refuse("neither UTF-8 nor text in an encoding that can be told")),
        [encoding] => {
            let text = text(encoding)?;
            let (line, example) = (sample.line, sample.example(encoding));
            let warning = format!(
                "{}:{line}: not UTF-8: read as {}, which makes this {example:?}; if that is wrong, save the file as \
                 \"CSV UTF-8\"",
                path.display(),
                name(encoding)
            );
            Ok((text, Some(warning)))
        }
        _ => {
            let meanings = fits.iter().map(|&encoding| format!("{:?} in {}", sample.example(encoding), name(encoding)));
            let meanings = meanings.collect::<Vec<_>>().join(", ");
            Err(refuse(&format!("not UTF-8, and its encoding cannot be told: {meanings}")))
        }
    }
}

fn name(encoding: &'static Encoding) -> &'static str {
    KNOWN.iter().find(|(known, _)| *known == encoding).map_or(encoding.name(), |(_, name)| name)
}

/// Whether most characters beyond ASCII are whole in UTF-8. Text of another encoding hardly ever
/// has any that are.
fn is_damaged_utf8(bytes: &[u8]) -> bool {
    let (mut whole, mut broken) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        whole += chunk.valid().chars().filter(|character| !character.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    whole > 3 * broken
}

impl<'a> Sample<'a> {
    fn of(bytes: &'a [u8]) -> Sample<'a> {
        // None of these is a part of a longer character in any of the encodings.
        let parts = bytes.split(|byte| matches!(byte, b',' | b';' | b'\t' | b'\r' | b'\n' | b'"'));
        let mut seen = HashSet::new();
        let cells = parts.map(<[u8]>::trim_ascii).filter(|cell| !cell.is_ascii() && seen.insert(*cell));
        let cells: Vec<&[u8]> = cells.take(MOST_CELLS).collect();
        let first = bytes.iter().position(|byte| !byte.is_ascii()).unwrap_or_default();
        Sample { cells, line: line_of(bytes, first) }
    }

    fn example(&self, encoding: &'static Encoding) -> String {
        encoding.decode_without_bom_handling(self.cells[0]).0.into_owned()
    }

    /// The encodings in which the cells may be meant, each of another text; one if it can be told.
    fn fits(&self) -> Vec<&'static Encoding> {
        let text = self.cells.join(&b'\n');
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
        detector.feed(&text, true);
        let detected = detector.guess(None, Utf8Detection::Deny);
        let mut fits: Vec<(&Encoding, Cow<str>)> = Vec::new();
        for (encoding, _) in KNOWN {
            let is_detected = encoding == detected;
            // Old Macs' only where no other fits; of those that differ from the Western one in a
            // few letters, the detected.
            let is_candidate = match encoding {
                encoding if encoding == MACINTOSH => fits.is_empty(),
                encoding if plausible::is_single_byte(encoding) && encoding != WINDOWS_1252 => is_detected,
                _ => true,
            };
            let least = if is_detected { 0.75 } else { 0.9 };
            if is_candidate
                && let Some(decoded) = encoding.decode_without_bom_handling_and_without_replacement(&text)
                && self.plausible_share(encoding) >= least
                && fits.iter().all(|(_, other)| *other != decoded)
            {
                fits.push((encoding, decoded));
            }
        }
        let mut fits: Vec<&Encoding> = fits.into_iter().map(|(encoding, _)| encoding).collect();
        // The detector knows languages: it is trusted between encodings of one kind, but not
        // between letters and kanji.
        if fits.contains(&detected) {
            let kind = plausible::is_single_byte(detected);
            fits.retain(|&other| other == detected || plausible::is_single_byte(other) != kind);
        }
        fits
    }

    /// The share of cells that are plausible words in an encoding.
    fn plausible_share(&self, encoding: &'static Encoding) -> f64 {
        let plausible = self.cells.iter().filter(|cell| plausible::is_word(encoding, cell)).count();
        plausible as f64 / self.cells.len() as f64
    }
}

fn line_of(bytes: &[u8], offset: usize) -> u64 {
    1 + newlines(&bytes[..offset])
}

/// How many lines end here, by LF, CRLF or, as old spreadsheets write it, CR.
pub(super) fn newlines(bytes: &[u8]) -> u64 {
    let ends_line = |&(at, &byte): &(usize, &u8)| match byte {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    bytes.iter().enumerate().filter(ends_line).count() as u64
}
