//! Labels of another data set as classes of a network.

use std::collections::BTreeMap;

use crate::app::data::alike::composed;
use crate::app::data::findings::{counted, in_short};
use crate::app::data::records::Records;
use crate::error::{Error, Result};

/// The position of a class by its name, in either Unicode form.
///
/// # Errors
/// No class of the name, with a list of those that there are.
pub fn class_named(name: &str, classes: &[String]) -> std::result::Result<usize, String> {
    let name = composed(name);
    let unknown = || format!("{name:?} is no class of the network; its classes are {}", in_short(classes));
    classes.iter().position(|class| *class == name).ok_or_else(unknown)
}

/// Which labels stand for which classes. Labels that are then unknown are left out.
#[derive(Clone, Debug)]
pub struct Renaming(BTreeMap<String, String>);

impl Renaming {
    /// `None` without a pair of an old and a new label.
    ///
    /// Errors: a new label that is not among `classes`, an old one that stands for two.
    pub fn new(pairs: &[(String, String)], classes: &[String]) -> Result<Option<Renaming>> {
        let mut all = BTreeMap::new();
        for (old, new) in pairs {
            let unknown = |problem| Error::Input(format!("--map {old}={new}: {problem}"));
            let new = &classes[class_named(new, classes).map_err(unknown)?];
            if let Some(other) = all.insert(old.clone(), new.clone()).filter(|other| other != new) {
                return Err(Error::Input(format!("--map {old}={new}: {old:?} stands for {other:?} already")));
            }
        }
        Ok((!all.is_empty()).then_some(Renaming(all)))
    }

    /// Renames the labels, leaves out the rows with unknown ones, and tells about both, one line each.
    ///
    /// Errors: no row is left.
    pub fn apply(&self, records: &mut Records, classes: &[String]) -> Result<Vec<String>> {
        let (mut renamed, mut left_out) = (BTreeMap::<&str, usize>::new(), BTreeMap::<String, usize>::new());
        let before = records.rows.len();
        records.rows.retain_mut(|row| {
            if let Some((old, new)) = self.0.get_key_value(&row.label) {
                *renamed.entry(old).or_default() += 1;
                row.label.clone_from(new);
            }
            let known = classes.contains(&row.label);
            if !known {
                *left_out.entry(row.label.clone()).or_default() += 1;
            }
            known
        });
        let mut told = Vec::new();
        for (old, new) in &self.0 {
            match renamed.get(&old[..]) {
                Some(&count) => told.push(format!("{} of {old:?} taken for {new:?}", counted(count, "photograph"))),
                None => told.push(format!("warning: no row has the label {old:?}")),
            }
        }
        let unknown: Vec<String> = left_out.iter().map(|(label, count)| format!("{label:?} {count}")).collect();
        let path = records.path.display();
        if !unknown.is_empty() {
            let (left, unknown) = (before - records.rows.len(), unknown.join(", "));
            told.push(format!("warning: {path}: left out {left} of {before} rows with labels that the network does not know: {unknown}"));
        }
        if records.rows.is_empty() && before > 0 {
            return Err(Error::Input(format!(
                "{path}: no row has a label that the network knows ({})",
                in_short(classes)
            )));
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_found_in_either_unicode_form() {
        let classes = ["AMD", "Frühform"].map(String::from);
        for name in ["Frühform", "Fru\u{308}hform"] {
            assert_eq!(class_named(name, &classes), Ok(1));
            let pairs = [("early".to_string(), name.to_string())];
            assert_eq!(Renaming::new(&pairs, &classes).unwrap().unwrap().0["early"], "Frühform");
        }
        let unknown = class_named("amd", &classes).unwrap_err();
        assert_eq!(unknown, "\"amd\" is no class of the network; its classes are AMD, Frühform");
    }
}
