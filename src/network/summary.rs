//! The network as Keras's `model.summary()` prints it (2.15): a `Sequential` model where each layer takes the one before,
//! else a functional one, with what each layer takes.

use serde_json::{Value, json};

use super::{Network, Parameter, Placed, Source, photograph};
use crate::engine::plan::names;

/// Titles of the columns, and where each ends.
struct Table {
    titles: &'static [&'static str],
    ends: &'static [usize],
}

const SEQUENTIAL: Table = Table { titles: &["Layer (type)", "Output Shape", "Param #"], ends: &[29, 55, 65] };
const FUNCTIONAL: Table =
    Table { titles: &["Layer (type)", "Output Shape", "Param #", "Connected to"], ends: &[29, 58, 68, 98] };

impl Network {
    /// The summary as an object: each layer with its name, type, inputs, output shape of one image and number of
    /// parameters, then the totals. Layers are in the order in which they are computed.
    pub fn to_json(&self) -> Value {
        let name = |source: &Source| match *source {
            Source::Photographs => names::INPUT,
            Source::Layer(index) => &self.layers[index].name,
        };
        let count = |parameters: &[Parameter], trainable: bool| -> usize {
            parameters.iter().filter(|parameter| parameter.trainable == trainable).map(Parameter::count).sum()
        };
        let both = |parameters: &[Parameter]| [true, false].map(|trainable| count(parameters, trainable));
        let layer = |layer: &Placed| {
            let [trainable, fixed] = both(&layer.parameters());
            json!({
                "name": layer.name,
                "type": layer.layer.type_name(),
                "inputs": layer.sources.iter().map(name).collect::<Vec<_>>(),
                "output": layer.output,
                "trainable_params": trainable,
                "non_trainable_params": fixed,
            })
        };
        let [trainable, fixed] = both(&self.parameters());
        json!({
            "name": self.name,
            "image_size": { "height": self.image_size.height, "width": self.image_size.width },
            "classes": self.classes,
            "layers": self.layers.iter().map(layer).collect::<Vec<_>>(),
            "trainable_params": trainable,
            "non_trainable_params": fixed,
        })
    }

    /// Every layer with its class, output shape and number of parameters, then the totals.
    pub fn summary(&self) -> String {
        let before = |index: usize| index.checked_sub(1).map_or(Source::Photographs, Source::Layer);
        let is_chain = self.layers.iter().enumerate().all(|(index, layer)| layer.sources == [before(index)]);
        let table = if is_chain { SEQUENTIAL } else { FUNCTIONAL };
        let line = |character: &str| character.repeat(table.ends[table.ends.len() - 1]) + "\n";
        let titles = table.titles.iter().map(|title| title.to_string()).collect();
        let mut out = format!("Model: \"{}\"\n{}{}{}", self.name, line("_"), table.row(titles), line("="));
        let mut add = |name_and_class: String, shape: String, parameters: usize, taken: String| {
            let mut fields = vec![name_and_class, shape, parameters.to_string(), taken];
            fields.truncate(table.ends.len());
            out += &table.row(fields);
            out += &line(" ");
        };
        let sizes = |shape: &[usize]| shape.iter().map(|size| format!(", {size}")).collect::<String>();
        if !is_chain {
            let shape = format!("[(None{})]", sizes(&photograph(self.image_size)));
            add(format!("{} (InputLayer)", names::INPUT), shape, 0, "[]".into());
        }
        for layer in self.keras_order().into_iter().map(|index| &self.layers[index]) {
            let parameters: usize = layer.parameters().iter().map(Parameter::count).sum();
            let taken = layer.sources.iter().map(|source| match *source {
                Source::Photographs => names::INPUT,
                Source::Layer(index) => &self.layers[index].name,
            });
            let taken: Vec<String> = taken.map(|name| format!("'{name}[0][0]'")).collect();
            let class = layer.layer.op().keras_class();
            let shape = format!("(None{})", sizes(&layer.output));
            add(format!("{} ({class})", layer.name), shape, parameters, format!("[{}]", taken.join(", ")));
        }
        out += &line("=");
        let parameters = self.parameters();
        let count =
            |chosen: fn(&&Parameter) -> bool| parameters.iter().filter(chosen).map(Parameter::count).sum::<usize>();
        for (what, numbers) in [
            ("Total params", count(|_| true)),
            ("Trainable params", count(|parameter| parameter.trainable)),
            ("Non-trainable params", count(|parameter| !parameter.trainable)),
        ] {
            out += &format!("{what}: {numbers} ({})\n", memory(numbers * size_of::<f32>()));
        }
        out + &line("_")
    }
}

impl Table {
    /// A field that is too long goes on below; a list also does after each of its entries.
    fn row(&self, fields: Vec<String>) -> String {
        let mut rest: Vec<Vec<char>> = fields.iter().map(|field| field.chars().collect()).collect();
        let mut out = String::new();
        while rest.iter().any(|field| !field.is_empty()) {
            let mut line = String::from(" ");
            for (column, field) in rest.iter_mut().enumerate() {
                let start = if column == 0 { 0 } else { self.ends[column - 1] };
                // Between columns there are two spaces, and one before the first.
                let last = column + 1 == self.ends.len();
                let room = self.ends[column] - start - if last { 0 } else { 3 };
                let fitting: String = field.iter().take(room).collect();
                let entry = fitting.find("',").map(|end| end + "',".len());
                line.extend(field.drain(..entry.unwrap_or(room).min(field.len())));
                line = format!("{line:width$}", width = self.ends[column]);
            }
            out += &line;
            out.push('\n');
        }
        out
    }
}

fn memory(bytes: usize) -> String {
    let mut size = bytes as f64;
    for unit in ["Byte", "KB", "MB", "GB", "TB"] {
        if size < 1024.0 {
            return format!("{size:.2} {unit}");
        }
        size /= 1024.0;
    }
    format!("{size:.2} PB")
}

#[cfg(test)]
mod tests {
    use super::super::Architecture;

    /// Keras 2.15.1's summaries of the presets at full width, their layers named as they are here.
    const KERAS: [(&str, &str); 2] = [
        ("tutorial", include_str!("../../tests/golden/keras/summary.txt")),
        ("residual", include_str!("../../tests/golden/keras/residual_summary.txt")),
    ];

    #[test]
    fn the_presets_as_keras_prints_them() {
        for (name, theirs) in KERAS {
            let ours = Architecture::Preset(name.into()).build(224, 1.0, 8).unwrap().summary();
            for (ours, theirs) in ours.lines().zip(theirs.lines()) {
                assert_eq!(ours, theirs);
            }
            assert_eq!(ours.lines().count(), theirs.lines().count());
        }
    }
}
