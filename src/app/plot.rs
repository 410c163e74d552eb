//! Pictures of a run, good enough for a paper: `history.png`, `confusion.png`, `roc.png`, `pr.png` and `reliability.png`.

mod confusion;
mod curves;
mod history;

use std::error::Error as StdError;
use std::path::Path;
use std::sync::LazyLock;

use ab_glyph::{Font, FontRef};
use image::{RgbImage, imageops};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;

pub use confusion::confusion;
pub use curves::{precision_recall, reliability, roc};
pub use history::history;

use crate::error::{Error, Result};
use crate::files::write_png;

/// Pictures are drawn this many times too large and averaged down, since the backend does not smooth thick lines.
/// All sizes in the drawing code are in pixels before that.
const OVERSAMPLING: u32 = 2;

const INK: RGBColor = RGBColor(32, 32, 32);
const GRID: RGBColor = RGBColor(215, 215, 215);

type Canvas<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Drawn = std::result::Result<(), Box<dyn StdError>>;

/// Runs `paint` on a white canvas of `size` and writes the picture as a PNG.
fn draw(path: &Path, size: (u32, u32), paint: impl FnOnce(&Canvas) -> Drawn) -> Result<()> {
    let mut picture = RgbImage::new(size.0, size.1);
    let painted = (|| -> Drawn {
        let canvas = BitMapBackend::with_buffer(&mut picture, size).into_drawing_area();
        canvas.fill(&WHITE)?;
        paint(&canvas)?;
        Ok(canvas.present()?)
    })();
    painted.map_err(|e| Error::Input(format!("{}: cannot be drawn: {e}", path.display())))?;

    let picture = imageops::thumbnail(&picture, size.0 / OVERSAMPLING, size.1 / OVERSAMPLING);
    write_png(path, &picture)
}

/// The built-in font, so that pictures look the same on machines without any.
fn font(size: i32) -> TextStyle<'static> {
    static NAME: LazyLock<&str> = LazyLock::new(|| {
        let registered = register_font("Ubuntu Light", FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT);
        assert!(registered.is_ok(), "the built-in font is well-formed");
        "Ubuntu Light"
    });
    TextStyle::from((*NAME, size).into_font()).color(&INK)
}

/// Whether the built-in font has all characters of a text; others would be empty boxes.
pub(crate) fn can_draw(text: &str) -> bool {
    static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
        FontRef::try_from_slice(epaint_default_fonts::UBUNTU_LIGHT).expect("the built-in font is well-formed")
    });
    // Number 0 is the box.
    text.chars().all(|character| FONT.glyph_id(character).0 != 0)
}

/// A name of at most `longest` characters; a longer one ends in an ellipsis.
fn shortened(name: &str, longest: usize) -> String {
    if name.chars().count() <= longest {
        return name.to_string();
    }
    name.chars().take(longest - 1).chain(['…']).collect()
}

/// How far down text of a size has to be moved for its letters to be centred where the backend centres their box.
fn centring(size: i32) -> i32 {
    size / 6
}
