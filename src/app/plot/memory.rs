use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::{Canvas, Drawn, GRID, INK, centred_text as text, draw, font, width};
use crate::engine::plan::{Plan, View, memory};
use crate::error::Result;

/// Colours of Okabe and Ito's palette by what a tensor is, with their names.
const KINDS: [(&str, RGBColor); 5] = [
    ("weights and Adam's moments", RGBColor(140, 140, 140)),
    ("read and written by the host", RGBColor(204, 121, 167)),
    ("activations", RGBColor(86, 180, 233)),
    ("gradients", RGBColor(230, 159, 0)),
    ("transformed, partial sums", RGBColor(0, 158, 115)),
];
/// Indices of the kinds of slots' tenants.
const ACTIVATION: usize = 2;
const GRADIENT: usize = 3;
const BETWEEN: usize = 4;

/// Sizes before the picture is averaged down.
const SIZE: (u32, u32) = (3200, 1900);
const LEFT: i32 = 330;
const RIGHT: i32 = 3120;
const TOP: i32 = 170;
const BOTTOM: i32 = 1520;

/// Device memory over the steps of a plan: 1,600 x 950 pixels, written atomically. A band is a slot, as high as it is large; a
/// tensor is a box in it, from the first step that uses it to the last.
pub fn memory(path: &Path, plan: &Plan, title: &str) -> Result<()> {
    draw(path, SIZE, |canvas| Picture::new(plan).draw(canvas, title))
}

struct Picture<'p> {
    plan: &'p Plan,
    memory: memory::Memory,
    total: memory::Total,
}

impl<'p> Picture<'p> {
    fn new(plan: &'p Plan) -> Picture<'p> {
        Picture { plan, memory: memory::assign(plan), total: memory::total(plan) }
    }

    fn x(&self, step: usize) -> i32 {
        LEFT + ((RIGHT - LEFT) as usize * step / self.plan.steps.len().max(1)) as i32
    }

    fn y(&self, bytes: u64) -> i32 {
        BOTTOM - (f64::from(BOTTOM - TOP) * bytes as f64 / self.total.bytes().max(1) as f64) as i32
    }

    fn draw(&self, canvas: &Canvas, title: &str) -> Drawn {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let words = format!("{title}: {:.0} MiB on the device", mib(self.total.bytes()));
        text(canvas, &words, (SIZE.0 as i32 / 2, 80), font(60), HPos::Center)?;
        let free = RGBColor(242, 242, 242);
        canvas.draw(&Rectangle::new([(LEFT, TOP), (RIGHT, BOTTOM)], free.filled()))?;
        let mut base = 0;
        for (kind, bytes) in [self.total.persistent, self.total.kept, self.total.textures].into_iter().enumerate() {
            let corners = [(LEFT, self.y(base + bytes)), (RIGHT, self.y(base))];
            canvas.draw(&Rectangle::new(corners, KINDS[kind.min(1)].1.filled()))?;
            base += bytes;
        }
        let mut bases = Vec::new();
        for &bytes in &self.memory.buffers.slots {
            bases.push(base);
            base += bytes;
        }
        for (view, slot) in &self.memory.buffers.place {
            self.draw_tenant(canvas, *view, bases[*slot])?;
        }
        for &base in &bases {
            canvas.draw(&PathElement::new([(LEFT, self.y(base)), (RIGHT, self.y(base))], GRID.stroke_width(1)))?;
        }
        self.draw_axes(canvas)
    }

    /// A tensor in its slot, with its name where there is room.
    fn draw_tenant(&self, canvas: &Canvas, view: View, base: u64) -> Drawn {
        let (first, last) = self.memory.lives[&view];
        let (left, right) = (self.x(first), self.x(last + 1));
        let (top, bottom) = (self.y(base + self.plan.bytes_of(view)), self.y(base));
        let tensor = self.plan.tensor(view.tensor);
        let kind = match &tensor.name {
            name if name.starts_with("gradient/") && !name.ends_with("partial") => GRADIENT,
            name if name.contains('/') => BETWEEN,
            _ => ACTIVATION,
        };
        canvas.draw(&Rectangle::new([(left, top), (right, bottom)], KINDS[kind].1.filled()))?;
        canvas.draw(&Rectangle::new([(left, top), (right, bottom)], WHITE.stroke_width(2)))?;
        let window =
            if self.plan.windows_of(view.tensor) > 1 { format!(", {}", view.window + 1) } else { String::new() };
        let name = format!("{}{window}", tensor.name.trim_start_matches("gradient/"));
        let size = 30;
        if bottom - top > size + 4 && width(&name, size) < right - left - 12 {
            text(canvas, &name, ((left + right) / 2, (top + bottom) / 2), font(size), HPos::Center)?;
        }
        Ok(())
    }

    fn draw_axes(&self, canvas: &Canvas) -> Drawn {
        let steps = self.plan.steps.len();
        let every = [10, 20, 50, 100, 200, 500, 1000].into_iter().find(|every| steps / every <= 12).unwrap_or(5000);
        for step in (0..=steps).step_by(every) {
            let x = self.x(step);
            canvas.draw(&PathElement::new([(x, BOTTOM), (x, BOTTOM + 16)], INK.stroke_width(2)))?;
            text(canvas, &step.to_string(), (x, BOTTOM + 45), font(40), HPos::Center)?;
        }
        text(canvas, "step", ((LEFT + RIGHT) / 2, BOTTOM + 105), font(46), HPos::Center)?;
        let mib = self.total.bytes() >> 20;
        let every = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000].into_iter().find(|every| mib / every <= 10);
        for mark in (0..=mib).step_by(every.unwrap_or(5000) as usize) {
            let y = self.y(mark << 20);
            canvas.draw(&PathElement::new([(LEFT - 16, y), (LEFT, y)], INK.stroke_width(2)))?;
            text(canvas, &mark.to_string(), (LEFT - 30, y), font(40), HPos::Right)?;
        }
        let turned = font(46).transform(FontTransform::Rotate270);
        text(canvas, "MiB, slot by slot", (90, (TOP + BOTTOM) / 2), turned, HPos::Center)?;
        canvas.draw(&Rectangle::new([(LEFT, TOP), (RIGHT, BOTTOM)], INK.stroke_width(2)))?;
        let mut gradients =
            self.memory.lives.iter().filter(|(view, _)| self.plan.tensor(view.tensor).name.starts_with("gradient/"));
        let backward = gradients.by_ref().map(|(_, (first, _))| *first).min();
        if let Some(step) = backward {
            let x = self.x(step);
            canvas.draw(&PathElement::new([(x, TOP - 10), (x, BOTTOM)], INK.stroke_width(3)))?;
            text(canvas, "forward", (x - 20, TOP - 30), font(40), HPos::Right)?;
            text(canvas, "backward", (x + 20, TOP - 30), font(40), HPos::Left)?;
        }
        let mut x = LEFT;
        for (name, colour) in KINDS {
            let y = BOTTOM + 200;
            canvas.draw(&Rectangle::new([(x, y - 20), (x + 40, y + 20)], colour.filled()))?;
            text(canvas, name, (x + 60, y), font(40), HPos::Left)?;
            x += 60 + width(name, 40) + 70;
        }
        let key = "a box: a tensor from its first use to its last; light grey: free";
        text(canvas, key, (LEFT, BOTTOM + 280), font(40), HPos::Left)
    }
}
