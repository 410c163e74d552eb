//! A network as one HTML file that classifies photographs in a browser, with this program's kernels: nothing is fetched, and
//! no photograph leaves the machine. `web/player.js` replays the plan, `web/page.js` is what a person sees.

mod cases;
mod replay;
mod training;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::RgbImage;
use serde_json::{Value, json};

pub use cases::{Case, cases};
pub use replay::{Dispatch, Program, Replay, Stored, replay, rounded};
pub use training::{AGREEMENT as LOSS_AGREEMENT, PROVED, Training};

use crate::app::cam::{self, Head};
use crate::app::checkpoint::{Metadata, Tensor};
use crate::app::data::{Resampling, synthetic};
use crate::app::metrics::{OVERALL, PER_CLASS};
use crate::app::page::escaped;
use crate::engine::image_size::ImageSize;
use crate::error::Result;
use crate::files::{png, write_atomic};
use crate::network::Network;

/// How far a probability of a built-in picture may be from this program's before the page refuses to work: several times
/// what f32 in another order makes of it.
pub const AGREEMENT: f32 = 1e-4;
/// How far half precision may move a probability before the export warns.
pub const HALF_TOLERANCE: f32 = 2e-3;

/// Built-in pictures, and their size: neither that of any usual network nor square, so that both axes are resized.
const CHECKS: usize = 3;
const CHECK_SIZE: ImageSize = ImageSize { height: 83, width: 101 };

const PROGRAM: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

const TEMPLATE: &str = include_str!("web/page.html");
const CLASSIFY: &str = include_str!("web/classify.html");
const DOCUMENT: &str = include_str!("web/document.js");
const STYLE: &str = include_str!("web/page.css");
const PLAYER: &str = include_str!("web/player.js");
const DOCTOR: &str = include_str!("web/doctor.js");
const PAGE: &str = include_str!("web/page.js");

/// Pictures by which a page proves itself: drawings, since photographs are of patients.
pub fn check_pictures() -> Vec<RgbImage> {
    synthetic::samples(CHECKS, CHECK_SIZE)
}

/// Contents of a page.
#[derive(Debug)]
pub struct Page<'a> {
    pub title: &'a str,
    pub network: &'a Network,
    /// As the page has them.
    pub tensors: &'a [Tensor],
    pub metadata: &'a Metadata,
    pub resize: Resampling,
    /// Whether weights are those of the run, and not rounded.
    pub exact: bool,
    /// The run's figures as `report.json` has them, and whether temperature or thresholds were chosen later.
    pub figures: Option<(Value, bool)>,
    /// Each built-in picture with the probabilities that these weights give it.
    pub checks: Vec<(RgbImage, Vec<f32>)>,
    /// Whether the page has the cases of its kernels.
    pub doctor: bool,
}

/// Writes a page atomically, and returns its bytes.
///
/// # Errors
/// `Error::Io`.
pub fn write(path: &Path, html: &str) -> Result<usize> {
    write_atomic(path, |file| file.write_all(html.as_bytes()))?;
    Ok(html.len())
}

impl Page<'_> {
    /// # Errors
    /// As [`replay`].
    pub fn html(&self) -> Result<String> {
        let (replay, weights) = replay(self.network, self.tensors)?;
        let data = json!({
            "about": self.about(),
            "image": sides(self.network.image_size),
            "resize": self.resize,
            "classes": self.metadata.classes,
            "plan": replay,
            "map": self.map(),
            "checks": self.checks.iter().map(|(picture, probabilities)| json!({
                "png": BASE64_STANDARD.encode(png(picture)), "probabilities": probabilities,
            })).collect::<Vec<_>>(),
            "agreement": AGREEMENT,
            "cases": self.doctor.then(|| cases(self.network)).transpose()?,
        });
        let doctor = if self.doctor { DOCTOR } else { "" };
        Ok(document(self.title, CLASSIFY, &data, &weights, [doctor, PAGE]))
    }

    /// Facts for the reader.
    fn about(&self) -> Value {
        let Metadata { network, width, epoch, operation, .. } = self.metadata;
        let titles = |list: &[(&str, &str)]| list.iter().map(|(key, title)| json!([key, title])).collect::<Vec<_>>();
        json!({
            "title": self.title,
            "program": PROGRAM,
            "network": network.to_string(),
            "width": width,
            "parameters": self.network.parameters().iter().map(|parameter| parameter.count()).sum::<usize>(),
            "epoch": epoch,
            "exact": self.exact,
            "exported": seconds(),
            "temperature": operation.temperature,
            "thresholds": operation.thresholds,
            "figures": self.figures.as_ref().map(|(figures, outdated)| json!({
                "values": figures, "outdated": outdated, "overall": titles(&OVERALL), "perClass": titles(&PER_CLASS),
            })),
        })
    }

    /// Weights and colours of maps.
    fn map(&self) -> Option<Value> {
        let head = Head::of(self.network, self.tensors)?;
        let colours: Vec<[u8; 3]> = (0..=u8::MAX).map(|level| cam::colour(f32::from(level) / 255.0)).collect();
        Some(json!({
            "positions": sides(head.size()),
            "weights": head.weights().iter().map(|&weight| weight as f32).collect::<Vec<_>>(),
            "longest": cam::LONGEST_SIDE,
            "strongest": cam::STRONGEST,
            "colours": colours,
        }))
    }
}

/// A page of this body: the data and the weights in elements of their own, the player and these scripts.
fn document(title: &str, body: &str, data: &Value, weights: &[u8], scripts: [&str; 2]) -> String {
    let data = serde_json::to_string(data).expect("plain values are JSON");
    filled(
        TEMPLATE,
        &[
            ("{{title}}", &escaped(title)),
            ("{{style}}", STYLE),
            ("{{body}}", body),
            // Names of classes may hold anything, and a script ends at its closing tag.
            ("{{data}}", &data.replace('<', "\\u003c")),
            ("{{weights}}", &BASE64_STANDARD.encode(weights)),
            ("{{player}}", PLAYER),
            ("{{document}}", DOCUMENT),
            ("{{more}}", scripts[0]),
            ("{{page}}", scripts[1]),
        ],
    )
}

/// The time of an export, in seconds since 1970.
fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn sides(ImageSize { height, width }: ImageSize) -> [usize; 2] {
    [height, width]
}

/// A template with each mark, in the order in which they come, replaced by a text.
fn filled(template: &str, texts: &[(&str, &str)]) -> String {
    let (mut filled, mut rest) = (String::new(), template);
    for (mark, text) in texts {
        let (before, after) = rest.split_once(mark).expect("the template has every mark");
        filled += before;
        filled += text;
        rest = after;
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_look_like_marks_stay_as_they_are() {
        assert_eq!(filled("a {{x}} b {{y}} c", &[("{{x}}", "{{y}}"), ("{{y}}", "2")]), "a {{y}} b 2 c");
    }
}
