use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Canvas, Drawn, GRID, INK, can_draw, centring, draw, font, shortened};
use crate::app::metrics::{Curve, Figures, PER_CLASS, Predictions, position};
use crate::error::Result;

/// Okabe and Ito's palette without its yellow, which is too light for a line on white, and a brown.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(32, 32, 32),
    RGBColor(140, 86, 75),
];
/// Of each class where there are more classes than colours.
const OF_MANY: RGBColor = RGBColor(107, 154, 196);

/// Before the picture is averaged down.
const SIZE: (u32, u32) = (2200, 1340);
const CHART: i32 = 1400;
const LINE: u32 = 6;
const THIN: u32 = 3;
/// Longer names of classes are cut in the legend.
const LONGEST_NAME: usize = 22;

/// The receiver operating characteristic of each class against the rest, with the area under it: 1100 x 670 pixels,
/// written atomically. Classes that are not defined are left out.
pub fn roc(path: &Path, predictions: &Predictions, figures: &Figures) -> Result<()> {
    let axes = Axes { title: "ROC", x: "1 - specificity", y: "sensitivity", figure: "roc_auc", diagonal: true };
    let points = |curve: &Curve| {
        let (x, y) = (&curve.false_positives, &curve.true_positives);
        x.iter().copied().zip(y.iter().copied()).collect()
    };
    draw(path, SIZE, |canvas| axes.draw(canvas, predictions, figures, points))
}

/// Precision against recall of each class, with the average precision: as [`roc`].
pub fn precision_recall(path: &Path, predictions: &Predictions, figures: &Figures) -> Result<()> {
    let axes = Axes {
        title: "Precision and recall",
        x: "recall (sensitivity)",
        y: "precision (PPV)",
        figure: "average_precision",
        diagonal: false,
    };
    // Steps, whose area is the average precision.
    let points = |curve: &Curve| {
        let (recall, precision) = (&curve.true_positives, &curve.precision);
        let step = |at: usize| [(recall[at - 1], precision[at]), (recall[at], precision[at])];
        (1..recall.len()).flat_map(step).collect()
    };
    draw(path, SIZE, |canvas| axes.draw(canvas, predictions, figures, points))
}

/// How often the most probable class is correct, by the probability that it was given, in the bins of the calibration error:
/// 670 x 670 pixels, written atomically. On the diagonal, probabilities are as good as they say.
pub fn reliability(path: &Path, predictions: &Predictions) -> Result<()> {
    let bins = predictions.reliability();
    draw(path, (1340, 1340), |canvas| {
        let mut chart = unit_chart(
            canvas,
            "Reliability (bars: share of photographs)",
            "probability of the predicted class",
            "share correct",
        )?;
        // As high as the bin's share of the photographs.
        chart.draw_series(
            bins.iter().map(|bin| Rectangle::new([(bin.from, 0.0), (bin.to, bin.share)], GRID.filled())),
        )?;
        draw_diagonal(&mut chart)?;
        let points: Vec<(f64, f64)> =
            bins.iter().filter(|bin| bin.share > 0.0).map(|bin| (bin.confidence, bin.correct)).collect();
        chart.draw_series(LineSeries::new(points.iter().copied(), COLOURS[0].stroke_width(LINE)))?;
        chart.draw_series(points.iter().map(|&point| Circle::new(point, 10, COLOURS[0].filled())))?;
        Ok(())
    })
}

struct Axes {
    title: &'static str,
    x: &'static str,
    y: &'static str,
    /// The key of the figure in the legend, among `PER_CLASS`.
    figure: &'static str,
    /// Whether guessing lies on the diagonal.
    diagonal: bool,
}

type Points = Vec<(f64, f64)>;

impl Axes {
    fn draw(
        &self,
        canvas: &Canvas,
        predictions: &Predictions,
        figures: &Figures,
        points: impl Fn(&Curve) -> Points,
    ) -> Drawn {
        let (left, legend) = canvas.split_horizontally(CHART);
        let mut chart = unit_chart(&left, self.title, self.x, self.y)?;
        if self.diagonal {
            draw_diagonal(&mut chart)?;
        }
        let at = position(&PER_CLASS, self.figure).expect("the figure is one of a class");
        let (_, title) = PER_CLASS[at];
        let values: Vec<Option<f64>> = figures.per_class.iter().map(|figures| figures[at].value).collect();
        let drawn: Vec<usize> = (0..values.len()).filter(|&class| values[class].is_some()).collect();
        let few = drawn.len() <= COLOURS.len();
        legend.draw(&Text::new(format!("class: {title}"), (40, 130), font(44)))?;
        for (number, &class) in drawn.iter().enumerate() {
            let line = points(&predictions.curve(class));
            if !few {
                chart.draw_series(LineSeries::new(line, OF_MANY.stroke_width(THIN)))?;
                continue;
            }
            let style = COLOURS[number].stroke_width(LINE);
            // In grey some colours are alike; every second line is dashed.
            if number % 2 == 0 {
                chart.draw_series(LineSeries::new(line, style))?;
            } else {
                chart.draw_series(DashedLineSeries::new(line, 28, 14, style))?;
            }
            let y = 230 + 66 * number as i32;
            legend.draw(&Rectangle::new(
                [(40, y - 8), (if number % 2 == 0 { 120 } else { 74 }, y + 8)],
                style.filled(),
            ))?;
            if number % 2 == 1 {
                legend.draw(&Rectangle::new([(86, y - 8), (120, y + 8)], style.filled()))?;
            }
            let name = named(&predictions.classes[class], class);
            let text = format!("{name}: {:.3}", values[class].expect("drawn ones are defined"));
            let anchor = font(40).pos(Pos::new(HPos::Left, VPos::Center));
            legend.draw(&Text::new(text, (140, y - centring(40)), anchor))?;
        }
        if !few {
            let defined = || drawn.iter().filter_map(|&class| values[class]);
            let (low, high) = (defined().fold(f64::MAX, f64::min), defined().fold(f64::MIN, f64::max));
            let lines = [format!("{} classes", drawn.len()), format!("lowest {low:.3}"), format!("highest {high:.3}")];
            for (number, line) in lines.into_iter().enumerate() {
                legend.draw(&Text::new(line, (40, 220 + 66 * number as i32), font(40)))?;
            }
        }
        Ok(())
    }
}

/// A name as the legend shows it. One that the font cannot write is the number of its row in the report.
fn named(name: &str, class: usize) -> String {
    if can_draw(name) { shortened(name, LONGEST_NAME) } else { format!("row {}", class + 1) }
}

type UnitChart<'a, 'b> = ChartContext<
    'a,
    BitMapBackend<'b>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

fn draw_diagonal(chart: &mut UnitChart) -> Drawn {
    chart.draw_series(DashedLineSeries::new([(0.0, 0.0), (1.0, 1.0)], 16, 12, INK.stroke_width(THIN)))?;
    Ok(())
}

/// A chart whose axes both go from 0 to 1.
fn unit_chart<'a, 'b>(
    area: &'a Canvas<'b>,
    title: &str,
    x: &str,
    y: &str,
) -> std::result::Result<UnitChart<'a, 'b>, Box<dyn std::error::Error>>
where
    'b: 'a,
{
    let mut chart = ChartBuilder::on(area)
        .caption(title, font(60))
        .margin(30)
        .margin_right(60)
        .x_label_area_size(140)
        .y_label_area_size(160)
        .build_cartesian_2d(-0.01..1.01, -0.01..1.01)?;
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc(y)
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|value| format!("{value:.1}"))
        .y_label_formatter(&|value| format!("{value:.1}"))
        .label_style(font(44))
        .axis_desc_style(font(48))
        .axis_style(INK.stroke_width(2))
        .bold_line_style(GRID.stroke_width(2))
        .light_line_style(TRANSPARENT)
        .draw()?;
    Ok(chart)
}
