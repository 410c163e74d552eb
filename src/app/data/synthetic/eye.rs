//! One person's eye as a list of marks: the fundus, what is benign on it, and the signs of the disease.
//!
//! Coordinates are those of a right eye: the fovea at (0, 0), the optic disc to the right of it, 1 = half the shorter
//! side of a photograph taken at zoom 1. A left eye is the mirror image.

use std::f32::consts::{PI, TAU};

use rand::{Rng, RngExt};

use super::anatomy::{Anatomy, anywhere, polar, shade};
use super::canvas::{Colour, Mark, Point};
use super::signs::{self, Class};

/// The eye of one person; both eyes are alike but for the mirror.
pub struct Eye {
    /// The colour of the bare fundus.
    pub tint: Colour,
    /// In the order in which they are drawn.
    pub marks: Vec<Mark>,
}

impl Eye {
    pub fn new(class: Class, rng: &mut impl Rng) -> Eye {
        let pigment = rng.random_range(0.0..1.0f32);
        let tint =
            [0.95 - 0.12 * pigment, 0.56 - 0.16 * pigment, 0.34 - 0.12 * pigment + rng.random_range(-0.03..0.03)];
        let disc = [rng.random_range(0.55..0.68), rng.random_range(-0.08..0.04)];
        let anatomy = Anatomy { tint, disc, disc_radius: rng.random_range(0.15..0.18) };

        let mut marks = choroid(&anatomy, rng);
        marks.extend(macula(&anatomy, rng));
        marks.extend(optic_disc(&anatomy, class, rng));
        marks.extend(benign(&anatomy, rng));
        let signs = signs::draw(class, &anatomy, rng);
        let vessels = vessels(&anatomy, if class == Class::Rp { 0.45 } else { 1.0 }, rng);
        // Vessels run over a detached retina, but under what bleeds or grows from them.
        let layers = if class == Class::Rd { [signs, vessels] } else { [vessels, signs] };
        marks.extend(layers.into_iter().flatten());
        Eye { tint, marks }
    }
}

/// Large patches and the broad vessels of the choroid that shine through a thin pigment layer.
fn choroid(anatomy: &Anatomy, rng: &mut impl Rng) -> Vec<Mark> {
    let mut marks = Vec::new();
    for _ in 0..12 {
        let colour = shade(anatomy.tint, rng.random_range(0.75..1.25));
        marks.push(Mark::spot(anywhere(rng), rng.random_range(0.15..0.4), colour).soft(1.0).opacity(0.5));
    }
    let visible = rng.random_range(0.05..0.45);
    for _ in 0..45 {
        let mut from = anywhere(rng);
        let mut heading = (from[1]).atan2(from[0]) + rng.random_range(-0.8..0.8);
        let colour = shade(anatomy.tint, if rng.random_bool(0.5) { 1.25 } else { 0.75 });
        for _ in 0..4 {
            heading += rng.random_range(-0.4..0.4);
            let to = polar(from, heading, 0.1);
            marks.push(Mark::stroke(from, to, 0.022, colour).soft(0.8).opacity(visible));
            from = to;
        }
    }
    marks
}

fn macula(anatomy: &Anatomy, rng: &mut impl Rng) -> [Mark; 2] {
    let dark = shade(anatomy.tint, 0.55);
    [
        Mark::spot([0.0, 0.0], rng.random_range(0.16..0.22), dark).soft(1.0).opacity(rng.random_range(0.4..0.65)),
        Mark::spot([0.0, 0.0], 0.05, dark).soft(1.0).opacity(0.5),
    ]
}

/// The disc with its cup, sometimes with a pale crescent of bare sclera beside it.
fn optic_disc(anatomy: &Anatomy, class: Class, rng: &mut impl Rng) -> Vec<Mark> {
    let Anatomy { disc, disc_radius: radius, .. } = *anatomy;
    let mut marks = Vec::new();
    if rng.random_bool(0.3) {
        let beside = polar(disc, PI + rng.random_range(-0.6..0.6), 0.3 * radius);
        marks.push(Mark::spot(beside, radius, [0.90, 0.72, 0.48]).soft(0.2).opacity(0.7));
    }
    let upright = |length: f32| ([disc[0], disc[1] - length], [disc[0], disc[1] + length]);
    let rim = match class {
        Class::Rp => [0.90, 0.72, 0.48],
        _ => [0.93, 0.64, 0.36],
    };
    let (top, bottom) = upright(0.1 * radius);
    marks.push(Mark::stroke(top, bottom, radius, rim).soft(0.15));
    let (cup, pale) = match class {
        Class::Gla => (rng.random_range(0.80..0.92), [1.0, 1.0, 0.95]),
        _ => (rng.random_range(0.25..0.4), [0.98, 0.80, 0.54]),
    };
    let (top, bottom) = upright(0.14 * cup * radius);
    marks.push(Mark::stroke(top, bottom, cup * radius, pale).soft(0.25));
    marks
}

/// Arteries and veins: two pairs arch around the macula, two run to the nasal side; all branch.
fn vessels(anatomy: &Anatomy, calibre: f32, rng: &mut impl Rng) -> Vec<Mark> {
    let mut marks = Vec::new();
    for vein in [true, false] {
        let colour = if vein { [0.62, 0.30, 0.38] } else { [0.85, 0.48, 0.48] };
        let colour = [0, 1, 2].map(|c| anatomy.tint[c] * colour[c]);
        let radius = calibre * if vein { 0.018 } else { 0.013 };
        for up in [-1.0, 1.0] {
            let jitter = rng.random_range(-0.15..0.15);
            let temporal = Vessel { heading: up * (PI * 0.53 + jitter), bend: up * 1.0, radius, length: 2.0 };
            grow(&mut marks, anatomy.disc, temporal, colour, rng);
            let jitter = rng.random_range(-0.3..0.3);
            let nasal =
                Vessel { heading: up * (PI * 0.27 + jitter), bend: up * -0.2, radius: radius * 0.85, length: 1.0 };
            grow(&mut marks, anatomy.disc, nasal, colour, rng);
        }
    }
    marks
}

/// The rest of a vessel: where it heads (radians), how it bends (radians per unit of length), what is left of it.
struct Vessel {
    heading: f32,
    bend: f32,
    radius: f32,
    length: f32,
}

fn grow(marks: &mut Vec<Mark>, mut from: Point, mut vessel: Vessel, colour: Colour, rng: &mut impl Rng) {
    const STEP: f32 = 0.06;
    while vessel.length > 0.0 && vessel.radius > 0.003 {
        vessel.heading += vessel.bend * STEP + rng.random_range(-0.15..0.15);
        let to = polar(from, vessel.heading, STEP);
        if to[0].hypot(to[1]) < 0.2 {
            return; // no vessels at the fovea
        }
        marks.push(Mark::stroke(from, to, vessel.radius, colour).opacity(0.85));
        if rng.random_bool(0.10) {
            let side = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
            let heading = vessel.heading + side * rng.random_range(0.4..0.9);
            let (bend, radius, length) = (-0.6 * side, 0.68 * vessel.radius, 0.6 * vessel.length);
            grow(marks, to, Vessel { heading, bend, radius, length }, colour, rng);
            vessel.radius *= 0.93;
        }
        vessel.radius *= 0.985;
        vessel.length -= STEP;
        from = to;
    }
}

/// Marks that any eye may have and that tell no class: a naevus, a few hard drusen far from the
/// macula, sheen.
fn benign(anatomy: &Anatomy, rng: &mut impl Rng) -> Vec<Mark> {
    let mut marks = Vec::new();
    if rng.random_bool(0.15) {
        let dark = shade(anatomy.tint, 0.5);
        marks.push(Mark::spot(anywhere(rng), rng.random_range(0.05..0.12), dark).soft(0.5).opacity(0.7));
    }
    if rng.random_bool(0.4) {
        for _ in 0..rng.random_range(1..=3) {
            let place = polar([0.0, 0.0], rng.random_range(0.0..TAU), rng.random_range(0.6..1.1));
            marks.push(Mark::spot(place, rng.random_range(0.015..0.03), [0.95, 0.80, 0.45]).soft(0.4).opacity(0.8));
        }
    }
    if rng.random_bool(0.5) {
        let light = shade(anatomy.tint, 1.6);
        for _ in 0..3 {
            let place = polar([0.0, 0.0], rng.random_range(0.0..TAU), rng.random_range(0.3..0.7));
            marks.push(Mark::spot(place, rng.random_range(0.05..0.12), light).soft(1.0).opacity(0.35));
        }
    }
    if rng.random_bool(0.5) {
        let place = polar([0.0, 0.0], rng.random_range(0.0..TAU), rng.random_range(0.0..0.2));
        let sheen = [1.0, 0.85, 0.55];
        marks
            .push(Mark::spot(place, rng.random_range(0.15..0.25), sheen).soft(1.0).opacity(rng.random_range(0.3..0.6)));
    }
    marks
}
