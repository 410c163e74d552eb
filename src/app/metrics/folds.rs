//! Figures of several folds: the mean and the standard deviation over the folds, beside the figures of each.

use serde_json::{Map, Value, json};

use super::{Figures, OVERALL, PER_CLASS};

/// A figure over folds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Of the folds in which the figure is defined; `None` without any.
    pub mean: Option<f64>,
    /// The standard deviation of a sample (divided by one less); `None` for fewer than two folds.
    pub deviation: Option<f64>,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = Option<f64>>) -> Spread {
        let values: Vec<f64> = values.into_iter().flatten().collect();
        let count = values.len() as f64;
        let mean = (count > 0.0).then(|| values.iter().sum::<f64>() / count);
        let square = |mean: f64| values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let deviation = mean.filter(|_| count > 1.0).map(|mean| (square(mean) / (count - 1.0)).sqrt());
        Spread { mean, deviation }
    }

    /// `0.812 (SD 0.034)`
    fn shown(self) -> String {
        match (self.mean, self.deviation) {
            (None, _) => "undefined".into(),
            (Some(mean), None) => format!("{mean:.3}"),
            (Some(mean), Some(deviation)) => format!("{mean:.3} (SD {deviation:.3})"),
        }
    }

    fn to_json(self) -> Value {
        json!({ "mean": self.mean, "standard_deviation": self.deviation })
    }
}

/// Spreads over folds, of all figures.
#[derive(Clone, Debug, PartialEq)]
pub struct OverFolds<'a> {
    folds: &'a [Figures],
    classes: &'a [String],
}

impl OverFolds<'_> {
    /// The figures of each fold, of the same classes.
    ///
    /// # Panics
    /// Without a fold.
    pub fn new(folds: &[Figures]) -> OverFolds<'_> {
        OverFolds { folds, classes: &folds[0].classes }
    }

    /// In the order of [`OVERALL`].
    pub fn overall(&self, figure: usize) -> Spread {
        Spread::of(self.folds.iter().map(|fold| fold.overall[figure].value))
    }

    /// In the order of [`PER_CLASS`].
    pub fn of_class(&self, class: usize, figure: usize) -> Spread {
        Spread::of(self.folds.iter().map(|fold| fold.per_class[class][figure].value))
    }

    /// A table of the figures over all classes, with a column per fold, and a table of the classes.
    pub fn to_text(&self, names: &[String]) -> String {
        let widest = OVERALL.iter().map(|(_, title)| title.len()).max().unwrap_or(0);
        let cell = "0.000 (SD 0.000)".len();
        let fold = names.iter().map(String::len).max().unwrap_or(0).max("undefined".len());
        let mut text = format!("{:>widest$}  {:>cell$}", "", "mean");
        text += &names.iter().map(|name| format!("  {name:>fold$}")).collect::<String>();
        text += "\n\n";
        for (at, (_, title)) in OVERALL.iter().enumerate() {
            text += &format!("{title:>widest$}  {:>cell$}", self.overall(at).shown());
            for figures in self.folds {
                let value = figures.overall[at].value.map_or("undefined".into(), |value| format!("{value:.3}"));
                text += &format!("  {value:>fold$}");
            }
            text += "\n";
        }
        let name = self.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0).max("class".len());
        text += &format!("\n{:>name$}", "class");
        text += &PER_CLASS.iter().map(|(_, title)| format!("  {title:>cell$}")).collect::<String>();
        text += "\n\n";
        for (index, class) in self.classes.iter().enumerate() {
            text += &format!("{class:>name$}");
            let shown = (0..PER_CLASS.len()).map(|figure| self.of_class(index, figure).shown());
            text += &shown.map(|shown| format!("  {shown:>cell$}")).collect::<String>();
            text += "\n";
        }
        text
    }

    /// Keys of [`OVERALL`], and `classes` by name with keys of [`PER_CLASS`].
    pub fn to_json(&self) -> Value {
        let object = |keys: &[(&str, &str)], of: &dyn Fn(usize) -> Spread| -> Map<String, Value> {
            keys.iter().enumerate().map(|(at, (key, _))| (key.to_string(), of(at).to_json())).collect()
        };
        let mut all = object(&OVERALL, &|at| self.overall(at));
        let class = |index: usize| {
            let figures = object(&PER_CLASS, &|at| self.of_class(index, at));
            (self.classes[index].clone(), Value::Object(figures))
        };
        all.insert("classes".into(), Value::Object((0..self.classes.len()).map(class).collect()));
        Value::Object(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn undefined_folds_do_not_count() {
        let spread = Spread::of([Some(1.0), None, Some(2.0), Some(4.0)]);
        assert_abs_diff_eq!(spread.mean.unwrap(), 7.0 / 3.0, epsilon = 1e-15);
        // NumPy: std([1, 2, 4], ddof=1)
        assert_abs_diff_eq!(spread.deviation.unwrap(), 1.527_525_231_651_946_7, epsilon = 1e-15);
        assert_eq!(Spread::of([None, Some(3.0)]), Spread { mean: Some(3.0), deviation: None });
        assert_eq!(Spread::of([None]), Spread { mean: None, deviation: None });
    }
}
