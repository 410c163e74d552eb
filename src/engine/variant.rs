//! The ways to compute matrix products and convolutions. They give the same numbers but for rounding, and differ in
//! speed: a plan is made for one, the doctor proves each, and `tune` chooses.

mod algorithm;
mod core;
mod sizes;

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use algorithm::{Algorithm, Pass, Tile};
pub use core::{Abilities, COOPERATIVE, Core, LANES, MATRICES, MatrixUnits, PART, PARTS, TILE_W};
pub use sizes::Sizes;

/// Reading less than this from a texture saves no more than copying it there costs.
pub const LEAST_TEXEL_BYTES: u64 = 4 << 10;

/// One way to compute all of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// How matrix products are computed.
    pub core: Core,
    /// Matrix units that compute the products of convolutions in the place of that core, where they are large enough; only
    /// with `--matrix-units`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix_units: Option<MatrixUnits>,
    /// Tensors of at least so many bytes are copied into textures and read there (`shaders/lib/texels.wgsl`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texel_reads: Option<u64>,
    /// Kernels that write what a batch norm takes leave its moments, so that it does not read all of that for its statistics.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fused_statistics: bool,
    /// Sizes of the pieces that work is cut into.
    #[serde(default)]
    pub sizes: Sizes,
    /// How convolutions are computed.
    #[serde(default)]
    pub convolutions: Convolutions,
}

/// How convolutions are computed. One that its algorithm cannot do is computed directly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Convolutions {
    /// The cheapest way by `conv2d::Problem::cost`.
    #[default]
    Counted,
    All(Algorithm),
    /// By `conv2d::Problem::geometry`, as they were measured; others as counted.
    Measured(BTreeMap<String, Algorithm>),
}

impl Convolutions {
    /// As counted, and by each algorithm alone: between them, all that tuning can choose.
    pub fn each() -> impl Iterator<Item = Convolutions> {
        [Convolutions::Counted].into_iter().chain(Algorithm::ALL.map(Convolutions::All))
    }

    /// Algorithm asked for a convolution of that geometry, if any.
    pub fn of(&self, geometry: &str) -> Option<Algorithm> {
        match self {
            Convolutions::Counted => None,
            Convolutions::All(algorithm) => Some(*algorithm),
            Convolutions::Measured(measured) => measured.get(geometry).copied(),
        }
    }
}

impl Default for Variant {
    /// Plain WebGPU: what every adapter can run.
    fn default() -> Variant {
        Variant {
            core: Core::Workgroup { threads_m: 8, threads_n: 8, prefetch: false },
            matrix_units: None,
            texel_reads: None,
            fused_statistics: false,
            sizes: Sizes::default(),
            convolutions: Convolutions::Counted,
        }
    }
}

impl Variant {
    /// Every one that an adapter can run, with the convolutions as counted. The first is the best guess: with matrix units,
    /// if the adapter was opened for them; on a CPU few loads and no workgroup memory, on a GPU tiles that leave room for many
    /// workgroups.
    pub fn all(abilities: &Abilities) -> Vec<Variant> {
        let plain = Variant { sizes: Sizes::guess(abilities), ..Variant::default() };
        // To a CPU they are all alike: it proves the smallest and the largest.
        let tiles: &[_] = match abilities.software {
            true => &[(8, 8, false), (16, 16, true)],
            false => &[(8, 8, false), (8, 8, true), (16, 8, true), (16, 16, true)],
        };
        let of = |&(threads_m, threads_n, prefetch): &_| Core::Workgroup { threads_m, threads_n, prefetch };
        let tiles = tiles.iter().map(of);
        let lanes = abilities.fixed_subgroup.filter(|lanes| LANES.contains(lanes));
        let subgroup = lanes.map(|lanes| Core::Subgroup { lanes });
        let first = subgroup.filter(|_| abilities.software).unwrap_or(plain.core);
        let texels = Variant { core: first, texel_reads: Some(LEAST_TEXEL_BYTES), ..plain.clone() };
        let buffers = [first].into_iter().chain(tiles).chain(subgroup).map(|core| Variant { core, ..plain.clone() });
        let mut all: Vec<Variant> = buffers.collect();
        all.insert(usize::from(!abilities.software), texels);
        let with_units = |variant: &Variant| Variant { matrix_units: abilities.matrix_units, ..variant.clone() };
        let units: Vec<Variant> = all.iter().take(2).map(with_units).collect();
        all.splice(0..0, units);
        let mut distinct: Vec<Variant> = Vec::new();
        for variant in all {
            if variant.core.fits(abilities) && !distinct.contains(&variant) {
                distinct.push(variant);
            }
        }
        distinct
    }

    /// Replaces the choice of convolutions.
    pub fn with(&self, convolutions: Convolutions) -> Variant {
        Variant { convolutions, ..self.clone() }
    }

    /// Whether it needs more than plain WebGPU, and so a check before it is used.
    pub fn is_optional(&self) -> bool {
        self.texel_reads.is_some() || self.matrix_units.is_some() || matches!(self.core, Core::Subgroup { .. })
    }

    /// How products are computed, in words.
    pub fn products(&self) -> String {
        let textures = if self.texel_reads.is_some() { ", textures" } else { "" };
        let units = self.matrix_units.map_or(String::new(), |units| format!(", {units}"));
        format!("{}{textures}{units}", self.core)
    }
}

impl Display for Variant {
    /// `subgroups of 8, textures; convolutions direct in 1, winograd4 in 7; 64 groups, chunks of 32 MiB`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; convolutions", self.products())?;
        match &self.convolutions {
            Convolutions::Counted => write!(f, " as counted")?,
            Convolutions::All(algorithm) => write!(f, " {algorithm}")?,
            Convolutions::Measured(measured) => {
                let counts = Algorithm::ALL.map(|one| (one, measured.values().filter(|&&each| each == one).count()));
                let used = counts.into_iter().filter(|(_, count)| *count > 0);
                let used: Vec<String> = used.map(|(algorithm, count)| format!("{algorithm} in {count}")).collect();
                write!(f, " {}", used.join(", "))?;
            }
        }
        write!(f, "; {}", self.sizes)?;
        if self.fused_statistics { write!(f, "; fused statistics") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abilities(software: bool, fixed_subgroup: impl Into<Option<usize>>) -> Abilities {
        Abilities { software, fixed_subgroup: fixed_subgroup.into(), ..Abilities::default() }
    }

    fn products(abilities: Abilities) -> Vec<String> {
        Variant::all(&abilities).iter().map(Variant::products).collect()
    }

    #[test]
    fn adapters_get_what_they_can_run_and_the_best_guess_first() {
        let software = ["subgroups of 8, textures", "subgroups of 8", "tiles 64 x 64", "tiles 128 x 128, prefetched"];
        assert_eq!(products(abilities(true, 8)), software);
        let tiles = ["tiles 64 x 64, prefetched", "tiles 128 x 64, prefetched", "tiles 128 x 128, prefetched"];
        let gpu = [&["tiles 64 x 64", "tiles 64 x 64, textures"][..], &tiles].concat();
        assert_eq!(products(abilities(false, 32)), gpu);
        assert_eq!(products(abilities(false, 4)).last().unwrap(), "subgroups of 4");
        let plain = ["tiles 64 x 64, textures", "tiles 64 x 64", "tiles 128 x 128, prefetched"];
        assert_eq!(products(abilities(true, None)), plain);
    }

    #[test]
    fn matrix_units_come_first_where_an_adapter_was_opened_for_them() {
        let units = MatrixUnits { size: 8, threads: 32 };
        let with = products(Abilities { matrix_units: Some(units), ..abilities(true, 8) });
        let first = ["subgroups of 8, textures", "subgroups of 8"];
        assert_eq!(with[..2], first.map(|first| format!("{first}, matrix units 8 x 8 x 8")));
        assert_eq!(with[2..], products(abilities(true, 8)));
    }

    #[test]
    fn limits_leave_out_what_does_not_fit() {
        let large = "tiles 128 x 128, prefetched".to_string();
        let gpu = abilities(false, 32);
        for small in [Abilities { workgroup_threads: 255, ..gpu }, Abilities { workgroup_bytes: (16 << 10) - 1, ..gpu }]
        {
            assert!(products(gpu).contains(&large) && !products(small).contains(&large), "{small:?}");
            assert_eq!(products(small)[0], "tiles 64 x 64");
        }
    }
}
