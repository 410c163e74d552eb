use std::path::Path;

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Canvas, Drawn, GRID, INK, centring, draw, font};
use crate::app::train::history::EpochRecord;
use crate::error::Result;

/// How a curve is drawn.
#[derive(Clone, Copy)]
struct Look {
    colour: RGBColor,
    /// Its line is, and its marks are hollow.
    is_dashed: bool,
}

/// Blue and vermillion of Okabe and Ito's palette, which all kinds of colour vision tell apart; in grey they are alike,
/// and dashes and hollow marks tell the curves apart.
const TRAIN: Look = Look { colour: RGBColor(0, 114, 178), is_dashed: false };
const VALIDATION: Look = Look { colour: RGBColor(213, 94, 0), is_dashed: true };

/// Length of a dash, and of what is between two.
const DASH: [i32; 2] = [30, 18];
/// Radii of a mark, of a hollow one and of the hole in it.
const MARK: i32 = 9;
const HOLLOW_MARK: i32 = 12;
const HOLE: i32 = 6;
/// Length of a line in the legend: two dashes at least.
const LEGEND_LINE: i32 = 2 * DASH[0] + DASH[1];

/// Accuracy and loss by epoch, training and validation, side by side: 1600 x 670 pixels, written atomically.
///
/// Values that are not finite leave a gap.
pub fn history(path: &Path, history: &[EpochRecord]) -> Result<()> {
    draw(path, (3200, 1340), |canvas| {
        let (left, right) = canvas.split_horizontally(1600);
        accuracy(&left, history)?;
        loss(&right, history)
    })
}

fn accuracy(area: &Canvas, history: &[EpochRecord]) -> Drawn {
    let panel = Panel {
        title: "Accuracy",
        curves: [
            Curve::new("training", TRAIN, history, |epoch| epoch.accuracy),
            Curve::new("validation", VALIDATION, history, |epoch| epoch.val_accuracy),
        ],
    };
    // All of 0..1, so that pictures of several runs compare, and lines along its ends show.
    panel.draw(area, -0.02..1.02)
}

fn loss(area: &Canvas, history: &[EpochRecord]) -> Drawn {
    let mut panel = Panel {
        title: "Loss",
        curves: [
            // Said in the picture, because the heights of the two curves do not compare.
            Curve::new("training (class-weighted)", TRAIN, history, |epoch| epoch.loss),
            Curve::new("validation", VALIDATION, history, |epoch| epoch.val_loss),
        ],
    };
    let mut values: Vec<f64> = panel.curves.iter().flat_map(Curve::finite).map(|(_, value)| value).collect();
    values.sort_by(f64::total_cmp);
    let Some((&low, &high)) = values.first().zip(values.last()) else { return panel.draw(area, 0.0..1.0) };
    // A batch-normalised network's first validation losses can be tens of times what they settle at; on a linear axis
    // one of them would flatten all other epochs.
    if low > 0.0 && high > 30.0 * values[values.len() / 2] {
        panel.title = "Loss (logarithmic axis)";
        return panel.draw(area, (low / 1.2..high * 1.2).log_scale());
    }
    // Never so narrow that two ticks would get the same label.
    let margin = 0.05 * (high - low).max(0.01 * high.abs()).max(0.01);
    panel.draw(area, low - margin..high + margin)
}

struct Curve {
    name: &'static str,
    look: Look,
    /// Epoch and value.
    points: Vec<(usize, f64)>,
}

impl Curve {
    fn new(name: &'static str, look: Look, history: &[EpochRecord], value: fn(&EpochRecord) -> f64) -> Curve {
        Curve { name, look, points: history.iter().map(|record| (record.epoch, value(record))).collect() }
    }

    /// The discs that make a mark, by radius, one over the other. A single epoch, alone or between
    /// gaps, makes no line but shows as a mark. Hundreds of marks would hide the line, so they are
    /// left out.
    fn marks(&self) -> Vec<(i32, ShapeStyle)> {
        match self.look {
            _ if self.points.len() > 40 => Vec::new(),
            Look { colour, is_dashed: false } => vec![(MARK, colour.filled())],
            Look { colour, is_dashed: true } => vec![(HOLLOW_MARK, colour.filled()), (HOLE, WHITE.filled())],
        }
    }

    fn finite(&self) -> impl Iterator<Item = (usize, f64)> {
        self.points.iter().copied().filter(|point| point.1.is_finite())
    }
}

struct Panel {
    title: &'static str,
    curves: [Curve; 2],
}

impl Panel {
    fn draw<Y>(&self, area: &Canvas, y_range: Y) -> Drawn
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        let (plot, strip) = area.split_vertically(area.dim_in_pixel().1 - 90);
        let points = &self.curves[0].points;
        let (first, last) = (points.first().map_or(1, |point| point.0), points.last().map_or(1, |point| point.0));
        let mut chart = ChartBuilder::on(&plot)
            .caption(self.title, font(60))
            .margin(30)
            .margin_right(60)
            .x_label_area_size(140)
            .y_label_area_size(150)
            .build_cartesian_2d(first - 1..last + 1, y_range)?;
        chart
            .configure_mesh()
            .x_desc("epoch")
            // The axis goes on for one beyond both ends of the data, where there is no epoch to name.
            .x_label_formatter(&|&epoch| {
                if (first..=last).contains(&epoch) { epoch.to_string() } else { String::new() }
            })
            .y_label_formatter(&|&value| tick(value))
            .x_labels(10)
            .y_labels(8)
            .label_style(font(44))
            .y_label_offset(centring(44))
            .set_tick_mark_size(LabelAreaPosition::Bottom, 20)
            .axis_desc_style(font(48))
            .axis_style(INK.stroke_width(2))
            .bold_line_style(GRID.stroke_width(2))
            .light_line_style(TRANSPARENT)
            .draw()?;

        for curve in &self.curves {
            // Thin enough for neighbouring epochs of a long run to stay apart.
            let style = curve.look.colour.stroke_width(if curve.points.len() <= 100 { 6 } else { 4 });
            let unbroken = curve.points.split(|point| !point.1.is_finite());
            if curve.look.is_dashed {
                let [dash, gap] = DASH;
                chart.draw_series(unbroken.map(|run| DashedPathElement::new(run.to_vec(), dash, gap, style)))?;
            } else {
                chart.draw_series(unbroken.map(|run| PathElement::new(run.to_vec(), style)))?;
            }
            for (radius, style) in curve.marks() {
                chart.draw_series(curve.finite().map(|point| Circle::new(point, radius, style)))?;
            }
        }
        self.draw_legend(&strip)
    }

    /// Below the axes, where it hides no data.
    fn draw_legend(&self, strip: &Canvas) -> Drawn {
        let (width, y) = (strip.dim_in_pixel().0 as i32, 30);
        for (curve, x) in self.curves.iter().zip([width / 5, width * 2 / 3]) {
            let (line, style) = ([(x, y), (x + LEGEND_LINE, y)], curve.look.colour.stroke_width(6));
            if curve.look.is_dashed {
                let [dash, gap] = DASH;
                strip.draw(&DashedPathElement::new(line, dash, gap, style))?;
            } else {
                strip.draw(&PathElement::new(line, style))?;
            }
            for (radius, style) in curve.marks() {
                strip.draw(&Circle::new((x + LEGEND_LINE / 2, y), radius, style))?;
            }
            let style = font(44).pos(Pos::new(HPos::Left, VPos::Center));
            strip.draw_text(curve.name, &style, (x + LEGEND_LINE + 20, y + centring(44)))?;
        }
        Ok(())
    }
}

/// A number on an axis, without the noise of its last bits.
fn tick(value: f64) -> String {
    // The grid's zero can be some 1e-17.
    if value.abs() < 1e-12 {
        return "0".into();
    }
    if !(1e-3..1e5).contains(&value.abs()) {
        return format!("{value:.2e}").replace(".00e", "e");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}
