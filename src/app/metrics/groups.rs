//! Figures of groups of photographs, such as those of each sex.

use serde_json::{Map, Value, json};

use super::{Figures, OVERALL, PER_CLASS, position};
use crate::app::data::findings::counted;
use crate::app::data::groups::Grouping;
use crate::app::predictions::Named;

/// Figures that are printed of each group; JSON has all of them.
const PRINTED: [&str; 4] = ["accuracy", "balanced_accuracy", "macro_roc_auc", "cohen_kappa"];
/// Figures that are printed of each class and group.
const PRINTED_PER_CLASS: [&str; 3] = ["sensitivity", "specificity", "roc_auc"];

/// The figures of each group that has photographs.
pub struct OfGroups<'a> {
    by: &'a Grouping,
    /// Name, photographs and figures.
    groups: Vec<(&'a str, usize, Figures)>,
}

impl<'a> OfGroups<'a> {
    /// `positions` are those of the predictions among the photographs that were grouped.
    pub fn new(by: &'a Grouping, all: &Named, positions: &[usize], seed: u64, resamples: usize) -> OfGroups<'a> {
        let mut samples = vec![Vec::new(); by.names.len()];
        positions.iter().enumerate().for_each(|(sample, &position)| samples[by.of[position]].push(sample));
        let figures = |(samples, name): (Vec<usize>, &'a String)| {
            let figures = || all.subset(&samples).predictions.figures(seed, resamples);
            (!samples.is_empty()).then(|| (&name[..], samples.len(), figures()))
        };
        OfGroups { by, groups: samples.into_iter().zip(&by.names).filter_map(figures).collect() }
    }

    fn text(&self) -> String {
        let Grouping { column, table, is_banded, .. } = self.by;
        let file = table.file_name().unwrap_or_default().display();
        let mut text = format!("\nBy {column}, a column of {file}");
        if *is_banded {
            let bands = counted(self.groups.len(), "band");
            text += &format!(", its numbers cut into {bands} of about as many photographs");
        }
        text += ":\n\n";
        let name =
            self.groups.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0).max(column.chars().count());
        let cell = "-0.000 (-0.000-0.000)".len();
        text += &format!("{column:>name$}  photographs  persons");
        let figures = PRINTED.map(|key| position(&OVERALL, key).expect("it is listed"));
        text += &figures.map(|at| format!("  {:>cell$}", OVERALL[at].1)).concat();
        text += "\n\n";
        for (group, photographs, of_group) in &self.groups {
            text += &format!("{group:>name$}  {photographs:>11}  {:>7}", of_group.persons);
            text += &figures.map(|at| format!("  {:>cell$}", of_group.overall[at].shown())).concat();
            text += "\n";
        }
        for key in PRINTED_PER_CLASS {
            let at = position(&PER_CLASS, key).expect("it is listed");
            text += &self.of_classes(at);
        }
        text
    }

    /// A table of one figure: a row per class, a column per group.
    fn of_classes(&self, figure: usize) -> String {
        let Some((_, _, first)) = self.groups.first() else { return String::new() };
        let title = PER_CLASS[figure].1;
        let name = first.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0).max(title.len());
        let width = |group: &str| group.chars().count().max("0.000 (0.000-0.000)".len());
        let mut text = format!("\n{title:>name$}");
        text += &self.groups.iter().map(|(group, ..)| format!("  {group:>0$}", width(group))).collect::<String>();
        text += "\n\n";
        for (index, class) in first.classes.iter().enumerate() {
            text += &format!("{class:>name$}");
            for (group, _, figures) in &self.groups {
                text += &format!("  {:>1$}", figures.per_class[index][figure].shown(), width(group));
            }
            text += "\n";
        }
        text
    }

    fn to_json(&self) -> Value {
        let groups = self.groups.iter().map(|(name, photographs, figures)| {
            (name.to_string(), json!({ "photographs": photographs, "figures": figures.to_json() }))
        });
        let groups: Map<String, Value> = groups.collect();
        json!({ "table": self.by.table.display().to_string(), "bands": self.by.is_banded, "groups": groups })
    }
}

/// Tables of the groups of every column.
pub fn text(all: &[OfGroups]) -> String {
    all.iter().map(OfGroups::text).collect()
}

/// The columns by name: `table`, whether the groups are `bands`, and `groups` with all figures.
pub fn json(all: &[OfGroups]) -> Value {
    Value::Object(all.iter().map(|of| (of.by.column.clone(), of.to_json())).collect())
}
