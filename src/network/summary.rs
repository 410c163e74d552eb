//! The network as Keras's `model.summary()` prints it (2.15, a `Sequential` model).

use super::{Network, Parameter};

/// Columns in which the three fields end.
const ENDS: [usize; 3] = [29, 55, 65];
const TITLES: [&str; 3] = ["Layer (type)", "Output Shape", "Param #"];

impl Network {
    /// Every layer with its class, output shape and number of parameters, then the totals.
    pub fn summary(&self) -> String {
        let line = |character: &str| character.repeat(ENDS[2]) + "\n";
        let mut out = format!("Model: \"tutorial\"\n{}{}{}", line("_"), row(TITLES.map(String::from)), line("="));
        for layer in &self.layers {
            let sizes: String = layer.output.iter().map(|size| format!(", {size}")).collect();
            let parameters: usize = layer.parameters().iter().map(Parameter::count).sum();
            let class = layer.layer.op().keras_class();
            out += &row([format!("{} ({class})", layer.name), format!("(None{sizes})"), parameters.to_string()]);
            out += &line(" ");
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

/// A field that is too long goes on below.
fn row(fields: [String; 3]) -> String {
    let mut rest = fields.map(|field| field.chars().collect::<Vec<char>>());
    let mut out = String::new();
    while rest.iter().any(|field| !field.is_empty()) {
        let mut line = String::from(" ");
        for (column, field) in rest.iter_mut().enumerate() {
            let start = if column == 0 { 0 } else { ENDS[column - 1] };
            // Between columns there are two spaces, and one in front of the first.
            let room = ENDS[column] - start - if column < 2 { 3 } else { 0 };
            line.extend(field.drain(..room.min(field.len())));
            line = format!("{line:width$}", width = ENDS[column]);
        }
        out += &line;
        out.push('\n');
    }
    out
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
    use super::super::tutorial;

    /// What Keras 2.15.1 prints of the tutorial's network with its layers named as they are here.
    const KERAS: &str = include_str!("../../tests/golden/keras/summary.txt");

    #[test]
    fn the_tutorials_network_as_keras_prints_it() {
        let ours = tutorial(224, 1.0, 8).summary();
        for (ours, theirs) in ours.lines().zip(KERAS.lines()) {
            assert_eq!(ours, theirs);
        }
        assert_eq!(ours.lines().count(), KERAS.lines().count());
    }
}
