use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::{Canvas, Drawn, GRID, INK, can_draw, centred_text as text, draw, font, shortened, width};
use crate::app::report::Report;
use crate::error::Result;

/// Longer names are cut, so that one of them cannot push the matrix off the page.
const LONGEST_NAME: usize = 30;

/// The colour scale: white to the dark blue of ColorBrewer's "Blues", by way of a middle one.
const SCALE: [RGBColor; 3] = [WHITE, RGBColor(107, 174, 214), RGBColor(8, 48, 107)];

/// How often each class (rows) was taken for which (columns). The numbers are counts, the colour is the share of the
/// row, so that rare classes show as well as common ones. The picture grows with the number of classes and the length
/// of their names, up to a size at which the cells begin to shrink: names and numbers too small to be read are left out,
/// and of thousands of classes, several share a pixel. A name that the font cannot write is the number of its row, from
/// 1. Written atomically.
pub fn confusion(path: &Path, report: &Report) -> Result<()> {
    let layout = Layout::new(report);
    draw(path, layout.size(), |canvas| layout.draw(canvas, report))
}

/// Where things are.
struct Layout {
    /// None at all when they would be too small to be read.
    names: Vec<String>,
    /// Rows of the matrix.
    classes: usize,
    /// Side of the whole matrix and of a cell of it.
    side: i32,
    cell: i32,
    /// Space for the names and the axis's title beside the matrix, and below it.
    left: i32,
    below: i32,
    name_size: i32,
    /// Names below the matrix are turned when they are wider than a cell.
    turned: bool,
}

const TOP: i32 = 130;
/// For the colour scale.
const RIGHT: i32 = 260;
const TITLE: i32 = 48;
const GAP: i32 = 20;
/// Side of the largest matrix: with the longest names beside it, the canvas is one of some 7,000 pixels, 150 MB.
const MOST_SIDE: i32 = 5600;
/// Size of the smallest text that can still be read once the picture is averaged down.
const LEAST_TEXT: i32 = 14;

impl Layout {
    fn new(report: &Report) -> Layout {
        let classes = report.names.len();
        let n = classes.max(1) as i32;
        // A single cell still leaves room for the title above.
        let cell = (2800 / n).clamp(76, if n < 4 { 300 } else { 170 }).min(MOST_SIDE / n).max(1);
        let name_size = (cell / 2).min(44);
        let named = report.names.iter().enumerate().filter(|_| name_size >= LEAST_TEXT);
        let label = |(row, name): (usize, &String)| {
            if can_draw(name) { shortened(name, LONGEST_NAME) } else { (row + 1).to_string() }
        };
        let names: Vec<String> = named.map(label).collect();
        let longest = names.iter().map(|name| width(name, name_size)).max().unwrap_or(0);
        let turned = longest > cell - GAP;
        let left = GAP + TITLE + GAP + longest + GAP;
        let below = GAP + if turned { longest } else { name_size } + GAP + TITLE + GAP;
        Layout { names, classes, side: (n * cell).min(MOST_SIDE), cell, left, below, name_size, turned }
    }

    /// Where a row or column begins, from the matrix's corner.
    fn edge(&self, class: usize) -> i32 {
        (class * self.side as usize / self.classes.max(1)) as i32
    }

    fn size(&self) -> (u32, u32) {
        ((self.left + self.side + RIGHT) as u32, (TOP + self.side + self.below) as u32)
    }

    fn draw(&self, canvas: &Canvas, report: &Report) -> Drawn {
        let &Layout { side, cell, left, name_size, .. } = self;
        let centre = left + side / 2;
        let title = format!("{} samples, accuracy {:.2}", report.macro_average.support, report.accuracy);
        text(canvas, &title, ((left + side + RIGHT) / 2, TOP / 2), font(TITLE), HPos::Center)?;

        for (row, (counts, scores)) in report.confusion.iter().zip(&report.per_class).enumerate() {
            for (column, &count) in counts.iter().enumerate() {
                let corner = (left + self.edge(column), TOP + self.edge(row));
                let share = if scores.support == 0 { 0.0 } else { count as f64 / scores.support as f64 };
                self.draw_cell(canvas, corner, count, share)?;
            }
        }
        canvas.draw(&Rectangle::new([(left, TOP), (left + side, TOP + side)], GRID.stroke_width(2)))?;
        for (i, name) in self.names.iter().enumerate() {
            let middle = self.edge(i) + cell / 2;
            text(canvas, name, (left - GAP, TOP + middle), font(name_size), HPos::Right)?;
            let (at, below) = ((left + middle, TOP + side + GAP), font(name_size));
            if self.turned {
                text(canvas, name, at, below.transform(FontTransform::Rotate270), HPos::Right)?;
            } else {
                text(canvas, name, (at.0, at.1 + name_size / 2), below, HPos::Center)?;
            }
        }
        let turned = font(TITLE).transform(FontTransform::Rotate270);
        text(canvas, "truth", (GAP + TITLE / 2, TOP + side / 2), turned, HPos::Center)?;
        let bottom = TOP + side + self.below - GAP - TITLE / 2;
        text(canvas, "prediction", (centre, bottom), font(TITLE), HPos::Center)?;
        self.draw_scale(canvas)
    }

    fn draw_cell(&self, canvas: &Canvas, (x, y): (i32, i32), count: usize, share: f64) -> Drawn {
        let cell = self.cell;
        let mut size = cell * 2 / 5;
        // A small cell has no border, and is as white as the canvas when nothing is in it.
        let is_small = size < LEAST_TEXT;
        if is_small && count == 0 {
            return Ok(());
        }
        let square = [(x, y), (x + cell, y + cell)];
        canvas.draw(&Rectangle::new(square, colour(share).filled()))?;
        if is_small {
            return Ok(());
        }
        canvas.draw(&Rectangle::new(square, GRID.stroke_width(2)))?;
        let ink = match count {
            0 => RGBColor(175, 175, 175),
            _ if share > 0.5 => WHITE,
            _ => INK,
        };
        let count = count.to_string();
        while width(&count, size) > cell - 8 && size > LEAST_TEXT {
            size -= 1;
        }
        if width(&count, size) > cell {
            return Ok(());
        }
        text(canvas, &count, (x + cell / 2, y + cell / 2), font(size).color(&ink), HPos::Center)
    }

    /// A bar from 0 to 1 beside the matrix.
    fn draw_scale(&self, canvas: &Canvas) -> Drawn {
        let x = self.left + self.side + 3 * GAP;
        let steps = self.side;
        for step in 0..steps {
            let y = TOP + self.side - step;
            let share = f64::from(step) / f64::from(steps);
            canvas.draw(&Rectangle::new([(x, y - 1), (x + 50, y)], colour(share).filled()))?;
        }
        canvas.draw(&Rectangle::new([(x, TOP), (x + 50, TOP + self.side)], INK.stroke_width(2)))?;
        for (share, label) in [(0, "0"), (1, "0.5"), (2, "1")] {
            let y = TOP + self.side - share * self.side / 2;
            text(canvas, label, (x + 50 + GAP, y), font(40), HPos::Left)?;
        }
        let turned = font(40).transform(FontTransform::Rotate270);
        text(canvas, "share of the row", (x + 50 + 6 * GAP, TOP + self.side / 2), turned, HPos::Center)
    }
}

/// `share` in 0..1, linearly between the colours of the scale.
fn colour(share: f64) -> RGBColor {
    let place = share * (SCALE.len() - 1) as f64;
    let low = (place as usize).min(SCALE.len() - 2);
    let blend = |a: u8, b: u8| (f64::from(a) + (place - low as f64) * (f64::from(b) - f64::from(a))).round() as u8;
    let (a, b) = (SCALE[low], SCALE[low + 1]);
    RGBColor(blend(a.0, b.0), blend(a.1, b.1), blend(a.2, b.2))
}
