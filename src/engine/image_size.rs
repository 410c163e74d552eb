//! The size of an image: `N` for a square one, else `HxW`.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// Height and width in pixels, in the order of Keras's `target_size`. As text, and in TOML and JSON, a square is its side
/// (`224`, a number), any other size `HxW` (`"72x56"`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageSize {
    pub height: usize,
    pub width: usize,
}

impl ImageSize {
    /// Both sides of `side` pixels.
    pub const fn square(side: usize) -> ImageSize {
        ImageSize { height: side, width: side }
    }

    /// Pixels of an image.
    pub const fn pixels(self) -> usize {
        self.height * self.width
    }

    /// Bytes of an 8-bit RGB image.
    pub const fn rgb_bytes(self) -> usize {
        3 * self.pixels()
    }

    /// The shorter side.
    pub fn shorter(self) -> usize {
        self.height.min(self.width)
    }

    /// Both sides, each with its name.
    pub const fn sides(self) -> [(&'static str, usize); 2] {
        [("height", self.height), ("width", self.width)]
    }
}

impl From<usize> for ImageSize {
    fn from(side: usize) -> ImageSize {
        ImageSize::square(side)
    }
}

impl Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ImageSize { height, width } = self;
        if height == width { write!(f, "{height}") } else { write!(f, "{height}x{width}") }
    }
}

impl FromStr for ImageSize {
    type Err = String;

    /// Reads `N` or `HxW`. The error names the side that is not a count of pixels.
    fn from_str(text: &str) -> Result<ImageSize, String> {
        match text.split_once('x') {
            None => Ok(ImageSize::square(side("size", text)?)),
            Some((height, width)) => Ok(ImageSize { height: side("height", height)?, width: side("width", width)? }),
        }
    }
}

/// One side, or both at once.
fn side(name: &str, text: &str) -> Result<usize, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        let form = "a size is N or HxW in pixels, as 224 or 72x56";
        return Err(format!("the {name} {text:?} is no whole number: {form}"));
    }
    text.parse().map_err(|_| format!("the {name} {text} is too large"))
}

impl JsonSchema for ImageSize {
    fn schema_name() -> Cow<'static, str> {
        "ImageSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "description": "The side of a square.", "type": "integer", "minimum": 1 },
                { "description": "Height and width.", "type": "string", "pattern": "^[0-9]+(x[0-9]+)?$" },
            ]
        })
    }
}

impl Serialize for ImageSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.height == self.width { self.height.serialize(serializer) } else { serializer.collect_str(self) }
    }
}

impl<'de> Deserialize<'de> for ImageSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ImageSize, D::Error> {
        struct SideOrText;

        impl Visitor<'_> for SideOrText {
            type Value = ImageSize;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "a size in pixels: N or \"HxW\"")
            }

            fn visit_u64<E: de::Error>(self, side: u64) -> Result<ImageSize, E> {
                usize::try_from(side).map(ImageSize::square).map_err(|_| E::custom("the size is too large"))
            }

            fn visit_i64<E: de::Error>(self, side: i64) -> Result<ImageSize, E> {
                u64::try_from(side)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(side), &self))
                    .and_then(|side| self.visit_u64(side))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ImageSize, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(SideOrText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALL: ImageSize = ImageSize { height: 72, width: 56 };

    #[test]
    fn text_has_the_height_first() {
        assert_eq!("72x56".parse(), Ok(TALL));
        assert_eq!("224".parse(), Ok(ImageSize::square(224)));
        assert_eq!("224x224".parse(), Ok(ImageSize::square(224)));
        assert_eq!((TALL.to_string(), ImageSize::square(224).to_string()), ("72x56".into(), "224".into()));
    }

    #[test]
    fn faults_name_the_side() {
        for (text, words) in [
            ("", "the size \"\" is no whole number: a size is N or HxW"),
            ("large", "the size \"large\""),
            ("72x", "the width \"\""),
            ("x56", "the height \"\""),
            ("72x56x3", "the width \"56x3\""),
            ("-72x56", "the height \"-72\""),
            ("72 x56", "the height \"72 \""),
            ("72x5.6", "the width \"5.6\""),
            ("72x99999999999999999999", "the width 99999999999999999999 is too large"),
        ] {
            let fault = text.parse::<ImageSize>().unwrap_err();
            assert!(fault.contains(words), "{text}: {fault}");
        }
    }

    #[test]
    fn squares_are_numbers_in_files_and_others_text() {
        let written = |size: ImageSize| serde_json::to_string(&size).unwrap();
        assert_eq!((written(224.into()), written(TALL)), ("224".into(), "\"72x56\"".into()));
        let read = |text: &str| serde_json::from_str::<ImageSize>(text).map_err(|error| error.to_string());
        assert_eq!(read("224"), Ok(224.into()));
        assert_eq!(read("\"72x56\""), Ok(TALL));
        assert_eq!(read(&usize::MAX.to_string()), Ok(usize::MAX.into()));
        for (text, words) in
            [("-1", "integer `-1`"), ("224.5", "N or \"HxW\""), ("[72, 56]", "N or \"HxW\""), ("\"7xx\"", "the width")]
        {
            let fault = read(text).unwrap_err();
            assert!(fault.contains(words), "{text}: {fault}");
        }
    }
}
