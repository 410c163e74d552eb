//! Kinds of files, by their first bytes: names lie.

/// A kind of file that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Jpeg,
    Png,
    Bmp,
    Tiff,
    /// A picture in a format that is not read: the format's name.
    Unread(&'static str),
    /// Another file where a picture was to be: its name, with its article.
    NoPicture(&'static str),
}

const WEBP: &str = "WebP";
const GIF: &str = "GIF";
const HEIC: &str = "HEIC";
const AVIF: &str = "AVIF";
const DICOM: &str = "DICOM";
const JPEG_2000: &str = "JPEG 2000";
const JPEG_XL: &str = "JPEG XL";
const RAW: &str = "raw camera";

/// Files that begin with these bytes at these places. Longer beginnings come first where one contains another.
const BEGINNINGS: [(usize, &[u8], Kind); 23] = [
    (0, b"\xFF\xD8\xFF", Kind::Jpeg),
    (0, b"\x89PNG\r\n\x1A\n", Kind::Png),
    (0, b"BM", Kind::Bmp),
    (0, b"II*\0", Kind::Tiff),
    (0, b"MM\0*", Kind::Tiff),
    // BigTIFF
    (0, b"II+\0", Kind::Tiff),
    (0, b"MM\0+", Kind::Tiff),
    (8, b"WEBP", Kind::Unread(WEBP)),
    (0, b"GIF8", Kind::Unread(GIF)),
    (4, b"ftypavif", Kind::Unread(AVIF)),
    (4, b"ftypavis", Kind::Unread(AVIF)),
    (4, b"ftyphei", Kind::Unread(HEIC)),
    (4, b"ftyphev", Kind::Unread(HEIC)),
    (4, b"ftypmif1", Kind::Unread(HEIC)),
    (4, b"ftypmsf1", Kind::Unread(HEIC)),
    (128, b"DICM", Kind::Unread(DICOM)),
    (0, b"\0\0\0\x0CjP  \r\n\x87\n", Kind::Unread(JPEG_2000)),
    (0, b"\xFF\x4F\xFF\x51", Kind::Unread(JPEG_2000)),
    (0, b"\0\0\0\x0CJXL \r\n\x87\n", Kind::Unread(JPEG_XL)),
    (0, b"\xFF\x0A", Kind::Unread(JPEG_XL)),
    (0, b"<!DOCTYPE html", Kind::NoPicture("a web page")),
    (0, b"<html", Kind::NoPicture("a web page")),
    (0, b"version https://git-lfs", Kind::NoPicture("a pointer of Git LFS")),
];

/// Endings of the names of pictures that are not read.
const UNREAD_ENDINGS: [(&str, &str); 16] = [
    ("webp", WEBP),
    ("gif", GIF),
    ("heic", HEIC),
    ("heif", HEIC),
    ("avif", AVIF),
    ("dcm", DICOM),
    ("dicom", DICOM),
    ("jp2", JPEG_2000),
    ("j2k", JPEG_2000),
    ("jpx", JPEG_2000),
    ("jxl", JPEG_XL),
    ("cr2", RAW),
    ("cr3", RAW),
    ("nef", RAW),
    ("arw", RAW),
    ("dng", RAW),
];

impl Kind {
    /// The kind of a file with this content; None for one that is not known.
    pub(super) fn of(bytes: &[u8]) -> Option<Kind> {
        let begins = |&&(at, beginning, _): &&(usize, &[u8], Kind)| {
            bytes.get(at..at + beginning.len()).is_some_and(|bytes| bytes.eq_ignore_ascii_case(beginning))
        };
        BEGINNINGS.iter().find(begins).map(|&(_, _, kind)| kind)
    }
}

/// The format, which is not read, of a picture whose name has this ending, in any case.
pub fn unread_ending(ending: &str) -> Option<&'static str> {
    UNREAD_ENDINGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(ending)).map(|&(_, what)| what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_their_first_bytes() {
        let dicom = [&[0; 128][..], b"DICM\x02\0"].concat();
        let cases: [(&[u8], Option<Kind>); 12] = [
            (b"\xFF\xD8\xFF\xE0", Some(Kind::Jpeg)),
            (b"\x89PNG\r\n\x1A\n\0", Some(Kind::Png)),
            (b"II+\0\x08\0", Some(Kind::Tiff)),
            (b"RIFF\x1A\0\0\0WEBPVP8L", Some(Kind::Unread(WEBP))),
            (b"GIF89a", Some(Kind::Unread(GIF))),
            (b"\0\0\0\x18ftypheic\0", Some(Kind::Unread(HEIC))),
            (b"\0\0\0\x1Cftypavif\0", Some(Kind::Unread(AVIF))),
            (b"\0\0\0\x0CjP  \r\n\x87\n", Some(Kind::Unread(JPEG_2000))),
            (&dicom, Some(Kind::Unread(DICOM))),
            (b"<!doctype HTML><html>", Some(Kind::NoPicture("a web page"))),
            (b"RIFF\x1A\0\0\0WAVE", None),
            (b"", None),
        ];
        for (bytes, kind) in cases {
            assert_eq!(Kind::of(bytes), kind, "{bytes:?}");
        }
        assert_eq!((unread_ending("HEIC"), unread_ending("txt")), (Some(HEIC), None));
    }
}
