//! The built-in data set: procedural fundus photographs in the tutorial's format, so that everything runs with nothing
//! downloaded. They look like the diseases they are named after, but they are drawings: nothing medical can be learnt
//! from them.
//!
//! A person has one vasculature, tint and disease; each photograph of that person has its own side (left or right),
//! gaze, exposure, blur and noise.

mod anatomy;
mod canvas;
mod eye;
mod photograph;
mod signs;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::app::data::labels;
use crate::engine::image_size::ImageSize;
use crate::error::{Error, Result};
use crate::files::write_atomic;
use eye::Eye;
use photograph::photograph;
use signs::Class;

/// The flags of data.csv, in the order of its columns.
const FLAGS: [&str; 9] = ["AMD", "RVO", "Gla", "MH", "DR", "RD", "RP", "AO", "DM"];

/// Options of the drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Photographs in all; each person has 2 to 4 of them.
    pub images: usize,
    /// Height and width in pixels. The drawing scales with the shorter side.
    pub size: ImageSize,
    /// Seed; equal seeds give equal bytes.
    pub seed: u64,
}

impl Default for Options {
    /// The job of `train` without arguments: with seed 0 the training split is 60 whole batches of 16, so that no kernels
    /// are compiled for a short one.
    fn default() -> Options {
        Options { images: 1601, size: ImageSize::square(32), seed: 1 }
    }
}

/// One person: the row of data.csv but for the file and the side.
struct Person {
    number: usize,
    class: Class,
    age: u32,
    sex: char,
    images: usize,
}

/// The most photographs that can be asked for: the rows of data.csv are in memory, and person numbers have six digits.
const MOST_IMAGES: usize = 1_000_000;

/// Writes `dir/img/NNNNNN_KK.jpg` (or `.png`; NNNNNN is the person, KK the photograph) and then `dir/data.csv` with the
/// columns filename, age, sex, LR and the nine flags. `progress(done, all)` is called after each photograph, from any
/// thread. Every photograph's random numbers depend on the seed, the person and its own number only, so the bytes do not
/// depend on the number of threads.
///
/// # Errors
/// `Error::Input` for options that no set can be made of and for a folder with anything in it, whose tables would be of
/// other photographs; `Error::Io` for what cannot be written.
pub fn write(dir: &Path, options: &Options, progress: impl Fn(usize, usize) + Sync) -> Result<()> {
    check(options)?;
    fs::create_dir_all(dir).map_err(Error::io(dir))?;
    if fs::read_dir(dir).map_err(Error::io(dir))?.next().is_some() {
        let dir = dir.display();
        return Err(Error::Input(format!("{dir}: not empty, nothing was written; name another folder")));
    }
    let folder = dir.join("img");
    fs::create_dir(&folder).map_err(Error::io(&folder))?;
    let done = AtomicUsize::new(0);
    let rows: Vec<Vec<[String; 13]>> = people(options)
        .par_iter()
        .map(|person| {
            let eye = Eye::new(person.class, &mut random(options.seed, person.number, 0));
            let photographs = 0..person.images;
            photographs
                .map(|image| {
                    let row = write_photograph(&folder, person, &eye, image, options)?;
                    progress(done.fetch_add(1, Ordering::Relaxed) + 1, options.images);
                    Ok(row)
                })
                .collect::<Result<_>>()
        })
        .collect::<Result<_>>()?;
    write_table(dir, &rows.concat())
}

/// The classes that are drawn, by their names in the tables.
pub fn classes() -> Vec<String> {
    Class::ALL
        .iter()
        .map(|class| labels::label(class.flags()).expect("every class that is drawn has a label"))
        .collect()
}

/// Photographs of so many people, who differ in their diseases; always the same. The classes come in turn, in the order of
/// [`classes`].
pub fn samples(count: usize, size: ImageSize) -> Vec<RgbImage> {
    let draw = |(number, &class): (usize, &Class)| {
        let eye = Eye::new(class, &mut random(Options::default().seed, number, 0));
        photograph(&eye, number % 2 == 1, size, &mut random(Options::default().seed, number, 1))
    };
    Class::ALL.iter().cycle().take(count).enumerate().map(draw).collect()
}

fn check(options: &Options) -> Result<()> {
    // Fewer and some class would have nobody.
    let fewest = 4 * Class::ALL.len();
    if options.images < fewest {
        return Err(Error::Input(format!(
            "{} images cannot show every class: ask for {fewest} or more",
            options.images
        )));
    }
    if options.images > MOST_IMAGES {
        return Err(Error::Input(format!("{} images: {MOST_IMAGES} are the most", options.images)));
    }
    if let Some((name, _)) = options.size.sides().into_iter().find(|(_, side)| !(16..=4096).contains(side)) {
        return Err(Error::Input(format!("photographs of {} pixels: the {name} is 16 to 4096", options.size)));
    }
    Ok(())
}

/// Random numbers of their own for each (seed, person, stream); stream 0 is the person, others are photographs.
fn random(seed: u64, person: usize, stream: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((person as u64) << 8) + stream as u64);
    rng
}

/// People to photograph: the classes come in shuffled rounds of eight, so they are equally
/// frequent.
fn people(options: &Options) -> Vec<Person> {
    let mut rng = random(options.seed, u32::MAX as usize, 0);
    let mut round = Vec::new();
    let mut people = Vec::new();
    let mut left = options.images;
    while left > 0 {
        if round.is_empty() {
            round = Class::ALL.to_vec();
            round.shuffle(&mut rng);
        }
        let class = round.pop().expect("just filled");
        let images = rng.random_range(2..=4).min(left);
        let sex = if rng.random_bool(0.5) { 'M' } else { 'F' };
        people.push(Person { number: people.len(), class, age: rng.random_range(35..90), sex, images });
        left -= images;
    }
    people
}

/// Draws and stores one photograph; returns its row of data.csv.
fn write_photograph(
    folder: &Path,
    person: &Person,
    eye: &Eye,
    image: usize,
    options: &Options,
) -> Result<[String; 13]> {
    let mut rng = random(options.seed, person.number, 1 + image);
    let left = rng.random_bool(0.5);
    let png = rng.random_bool(0.2);
    let picture = photograph(eye, left, options.size, &mut rng);
    let name = format!("{:06}_{image:02}.{}", person.number, if png { "png" } else { "jpg" });
    let path = folder.join(&name);
    fs::write(&path, encode(&picture, png)).map_err(Error::io(&path))?;
    let flags = FLAGS.map(|flag| if person.class.flags().contains(&flag) { "1" } else { "0" }.to_string());
    let [amd, rvo, gla, mh, dr, rd, rp, ao, dm] = flags;
    let side = if left { "L" } else { "R" }.to_string();
    Ok([name, person.age.to_string(), person.sex.to_string(), side, amd, rvo, gla, mh, dr, rd, rp, ao, dm])
}

fn encode(picture: &RgbImage, png: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = if png {
        picture.write_with_encoder(PngEncoder::new(&mut bytes))
    } else {
        picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 92))
    };
    written.expect("an RGB picture into memory");
    bytes
}

/// The table comes last and whole, so that a folder that has one is complete.
fn write_table(dir: &Path, rows: &[[String; 13]]) -> Result<()> {
    write_atomic(&dir.join("data.csv"), |file| {
        let mut table = csv::Writer::from_writer(file);
        table.write_record(["filename", "age", "sex", "LR"].into_iter().chain(FLAGS))?;
        for row in rows {
            table.write_record(row)?;
        }
        table.flush()
    })
}
