//! The files `augment` and `resize`.

use std::collections::BTreeMap;

use image::RgbImage;
use serde::Deserialize;

use super::Place;
use super::file::File;
use crate::app::data::Resampling;
use crate::app::data::augment::Transform;
use crate::app::data::decode::PIXEL_BUDGET;
use crate::app::data::resize::{nearest_index, resize};
use crate::engine::image_size::ImageSize;
use crate::engine::plan::{Layout, Plan};
use crate::error::Result;
use crate::ops::augment::{CHANNELS, Problem, steps, twin};
use crate::proof::doctor::findings::Findings;

/// Error that a device may have, of 255: it computes source positions in f32.
const DEVICE: f64 = 2e-3;
/// Keras rounds to f32: below 256 that is 7.6e-6. Where it has scaled, three roundings meet, of the value (3e-8 after the
/// product), of 1/255 (up to 6e-8) and of the product (3e-8).
const TWIN_OUT: f64 = 8e-6;
const TWIN_SCALED: f64 = 1.2e-7;

/// Tensors of a transformed image, the largest value of its pixels, and the error that the twin may
/// have.
const GROUPS: [(&str, f64, f64); 2] = [("out", 255.0, TWIN_OUT), ("scaled", 1.0, TWIN_SCALED)];

/// A transform as the file's JSON gives it; what is left out is neutral.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Parameters {
    theta: f64,
    tx: f64,
    ty: f64,
    shear: f64,
    zx: f64,
    zy: f64,
    flip_horizontal: bool,
    flip_vertical: bool,
}

impl Default for Parameters {
    fn default() -> Parameters {
        let Transform { theta, tx, ty, shear, zx, zy, flip_horizontal, flip_vertical } = Transform::default();
        Parameters { theta, tx, ty, shear, zx, zy, flip_horizontal, flip_vertical }
    }
}

/// Every transform of every image, on the twin and on the device.
pub fn augment(file: &File, place: &Place, findings: &mut Findings) -> Result<()> {
    let cases = file.json["params"].as_object().ok_or_else(|| file.fault("its JSON has no params"))?;
    let mut by_image: BTreeMap<&str, Vec<(&String, Transform)>> = BTreeMap::new();
    for (name, parameters) in cases {
        if !GROUPS.iter().any(|(group, ..)| file.has(&format!("{group}/{name}"))) {
            findings.note(name, Err("the file has no image of these params".into()));
            continue;
        }
        let parameters: Parameters = serde_json::from_value(parameters.clone())
            .map_err(|error| file.fault(format!("params of {name}: {error}")))?;
        let Parameters { theta, tx, ty, shear, zx, zy, flip_horizontal, flip_vertical } = parameters;
        let transform = Transform { theta, tx, ty, shear, zx, zy, flip_horizontal, flip_vertical };
        by_image.entry(name.split('/').next().unwrap_or(name)).or_default().push((name, transform));
    }
    for (image, cases) in by_image {
        augment_image(file, place, image, &cases, findings)?;
    }
    file.finish(findings)
}

fn augment_image(
    file: &File,
    place: &Place,
    image: &str,
    cases: &[(&String, Transform)],
    findings: &mut Findings,
) -> Result<()> {
    let (size, pixels) = picture(file, &format!("image/{image}"))?;
    let ImageSize { height, width } = size;
    // As much is computed as the file holds.
    for (name, _) in cases {
        for stored in GROUPS.map(|(group, ..)| format!("{group}/{name}")).iter().filter(|name| file.has(name)) {
            if file.shape(stored)? != [height, width, CHANNELS] {
                return Err(file.fault(format!("{stored} is not of the size of image/{image}")));
            }
        }
    }
    let p = Problem { batch: cases.len(), height, width };
    let maps: Vec<[f64; 6]> = cases.iter().map(|(_, transform)| transform.matrix(size)).collect();
    let twin = twin::forward(&p, &pixels.repeat(p.batch), &maps);
    let device = on_device(place, p, &pixels, &maps)?;
    let numbers = size.pixels() * CHANNELS;
    for (index, (name, _)) in cases.iter().enumerate() {
        let range = index * numbers..(index + 1) * numbers;
        let twin = &twin[range.clone()];
        for (group, scale, tolerance) in GROUPS {
            let name = format!("{group}/{name}");
            if !file.has(&name) {
                continue;
            }
            let want = file.floats(&name)?;
            let twin: Vec<f64> = twin.iter().map(|y| y * scale).collect();
            let device: Vec<f64> = device[range.clone()].iter().map(|&y| f64::from(y) * scale).collect();
            findings.compare(&format!("{name} on the twin"), &twin, &want, |_| tolerance);
            findings.compare(&name, &device, &want, |_| DEVICE * scale);
        }
    }
    Ok(())
}

fn on_device(place: &Place, p: Problem, pixels: &[u8], maps: &[[f64; 6]]) -> Result<Vec<f32>> {
    let mut plan = Plan::new(place.target.clone(), p.batch, (4 * 4 * p.height * p.width) as u64);
    let pixels_id = plan.integers("pixels", &[p.batch, p.height, p.width]);
    let maps_id = plan.kept("maps", &[p.batch, 2, 4], Layout::Rows);
    let y = plan.kept_activation("y", &[p.batch, p.height, p.width, CHANNELS]);
    steps::forward(&mut plan, "input", p, pixels_id, maps_id, y);
    let mut engine = (place.open)()?;
    let program = engine.load(plan)?;
    let packed: Vec<u32> =
        pixels.chunks_exact(CHANNELS).map(|rgb| u32::from_le_bytes([rgb[0], rgb[1], rgb[2], 0])).collect();
    engine.write_integers(program, "pixels", &packed.repeat(p.batch));
    let maps: Vec<f32> =
        maps.iter().flat_map(|&[a, b, c, d, e, f]| [a, b, c, 0.0, d, e, f, 0.0]).map(|number| number as f32).collect();
    engine.write(program, "maps", &maps);
    engine.run(program)?;
    engine.read(program, "y")
}

/// Every resized image and every list of indices, which have to be the same.
pub fn resized(file: &File, findings: &mut Findings) -> Result<()> {
    for name in file.names()? {
        let parts: Vec<&str> = name.split('/').collect();
        let (image, resampling) = match parts[..] {
            ["image", _] => continue,
            ["nearest_index", sizes] => {
                let sizes = sizes.split_once('_').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
                let (input, output) = sizes.ok_or_else(|| file.fault(format!("{name} names no two sizes")))?;
                let want: Vec<usize> = file.integers(&name)?.into_iter().map(|index| index as usize).collect();
                if input == 0 || output != want.len() {
                    return Err(file.fault(format!("{name} holds {} indices", want.len())));
                }
                findings.expect(&name, nearest_index(input, output) == want, || "other source indices".into());
                continue;
            }
            ["nearest", image, ..] => (image, Resampling::Nearest),
            ["lanczos", image, ..] => (image, Resampling::Lanczos),
            _ => {
                findings.note(&name, Err("is not known here".into()));
                continue;
            }
        };
        let (source_size, pixels) = picture(file, &format!("image/{image}"))?;
        let source = RgbImage::from_raw(source_size.width as u32, source_size.height as u32, pixels);
        let source = source.expect("as many bytes as its shape says");
        let (size, want) = picture(file, &name)?;
        // Rows are resized before columns: between the two, an image is as high as the source and as wide as the result.
        if source_size.height as u64 * size.width as u64 > PIXEL_BUDGET {
            return Err(file.fault(format!(
                "{name} by way of {} x {} pixels: too large to resize",
                source_size.height, size.width
            )));
        }
        let got = resize(&source, size, resampling).into_raw();
        let differ = got.iter().zip(&want).filter(|(got, want)| got != want).count();
        findings.expect(&name, got == want, || format!("{differ} of {} bytes differ", want.len()));
    }
    file.finish(findings)
}

/// Size and bytes of an 8-bit RGB image.
fn picture(file: &File, name: &str) -> Result<(ImageSize, Vec<u8>)> {
    let shape = file.shape(name)?;
    match shape[..] {
        [height, width, CHANNELS] if height > 0 && width > 0 => Ok((ImageSize { height, width }, file.bytes(name)?)),
        _ => Err(file.fault(format!("{name} is {shape:?}, and must be [height, width, 3]"))),
    }
}
