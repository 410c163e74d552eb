use std::path::Path;

use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::{Canvas, Drawn, GRID, INK, centred_text as text, draw, font};
use crate::error::Result;
use crate::proof::study::rung::How;
use crate::proof::study::{Row, Study};

/// Blue and vermillion of Okabe and Ito's palette, which all kinds of colour vision tell apart; marks differ, too.
const OF_FILE: RGBColor = RGBColor(0, 114, 178);
const OF_TRAINING: RGBColor = RGBColor(213, 94, 0);

/// Sizes before the picture is averaged down.
const WIDTH: i32 = 2600;
const LEFT: i32 = 760;
const RIGHT: i32 = 2080;
const TOP: i32 = 250;
const ROW: i32 = 84;
const MARK: i32 = 16;

/// The speed of each rung that was timed, on a logarithmic axis that ends beyond the probed peak: 1,300 pixels wide, written
/// atomically. Training's kernels are squares, rungs that are wrong on purpose hollow.
pub fn ladder(path: &Path, study: &Study) -> Result<()> {
    let rows: Vec<&Row> = study.rows.iter().filter(|row| row.seconds.is_some()).collect();
    let height = TOP + ROW * rows.len() as i32 + 330;
    draw(path, (WIDTH as u32, height as u32), |canvas| Axis::new(study, &rows).draw(canvas, study, &rows))
}

/// A logarithmic axis of speeds, and their unit.
struct Axis {
    unit: &'static str,
    /// Of the plain computation, in that unit and a second.
    amount: f64,
    peak: f64,
    low: f64,
    high: f64,
}

impl Axis {
    /// Of arithmetic or of memory, by what the peaks allow less of.
    fn new(study: &Study, rows: &[&Row]) -> Axis {
        let by_memory = study.gbytes / study.peaks.gbytes_per_second > study.gflop / study.peaks.gflops;
        let (unit, amount, peak) = match by_memory {
            true => ("GB/s", study.gbytes, study.peaks.gbytes_per_second),
            false => ("GFLOP/s", study.gflop, study.peaks.gflops),
        };
        let speeds = || rows.iter().filter_map(|row| row.seconds).map(|seconds| amount / seconds);
        let low = speeds().chain([peak]).fold(f64::INFINITY, f64::min);
        let high = speeds().chain([peak]).fold(0.0, f64::max);
        Axis { unit, amount, peak, low: 10f64.powf(low.log10().floor()), high: high * 1.5 }
    }

    fn x(&self, speed: f64) -> i32 {
        let share = (speed / self.low).log10() / (self.high / self.low).log10();
        LEFT + (share * f64::from(RIGHT - LEFT)) as i32
    }

    fn draw(&self, canvas: &Canvas, study: &Study, rows: &[&Row]) -> Drawn {
        text(canvas, study.op, (WIDTH / 2, 70), font(60), HPos::Center)?;
        text(canvas, &format!("{}; {}", study.size, study.device), (WIDTH / 2, 150), font(40), HPos::Center)?;
        let bottom = TOP + ROW * rows.len() as i32;
        let mut tick = self.low;
        while tick < self.high {
            let x = self.x(tick);
            canvas.draw(&PathElement::new([(x, TOP - 20), (x, bottom)], GRID.stroke_width(3)))?;
            text(canvas, &format!("{tick}"), (x, bottom + 40), font(40), HPos::Center)?;
            tick *= 10.0;
        }
        let peak = self.x(self.peak);
        canvas.draw(&DashedPathElement::new([(peak, TOP - 20), (peak, bottom)], 16, 12, INK.stroke_width(3)))?;
        text(canvas, &format!("peak {:.3}", Rounded(self.peak)), (peak, TOP - 45), font(36), HPos::Center)?;
        text(canvas, self.unit, ((LEFT + RIGHT) / 2, bottom + 110), font(48), HPos::Center)?;
        for (index, row) in rows.iter().enumerate() {
            self.draw_row(canvas, study, row, TOP + ROW * index as i32 + ROW / 2)?;
        }
        let hollow = if rows.iter().any(|row| row.rung.wrong.is_some()) { "; hollow: wrong on purpose" } else { "" };
        let key = format!("round: a rung{hollow}; square: what training runs");
        text(canvas, &key, (WIDTH / 2, bottom + 200), font(38), HPos::Center)
    }

    fn draw_row(&self, canvas: &Canvas, study: &Study, row: &Row, y: i32) -> Drawn {
        let speed = self.amount / row.seconds.expect("only rows with times are drawn");
        let x = self.x(speed);
        let training = matches!(row.rung.how, How::Training(_));
        let colour = if training { OF_TRAINING } else { OF_FILE };
        text(canvas, &row.label(), (LEFT - 40, y), font(40), HPos::Right)?;
        canvas.draw(&PathElement::new([(LEFT, y), (x, y)], colour.stroke_width(6)))?;
        if training {
            canvas.draw(&Rectangle::new([(x - MARK, y - MARK), (x + MARK, y + MARK)], colour.filled()))?;
        } else {
            canvas.draw(&Circle::new((x, y), MARK, colour.filled()))?;
        }
        if row.rung.wrong.is_some() {
            canvas.draw(&Circle::new((x, y), MARK - 6, WHITE.filled()))?;
        }
        let factor = study.factor(row).map_or(String::new(), |factor| format!(", {:.3} x", Rounded(factor)));
        let words = format!("{:.3}{factor}", Rounded(speed));
        text(canvas, &words, (RIGHT + 60, y), font(40), HPos::Left)
    }
}

/// A number shown with so many digits that count: `{:.3}` of 0.012345 is 0.0123.
struct Rounded(f64);

impl std::fmt::Display for Rounded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = f.precision().unwrap_or(3) as i32;
        let before = self.0.abs().log10().floor() as i32 + 1;
        write!(f, "{:.*}", (digits - before).clamp(0, 6) as usize, self.0)
    }
}
