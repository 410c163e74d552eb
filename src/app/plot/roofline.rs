use std::collections::BTreeMap;
use std::path::Path;

use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::{Canvas, Drawn, GRID, INK, centred_text as text, draw, font, width};
use crate::error::Result;
use crate::proof::profile::Profile;

/// Blue of Okabe and Ito's palette.
const POINT: RGBColor = RGBColor(0, 114, 178);

/// Sizes before the picture is averaged down.
const SIZE: (u32, u32) = (3000, 1800);
const LEFT: i32 = 290;
const RIGHT: i32 = 2300;
const TOP: i32 = 210;
const BOTTOM: i32 = 1540;
/// Radius of a kernel that takes all of the time.
const LARGEST: f64 = 90.0;
const SMALLEST: i32 = 7;
/// Kernels that are named, those that take longest.
const NAMED: usize = 14;

/// All steps of one kernel together.
struct Kernel {
    name: &'static str,
    seconds: f64,
    gflop: f64,
    gbytes: f64,
}

impl Kernel {
    /// Floating-point operations per byte.
    fn intensity(&self) -> f64 {
        self.gflop / self.gbytes
    }

    fn speed(&self) -> f64 {
        self.gflop / self.seconds
    }
}

/// Kernels of a training step under the roof that the probed peaks make: 1,500 x 900 pixels, written atomically. The area of
/// a point is its share of the step's time. Kernels without arithmetic are left out.
pub fn roofline(path: &Path, profile: &Profile) -> Result<()> {
    let mut kernels: BTreeMap<&'static str, Kernel> = BTreeMap::new();
    for step in &profile.steps {
        let name = step.kernel;
        let kernel = kernels.entry(name).or_insert(Kernel { name, seconds: 0.0, gflop: 0.0, gbytes: 0.0 });
        kernel.seconds += step.seconds;
        kernel.gflop += step.gflop;
        kernel.gbytes += step.gbytes;
    }
    let mut kernels: Vec<Kernel> =
        kernels.into_values().filter(|kernel| kernel.gflop > 0.0 && kernel.seconds > 0.0).collect();
    kernels.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    draw(path, SIZE, |canvas| Picture::new(profile, &kernels).draw(canvas))
}

struct Picture<'a> {
    profile: &'a Profile,
    kernels: &'a [Kernel],
    /// Powers of ten at the ends of the axes.
    x: [i32; 2],
    y: [i32; 2],
}

impl<'a> Picture<'a> {
    fn new(profile: &'a Profile, kernels: &'a [Kernel]) -> Picture<'a> {
        let peaks = profile.peaks;
        let ridge = peaks.gflops / peaks.gbytes_per_second;
        let ends = |values: Vec<f64>| {
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(0.0, f64::max);
            [low.log10().floor() as i32, (high * 1.2).log10().ceil() as i32]
        };
        let x = ends(kernels.iter().map(Kernel::intensity).chain([ridge]).collect());
        let y = ends(kernels.iter().map(Kernel::speed).chain([peaks.gflops]).collect());
        Picture { profile, kernels, x, y }
    }

    fn at(&self, intensity: f64, speed: f64) -> (i32, i32) {
        let share = |value: f64, [low, high]: [i32; 2]| (value.log10() - f64::from(low)) / f64::from(high - low);
        let x = LEFT + (share(intensity, self.x) * f64::from(RIGHT - LEFT)) as i32;
        (x, BOTTOM - (share(speed, self.y) * f64::from(BOTTOM - TOP)) as i32)
    }

    fn draw(&self, canvas: &Canvas) -> Drawn {
        let Profile { device, image_size, batch, peaks, .. } = self.profile;
        let title = format!("Kernels of a training step, {image_size} pixels, batch {batch}");
        text(canvas, &title, (SIZE.0 as i32 / 2, 70), font(60), HPos::Center)?;
        text(canvas, device, (SIZE.0 as i32 / 2, 145), font(42), HPos::Center)?;
        for power in self.x[0]..=self.x[1] {
            let (x, _) = self.at(10f64.powi(power), 1.0);
            canvas.draw(&PathElement::new([(x, TOP), (x, BOTTOM)], GRID.stroke_width(2)))?;
            text(canvas, &format!("{}", 10f64.powi(power)), (x, BOTTOM + 45), font(40), HPos::Center)?;
        }
        for power in self.y[0]..=self.y[1] {
            let (_, y) = self.at(1.0, 10f64.powi(power));
            canvas.draw(&PathElement::new([(LEFT, y), (RIGHT, y)], GRID.stroke_width(2)))?;
            text(canvas, &format!("{}", 10f64.powi(power)), (LEFT - 30, y), font(40), HPos::Right)?;
        }
        let middle = ((LEFT + RIGHT) / 2, BOTTOM + 115);
        text(canvas, "FLOP per byte that the step must move", middle, font(48), HPos::Center)?;
        let turned = font(48).transform(FontTransform::Rotate270);
        text(canvas, "GFLOP/s", (90, (TOP + BOTTOM) / 2), turned, HPos::Center)?;
        self.draw_roof(canvas)?;
        let total: f64 = self.profile.steps.iter().map(|step| step.seconds).sum();
        let mut taken = Vec::new();
        for kernel in self.kernels {
            let radius = ((LARGEST * (kernel.seconds / total).sqrt()) as i32).max(SMALLEST);
            let at = self.at(kernel.intensity(), kernel.speed());
            canvas.draw(&Circle::new(at, radius, POINT.mix(0.55).filled()))?;
            canvas.draw(&Circle::new(at, radius, POINT.stroke_width(3)))?;
        }
        for (index, kernel) in self.kernels.iter().enumerate().take(NAMED) {
            let radius = ((LARGEST * (kernel.seconds / total).sqrt()) as i32).max(SMALLEST);
            let (x, y) = self.at(kernel.intensity(), kernel.speed());
            text(canvas, &(index + 1).to_string(), self.free(&mut taken, (x + radius + 8, y)), font(36), HPos::Left)?;
        }
        self.draw_key(canvas, total)?;
        let note = format!(
            "peaks, probed in this run: {:.1} GFLOP/s, {:.1} GB/s; area: share of the time; data in caches lie above the roof",
            peaks.gflops, peaks.gbytes_per_second
        );
        text(canvas, &note, (LEFT, BOTTOM + 200), font(38), HPos::Left)
    }

    /// A place for a number that no earlier one has: beside the point, else the nearest above or below.
    fn free(&self, taken: &mut Vec<(i32, i32)>, (x, y): (i32, i32)) -> (i32, i32) {
        let is_free =
            |&(x, y): &(i32, i32)| taken.iter().all(|other| (x - other.0).abs() > 50 || (y - other.1).abs() > 36);
        let near = (0..40).flat_map(|away| [(x, y - 38 * away), (x, y + 38 * away)]);
        let place = near.into_iter().find(is_free).unwrap_or((x, y));
        taken.push(place);
        place
    }

    fn draw_roof(&self, canvas: &Canvas) -> Drawn {
        let peaks = self.profile.peaks;
        let ridge = peaks.gflops / peaks.gbytes_per_second;
        let low = 10f64.powi(self.x[0]).max(10f64.powi(self.y[0]) / peaks.gbytes_per_second);
        let corner = self.at(ridge, peaks.gflops);
        let roof = [self.at(low, low * peaks.gbytes_per_second), corner, self.at(10f64.powi(self.x[1]), peaks.gflops)];
        canvas.draw(&PathElement::new(roof, INK.stroke_width(5)))?;
        canvas.draw(&DashedPathElement::new([corner, (corner.0, BOTTOM)], 14, 12, INK.stroke_width(2)))?;
        text(canvas, &format!("{ridge:.1} FLOP per byte"), (corner.0 + 14, BOTTOM - 30), font(36), HPos::Left)
    }

    /// The named kernels, with their shares of the time.
    fn draw_key(&self, canvas: &Canvas, total: f64) -> Drawn {
        for (index, kernel) in self.kernels.iter().enumerate().take(NAMED) {
            let y = TOP + 40 + 66 * index as i32;
            let words = format!("{}  {}", index + 1, kernel.name);
            let size = if width(&words, 38) < 560 { 38 } else { 32 };
            text(canvas, &words, (RIGHT + 50, y), font(size), HPos::Left)?;
            let share = format!("{:.1} %", 100.0 * kernel.seconds / total);
            text(canvas, &share, (SIZE.0 as i32 - 30, y), font(36), HPos::Right)?;
        }
        Ok(())
    }
}
