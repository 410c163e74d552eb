//! How the passes of a convolution are computed.

use std::fmt::{self, Display};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the passes of a convolution are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
pub enum Algorithm {
    /// Each as one implicit matrix product.
    Direct,
    /// Each by Winograd's tiles; of 3 x 3 taps with stride 1 and `same` padding only, as are the next two.
    Winograd(Tile),
    /// Both gradients by tiles: with few channels, forward spends more on transforms than it saves.
    WinogradGradients(Tile),
    /// Tiles for the two passes that produce images (forward, data gradient). For small images the
    /// weight gradient would transform far more values than it yields.
    WinogradImages(Tile),
}

/// Pass of a convolution in a training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    Forward,
    DataGradient,
    WeightGradient,
}

impl Algorithm {
    pub const ALL: [Algorithm; 5] = [
        Algorithm::Direct,
        Algorithm::Winograd(Tile::Two),
        Algorithm::Winograd(Tile::Four),
        Algorithm::WinogradGradients(Tile::Four),
        Algorithm::WinogradImages(Tile::Four),
    ];

    /// The tiles that compute a pass, if any do.
    pub fn tile(self, pass: Pass) -> Option<Tile> {
        match self {
            Algorithm::Direct => None,
            Algorithm::Winograd(tile) => Some(tile),
            Algorithm::WinogradGradients(tile) => (pass != Pass::Forward).then_some(tile),
            Algorithm::WinogradImages(tile) => (pass != Pass::WeightGradient).then_some(tile),
        }
    }

    /// The algorithm, beside direct convolution, whose kernels it is made of.
    pub fn pure(self) -> Algorithm {
        match self {
            Algorithm::Direct => Algorithm::Direct,
            Algorithm::Winograd(tile) | Algorithm::WinogradGradients(tile) | Algorithm::WinogradImages(tile) => {
                Algorithm::Winograd(tile)
            }
        }
    }
}

impl Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Algorithm::Direct => write!(f, "direct"),
            Algorithm::Winograd(tile) => write!(f, "winograd{}", tile.outputs()),
            Algorithm::WinogradGradients(tile) => write!(f, "winograd{}-gradients", tile.outputs()),
            Algorithm::WinogradImages(tile) => write!(f, "winograd{}-images", tile.outputs()),
        }
    }
}

impl From<Algorithm> for String {
    fn from(algorithm: Algorithm) -> String {
        algorithm.to_string()
    }
}

impl TryFrom<String> for Algorithm {
    type Error = String;

    fn try_from(text: String) -> Result<Algorithm, String> {
        let found = Algorithm::ALL.into_iter().find(|algorithm| algorithm.to_string() == text);
        found.ok_or_else(|| format!("{text} is not one of {}", Algorithm::ALL.map(String::from).join(", ")))
    }
}

/// The size of the tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tile {
    /// F(2 x 2, 3 x 3)
    Two,
    /// F(4 x 4, 3 x 3)
    Four,
}

impl Tile {
    pub const ALL: [Tile; 2] = [Tile::Two, Tile::Four];

    /// Outputs along one axis.
    pub fn outputs(self) -> usize {
        match self {
            Tile::Two => 2,
            Tile::Four => 4,
        }
    }

    /// Points along one axis: products, and pixels of the input.
    pub fn points(self) -> usize {
        self.outputs() + 2
    }
}
