//! Networks as files describe them: named layers with their inputs, before image size, width and number of classes are
//! known.
//!
//! ```toml
//! [[layer]]
//! type = "conv2d"        # named conv1, the first of its kind, and takes the layer before it
//! filters = 64
//! kernel = 3
//!
//! [[layer]]
//! name = "sum"
//! type = "add"
//! inputs = ["conv1", "pool1"]
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::{Layer, Network, Placed, Source, photograph};
use crate::engine::image_size::ImageSize;
use crate::engine::plan::names;
use crate::error::{Error, Result};

/// The presets, by their names.
const PRESETS: [(&str, &str); 2] =
    [("tutorial", include_str!("tutorial.toml")), ("residual", include_str!("residual.toml"))];

/// A network before image size, width and number of classes are known. Written as TOML, it is a file as `--network` takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Its layers. The last gives one value per class.
    #[serde(rename = "layer")]
    pub entries: Vec<Entry>,
}

/// A layer of a template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Left out, the stem of the operation and a number: `conv1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Names of layers, or `input` for the photographs. Left out, the layer before, or the photographs for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Vec<String>>,
    #[serde(flatten)]
    pub layer: Layer,
}

/// Why no network can be made of a template.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The layer that is at fault, by its position, if one is.
    pub entry: Option<usize>,
    pub why: String,
}

impl Fault {
    fn of(entry: usize, why: String) -> Fault {
        Fault { entry: Some(entry), why }
    }
}

impl Template {
    /// The tutorial's network.
    pub fn tutorial() -> Template {
        Template::preset(PRESETS[0].0).expect("it is the first preset")
    }

    /// The preset of that name.
    pub fn preset(name: &str) -> Option<Template> {
        let (_, text) = PRESETS.iter().find(|(preset, _)| *preset == name)?;
        Some(toml::from_str(text).expect("presets are valid, as the tests see"))
    }

    /// The names of the presets.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|(name, _)| *name)
    }

    /// A chain of layers, each taking the output of the one before.
    pub fn chain(layers: &[Layer]) -> Template {
        Template { entries: layers.iter().map(|&layer| Entry { name: None, inputs: None, layer }).collect() }
    }

    /// Reads a file and makes sure that a network can be made of it at some size.
    ///
    /// # Errors
    /// `Error::Input` with file and line: not TOML, an unknown key or type of layer, a layer or an input without a name, a
    /// name twice, inputs that go round in a loop, shapes that do not fit at `image_size`.
    pub fn load(path: &Path, image_size: ImageSize) -> Result<Template> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let text = String::from_utf8(bytes).map_err(|_| Error::at(path, 1, "not UTF-8 text"))?;
        let line = |offset: usize| 1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count() as u64;
        let (template, offsets) = parse(&text).map_err(|(offset, why)| Error::at(path, line(offset), why))?;
        // Width and classes change no shape's fit.
        let placed = template.place(image_size, 1.0, 2);
        placed.map_err(|Fault { entry, why }| Error::at(path, line(entry.map_or(0, |entry| offsets[entry])), why))?;
        Ok(template)
    }

    /// The network for photographs of `image_size`. `width` multiplies every channel count but the classes.
    ///
    /// # Errors
    /// The first layer that is at fault.
    pub fn build(
        &self,
        image_size: impl Into<ImageSize>,
        width: f64,
        classes: usize,
    ) -> std::result::Result<Network, Fault> {
        let network = self.place(image_size.into(), width, classes)?;
        if network.classes == classes {
            return Ok(network);
        }
        let last = &network.layers.last().expect("a network has layers").name;
        let why = format!("{last} puts out {} values, and there are {classes} classes", network.classes);
        Err(Fault { entry: None, why })
    }

    /// The network, whatever its number of outputs; `classes` is that of layers which leave it open.
    pub(super) fn place(
        &self,
        image_size: ImageSize,
        width: f64,
        classes: usize,
    ) -> std::result::Result<Network, Fault> {
        let names = self.names()?;
        let sources = self.sources(&names)?;
        let order = sorted(&names, &sources)?;
        let mut position = vec![0; order.len()];
        let mut layers: Vec<Placed> = Vec::new();
        for &entry in &order {
            let layer = self.entries[entry].layer.settled(width, classes);
            let placed = |source: &Source| match *source {
                Source::Photographs => Source::Photographs,
                Source::Layer(entry) => Source::Layer(position[entry]),
            };
            let sources: Vec<Source> = sources[entry].iter().map(placed).collect();
            let shape = |source: &Source| match *source {
                Source::Photographs => photograph(image_size),
                Source::Layer(layer) => layers[layer].output.clone(),
            };
            let inputs: Vec<Vec<usize>> = sources.iter().map(shape).collect();
            let output = layer.output(&inputs);
            let output = output.map_err(|why| Fault::of(entry, format!("{}: {why}", names[entry])))?;
            position[entry] = layers.len();
            layers.push(Placed { name: names[entry].clone(), layer, sources, inputs, output, frozen: false });
        }
        let mut network =
            Network { name: "model".into(), image_size, classes, layers, label_smoothing: 0.0, clip_norm: None };
        let last = order.len() - 1;
        let unused = |layer: &usize| network.users(Source::Layer(*layer)).is_empty();
        if let Some(layer) = (0..last).find(unused) {
            let [one, other] = [layer, last].map(|end| &names[order[end]]);
            let why = format!("nothing takes the outputs of {one} and {other}, and only one layer can be the last");
            return Err(Fault::of(order[layer], why));
        }
        match network.layers[last].output[..] {
            [outputs] => network.classes = outputs,
            ref shape => {
                let why = format!("{}: the last layer puts out one value per class, not {shape:?}", names[order[last]]);
                return Err(Fault::of(order[last], why));
            }
        }
        Ok(network)
    }

    /// The name of each layer.
    fn names(&self) -> std::result::Result<Vec<String>, Fault> {
        if self.entries.is_empty() {
            return Err(Fault { entry: None, why: "a network without layers".into() });
        }
        let mut count: HashMap<&str, usize> = HashMap::new();
        let mut seen = BTreeSet::new();
        let mut names = Vec::new();
        for (index, Entry { name, layer, .. }) in self.entries.iter().enumerate() {
            let stem = layer.op().stem();
            let number = count.entry(stem).or_default();
            *number += 1;
            let name = name.clone().unwrap_or_else(|| format!("{stem}{number}"));
            let letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || !name.chars().all(letter) {
                return Err(Fault::of(
                    index,
                    format!("a layer called {name:?}: names are of letters, digits, _ and -"),
                ));
            }
            if names::RESERVED.contains(&&name[..]) {
                return Err(Fault::of(index, format!("a layer called {name}: that name has a meaning of its own")));
            }
            if !seen.insert(name.clone()) {
                return Err(Fault::of(index, format!("two layers are called {name}")));
            }
            names.push(name);
        }
        Ok(names)
    }

    /// The entries that each layer takes.
    fn sources(&self, names: &[String]) -> std::result::Result<Vec<Vec<Source>>, Fault> {
        let position: BTreeMap<&str, usize> = names.iter().enumerate().map(|(i, name)| (&name[..], i)).collect();
        let of = |(index, entry): (usize, &Entry)| {
            let before = if index == 0 { Source::Photographs } else { Source::Layer(index - 1) };
            let source = |input: &String| match position.get(&input[..]) {
                Some(&entry) => Ok(Source::Layer(entry)),
                None if input == names::INPUT => Ok(Source::Photographs),
                None => Err(Fault::of(index, format!("{} takes {input:?}, and no layer is called that", names[index]))),
            };
            let sources = match &entry.inputs {
                None => vec![before],
                Some(inputs) => inputs.iter().map(source).collect::<std::result::Result<_, _>>()?,
            };
            let arity = entry.layer.op().arity();
            if sources.len() != arity {
                let takes = if arity == 1 { "one input".into() } else { format!("{arity} inputs") };
                return Err(Fault::of(index, format!("{} takes {takes}, not {}", names[index], sources.len())));
            }
            Ok(sources)
        };
        self.entries.iter().enumerate().map(of).collect()
    }
}

/// The layers, each after all that it takes, and otherwise as they stand in the file.
fn sorted(names: &[String], sources: &[Vec<Source>]) -> std::result::Result<Vec<usize>, Fault> {
    let mut order: Vec<usize> = Vec::new();
    let mut placed = vec![false; names.len()];
    while order.len() < names.len() {
        let ready = |entry: &usize| {
            let taken = |source: &Source| matches!(*source, Source::Layer(entry) if !placed[entry]);
            !placed[*entry] && !sources[*entry].iter().any(taken)
        };
        let Some(next) = (0..names.len()).find(ready) else { return Err(looped(names, sources, &placed)) };
        placed[next] = true;
        order.push(next);
    }
    Ok(order)
}

/// The loop that the first layer without a place leads into.
fn looped(names: &[String], sources: &[Vec<Source>], placed: &[bool]) -> Fault {
    let waits_for = |entry: usize| {
        let unplaced = |source: &Source| match *source {
            Source::Layer(entry) if !placed[entry] => Some(entry),
            _ => None,
        };
        sources[entry].iter().find_map(unplaced).expect("it waits for a layer")
    };
    let mut path = vec![placed.iter().position(|placed| !placed).expect("a layer without a place")];
    let start = loop {
        let next = waits_for(path[path.len() - 1]);
        if let Some(start) = path.iter().position(|&seen| seen == next) {
            break start;
        }
        path.push(next);
    };
    let way: Vec<&str> = path[start..].iter().chain([&path[start]]).map(|&entry| &names[entry][..]).collect();
    Fault::of(path[start], format!("a loop: {}", way.join(" takes ")))
}

/// A file's template, and where each layer stands in it. The error is an offset and what is wrong there.
fn parse(text: &str) -> std::result::Result<(Template, Vec<usize>), (usize, String)> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        layer: Vec<Spanned<toml::Table>>,
    }
    let file: File =
        toml::from_str(text).map_err(|e| (e.span().map_or(0, |span| span.start), e.message().to_string()))?;
    let mut entries = Vec::new();
    let mut offsets = Vec::new();
    for table in file.layer {
        let offset = table.span().start;
        let entry = entry(table.into_inner()).map_err(|why| (offset, why))?;
        entries.push(entry);
        offsets.push(offset);
    }
    Ok((Template { entries }, offsets))
}

fn entry(mut table: toml::Table) -> std::result::Result<Entry, String> {
    let types = Layer::TYPES.join(", ");
    match table.get("type") {
        None => return Err(format!("a layer without a type, which is one of {types}")),
        Some(toml::Value::String(named)) if Layer::TYPES.contains(&&named[..]) => {}
        Some(other) => return Err(format!("no layer is of type {other}; the types are {types}")),
    }
    let message = |e: toml::de::Error| e.message().to_string();
    let name = table.remove("name").map(toml::Value::try_into).transpose().map_err(message)?;
    let inputs = table.remove("inputs").map(toml::Value::try_into).transpose().map_err(message)?;
    Ok(Entry { name, inputs, layer: toml::Value::Table(table).try_into().map_err(message)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> (u64, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let message = Template::load(file.path(), 64.into()).unwrap_err().to_string();
        let rest = message.strip_prefix(&format!("{}:", file.path().display())).expect("file and line").to_string();
        let (line, why) = rest.split_once(": ").unwrap();
        (line.parse().unwrap(), why.to_string())
    }

    const HEAD: &str = "[[layer]]\ntype = \"global_average_pool\"\n[[layer]]\ntype = \"dense\"\n";

    #[test]
    fn presets_fit_the_smallest_photographs() {
        for name in Template::presets() {
            let network = Template::preset(name).unwrap().build(32, 0.1, 3).unwrap();
            assert_eq!(network.layers.last().unwrap().output, [3], "{name}");
        }
    }

    #[test]
    fn a_template_survives_toml_and_json() {
        for name in Template::presets() {
            let template = Template::preset(name).unwrap();
            let text = toml::to_string(&template).unwrap();
            assert_eq!(toml::from_str::<Template>(&text).unwrap(), template, "{text}");
            let json = serde_json::to_string(&template).unwrap();
            assert_eq!(serde_json::from_str::<Template>(&json).unwrap(), template);
        }
    }

    #[test]
    fn layers_may_stand_in_any_order() {
        let text = "[[layer]]\nname = \"scores\"\ntype = \"dense\"\ninputs = [\"mean\"]\n\
                    [[layer]]\nname = \"mean\"\ntype = \"global_average_pool\"\ninputs = [\"input\"]\n";
        let (template, _) = parse(text).unwrap();
        let network = template.build(32, 1.0, 4).unwrap();
        let names: Vec<&str> = network.layers.iter().map(|layer| &layer.name[..]).collect();
        assert_eq!(names, ["mean", "scores"]);
        assert_eq!(network.classes, 4);
    }

    #[test]
    fn outputs_that_a_layer_fixes_are_a_fault_only_where_classes_are_known() {
        let text =
            "[[layer]]\ntype = \"global_average_pool\"\n\n[[layer]]\nname = \"scores\"\ntype = \"dense\"\nunits = 5\n";
        let network = crate::network::Architecture::Own(parse(text).unwrap().0);
        assert_eq!(network.without_classes(32.into(), 1.0).unwrap().classes, 5);
        assert!(network.build(32, 1.0, 4).unwrap_err().contains("scores puts out 5 values, and there are 4 classes"));
    }

    #[test]
    fn faults_are_named_by_line() {
        let conv = "[[layer]]\ntype = \"conv2d\"\nfilters = 4\nkernel = 3\n";
        for (text, line, why) in [
            (format!("{conv}colour = 1\n{HEAD}"), 1, "unknown field `colour`"),
            (format!("{HEAD}\n[[layer]]\ntype = \"softmax\"\n"), 6, "no layer is of type \"softmax\""),
            (format!("{HEAD}[[layer]]\nname = \"x\"\n"), 5, "a layer without a type"),
            ("width = 3\n".to_string(), 1, "unknown field `width`"),
            ("[[layer]]\ntype = \"dense\"\n".to_string(), 1, "dense1: takes values without positions"),
            (format!("{HEAD}{conv}"), 5, "conv1: takes images"),
            ("[[layer]]\ntype = \"max_pool\"\nwindow = 65\n".to_string(), 1, "pool1: a window of 65 does not fit"),
            (format!("{conv}name = \"a/b\"\n{HEAD}"), 1, "names are of letters"),
            (format!("{conv}name = \"labels\"\n{HEAD}"), 1, "a meaning of its own"),
            (format!("{conv}name = \"a\"\n{conv}name = \"a\"\n{HEAD}"), 6, "two layers are called a"),
            (format!("{conv}inputs = [\"b\"]\n{HEAD}"), 1, "conv1 takes \"b\", and no layer is called that"),
            (format!("{conv}inputs = []\n{HEAD}"), 1, "conv1 takes one input, not 0"),
            (
                format!("{conv}inputs = [\"conv2\"]\n{conv}inputs = [\"conv1\"]\n{HEAD}"),
                1,
                "a loop: conv1 takes conv2 takes conv1",
            ),
            (format!("{conv}{HEAD}{conv}inputs = [\"input\"]\n"), 7, "nothing takes the outputs of"),
            (conv.to_string(), 1, "the last layer puts out one value per class"),
            (String::new(), 1, "a network without layers"),
        ] {
            let (at, message) = fault(&text);
            assert!(message.contains(why), "{text}\n{message}");
            assert_eq!(at, line, "{text}\n{message}");
        }
    }
}
