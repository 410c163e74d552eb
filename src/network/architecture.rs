//! Which network: a preset, or one that a file described.

use std::fmt::{self, Display};
use std::path::Path;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::{Fault, Network, Template};
use crate::engine::image_size::ImageSize;
use crate::error::{Error, Result};

/// Choice of a network. In TOML and JSON a preset is its name; any other network is its layers, so that a run and its
/// weights say everything.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Architecture {
    /// A preset's name.
    Preset(#[schemars(extend("enum" = Template::presets().collect::<Vec<_>>()))] String),
    /// Layers.
    Own(Template),
}

impl Default for Architecture {
    /// The tutorial's.
    fn default() -> Architecture {
        Architecture::Preset("tutorial".into())
    }
}

impl Architecture {
    /// The preset of that name, or the network that a TOML file describes; its shapes must fit photographs of `image_size`.
    ///
    /// # Errors
    /// Neither a preset nor a file; whatever [`Template::load`] refuses, by line.
    pub fn read(named: &str, image_size: ImageSize) -> Result<Architecture> {
        if Template::preset(named).is_some() {
            return Ok(Architecture::Preset(named.into()));
        }
        let path = Path::new(named);
        if path.is_file() {
            return Ok(Architecture::Own(Template::load(path, image_size)?));
        }
        Err(Error::Input(format!("{}, and there is no such file", unknown(named))))
    }

    /// The network for photographs of `image_size`.
    ///
    /// # Errors
    /// The first layer that does not fit.
    pub fn build(
        &self,
        image_size: impl Into<ImageSize>,
        width: f64,
        classes: usize,
    ) -> std::result::Result<Network, String> {
        self.by(|template| template.build(image_size, width, classes))
    }

    /// The network, where the classes are not known yet: a layer that leaves its number of outputs open has two.
    ///
    /// # Errors
    /// The first layer that does not fit.
    pub fn without_classes(&self, image_size: ImageSize, width: f64) -> std::result::Result<Network, String> {
        self.by(|template| template.place(image_size, width, 2))
    }

    /// The network that is built of the template, under its name.
    fn by(
        &self,
        build: impl FnOnce(&Template) -> std::result::Result<Network, Fault>,
    ) -> std::result::Result<Network, String> {
        let (name, template) = match self {
            Architecture::Preset(name) => (Some(name), &Template::preset(name).ok_or(unknown(name))?),
            Architecture::Own(template) => (None, template),
        };
        let network = build(template).map_err(|Fault { why, .. }| why)?;
        Ok(Network { name: name.unwrap_or(&network.name).clone(), ..network })
    }
}

fn unknown(name: &str) -> String {
    format!("no network is called {name:?}: the presets are {}", Template::presets().collect::<Vec<_>>().join(", "))
}

impl Display for Architecture {
    /// The preset's name, or a short text that differs between networks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Architecture::Preset(name) => write!(f, "{name}"),
            Architecture::Own(template) => {
                let text = serde_json::to_string(template).expect("plain values are JSON");
                let hash = blake3::hash(text.as_bytes()).to_hex();
                write!(f, "{} layers ({})", template.entries.len(), &hash[..8])
            }
        }
    }
}

impl<'de> Deserialize<'de> for Architecture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Architecture, D::Error> {
        struct NameOrLayers;

        impl<'de> Visitor<'de> for NameOrLayers {
            type Value = Architecture;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "the name of a network, or its layers")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> std::result::Result<Architecture, E> {
                match Template::preset(name) {
                    Some(_) => Ok(Architecture::Preset(name.into())),
                    None => Err(E::custom(unknown(name))),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Architecture, A::Error> {
                Template::deserialize(MapAccessDeserializer::new(map)).map(Architecture::Own)
            }
        }

        deserializer.deserialize_any(NameOrLayers)
    }
}
