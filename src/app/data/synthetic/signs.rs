//! The eight classes and what tells them apart on the retina.

use std::f32::consts::{FRAC_PI_2, PI, TAU};

use rand::{Rng, RngExt};

use super::anatomy::{Anatomy, anywhere, polar, shade};
use super::canvas::{Colour, Mark, Point};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Amd,
    DrDm,
    Gla,
    Mh,
    Normal,
    Rd,
    Rp,
    Rvo,
}

impl Class {
    pub const ALL: [Class; 8] =
        [Class::Amd, Class::DrDm, Class::Gla, Class::Mh, Class::Normal, Class::Rd, Class::Rp, Class::Rvo];

    /// The columns of data.csv that are 1.
    pub fn flags(self) -> &'static [&'static str] {
        match self {
            Class::Amd => &["AMD"],
            Class::DrDm => &["DR", "DM"],
            Class::Gla => &["Gla"],
            Class::Mh => &["MH"],
            Class::Normal => &[],
            Class::Rd => &["RD"],
            Class::Rp => &["RP"],
            Class::Rvo => &["RVO"],
        }
    }
}

const FOVEA: Point = [0.0, 0.0];
const BLOOD: Colour = [0.34, 0.05, 0.04];
const DRUSE: Colour = [1.0, 0.95, 0.55];
const OEDEMA: Colour = [0.98, 0.80, 0.60];
const EXUDATE: Colour = [1.0, 0.95, 0.66];

/// The marks of a disease. (Glaucoma is drawn with the disc, and thin vessels with the vessels.)
pub fn draw(class: Class, anatomy: &Anatomy, rng: &mut impl Rng) -> Vec<Mark> {
    match class {
        Class::Amd => drusen(anatomy, rng),
        Class::DrDm => diabetic_retinopathy(rng),
        Class::Mh => macular_hole(anatomy, rng),
        Class::Rd => detachment(rng),
        Class::Rp => bone_spicules(anatomy, rng),
        Class::Rvo => vein_occlusion(anatomy, rng),
        Class::Gla | Class::Normal => Vec::new(),
    }
}

/// Yellow deposits that crowd at the macula, on a ground that has darkened.
fn drusen(anatomy: &Anatomy, rng: &mut impl Rng) -> Vec<Mark> {
    let count = rng.random_range(22..40);
    let spread = rng.random_range(0.24..0.36);
    let ground = Mark::spot(FOVEA, spread, shade(anatomy.tint, 0.45)).soft(0.8).opacity(0.85);
    let spots = (0..count).map(|_| {
        // The mean of two draws crowds towards the middle.
        let distance = spread * (rng.random_range(0.0..1.0f32) + rng.random_range(0.0..1.0f32)) / 1.5;
        let place = polar(FOVEA, rng.random_range(0.0..TAU), distance);
        Mark::spot(place, rng.random_range(0.035..0.06), DRUSE).soft(0.4).opacity(0.9)
    });
    std::iter::once(ground).chain(spots).collect()
}

/// Microaneurysms, blot haemorrhages and clusters of hard exudates, everywhere.
fn diabetic_retinopathy(rng: &mut impl Rng) -> Vec<Mark> {
    let mut marks = Vec::new();
    for _ in 0..rng.random_range(45..65) {
        let place = anywhere(rng);
        let to = polar(place, rng.random_range(0.0..TAU), rng.random_range(0.0..0.03));
        marks.push(Mark::stroke(place, to, rng.random_range(0.035..0.06), BLOOD).soft(0.3).opacity(0.9));
    }
    for _ in 0..rng.random_range(10..16) {
        let cluster = anywhere(rng);
        for _ in 0..rng.random_range(2..6) {
            let place = polar(cluster, rng.random_range(0.0..TAU), rng.random_range(0.0..0.12));
            marks.push(Mark::spot(place, rng.random_range(0.03..0.05), EXUDATE).soft(0.25).opacity(0.95));
        }
    }
    marks
}

/// A round red hole in a pale cuff of lifted retina.
fn macular_hole(anatomy: &Anatomy, rng: &mut impl Rng) -> Vec<Mark> {
    let radius = rng.random_range(0.12..0.15);
    let cuff = [0.88, 0.72, 0.52];
    vec![
        Mark::spot(FOVEA, radius * 1.9, cuff).soft(0.25).opacity(0.8),
        Mark::spot(FOVEA, radius * 1.1, shade(anatomy.tint, 0.7)).soft(0.1),
        Mark::spot(FOVEA, radius, [0.42, 0.05, 0.03]).soft(0.15),
    ]
}

/// Lifted retina from somewhere in the periphery inwards: grey, in waves that run along its border.
fn detachment(rng: &mut impl Rng) -> Vec<Mark> {
    let towards = rng.random_range(0.0..TAU);
    let border = rng.random_range(0.15..0.4);
    let (waves, phase) = (rng.random_range(3.0..6.0), rng.random_range(0.0..TAU));
    let spacing = rng.random_range(0.1..0.14);
    let mut marks = Vec::new();
    for fold in 0..12 {
        let light = if fold % 2 == 0 { rng.random_range(0.9..1.1) } else { rng.random_range(0.5..0.65) };
        let grey = shade([0.80, 0.74, 0.66], light);
        let (depth, lag) = (rng.random_range(0.03..0.08), rng.random_range(0.2..0.6) * fold as f32);
        let point = |step: usize| {
            let across = 0.1 * (step as f32 - 16.0);
            let wave = depth * (waves * across + phase + lag).sin();
            // Folds bend round the border, as a blister does.
            let inwards = border + spacing * fold as f32 + wave + 0.18 * across * across;
            let along = polar([0.15, 0.0], towards, inwards);
            polar(along, towards + FRAC_PI_2, across)
        };
        for step in 0..32 {
            marks.push(Mark::stroke(point(step), point(step + 1), 0.55 * spacing, grey).soft(0.7).opacity(0.5));
        }
    }
    marks
}

/// Black pigment in the shape of bone cells, in a ring around the macula and beyond.
fn bone_spicules(anatomy: &Anatomy, rng: &mut impl Rng) -> Vec<Mark> {
    let mut marks = Vec::new();
    let thinned = shade(anatomy.tint, 1.35);
    for step in 0..12 {
        let place = polar([0.15, 0.0], TAU * step as f32 / 12.0, 0.85);
        marks.push(Mark::spot(place, 0.3, thinned).soft(0.6).opacity(0.45));
    }
    for _ in 0..rng.random_range(34..52) {
        let place = polar([0.15, 0.0], rng.random_range(0.0..TAU), rng.random_range(0.5..1.15));
        let heading = rng.random_range(0.0..TAU);
        let arms = rng.random_range(3..=4);
        for arm in 0..arms {
            let angle = heading + TAU * arm as f32 / arms as f32 + rng.random_range(-0.4..0.4);
            let tip = polar(place, angle, rng.random_range(0.06..0.12));
            marks.push(Mark::stroke(place, tip, 0.021, [0.05, 0.04, 0.05]).opacity(0.95));
        }
    }
    marks
}

/// Flame-shaped haemorrhages along the vessels of one quadrant, fanning out from the disc.
fn vein_occlusion(anatomy: &Anatomy, rng: &mut impl Rng) -> Vec<Mark> {
    let quadrant = [0.5, 0.72, -0.5, -0.72][rng.random_range(0..4)] * PI;
    let mut marks = Vec::new();
    for offset in [-0.5, 0.0, 0.5] {
        let (from, to) = (polar(anatomy.disc, quadrant + offset, 0.25), polar(anatomy.disc, quadrant + offset, 1.0));
        marks.push(Mark::stroke(from, to, 0.2, OEDEMA).soft(0.8).opacity(0.45));
    }
    for _ in 0..rng.random_range(75..100) {
        let angle = quadrant + rng.random_range(-0.65..0.65f32);
        let place = polar(anatomy.disc, angle, rng.random_range(0.15..1.0));
        let tip = polar(place, angle + rng.random_range(-0.25..0.25), rng.random_range(0.08..0.18));
        marks.push(Mark::stroke(place, tip, rng.random_range(0.022..0.036), BLOOD).soft(0.4).opacity(0.9));
    }
    for _ in 0..rng.random_range(1..4) {
        let place = polar(anatomy.disc, quadrant + rng.random_range(-0.4..0.4), rng.random_range(0.3..0.8));
        marks.push(Mark::spot(place, rng.random_range(0.03..0.05), [0.95, 0.92, 0.80]).soft(0.7).opacity(0.8));
    }
    marks
}
