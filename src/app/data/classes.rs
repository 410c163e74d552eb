//! The labels of tables as classes.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::app::data::alike::{difference, key};
use crate::app::data::records::{Columns, Record, Records};
use crate::error::{Error, Result};

/// The labels, sorted.
pub(super) fn classes_of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<String> {
    let labels: BTreeSet<&String> = records.into_iter().map(|record| &record.label).collect();
    labels.into_iter().cloned().collect()
}

/// Errors: all rows have one label; there is nothing to tell apart.
pub(super) fn two_classes(records: &Records) -> Result<()> {
    match &classes_of(&records.rows)[..] {
        [only] => {
            let message = format!("all rows have the label {only:?}; two classes are the least");
            Err(Error::at(&records.path, 2, message))
        }
        _ => Ok(()),
    }
}

/// One warning for each label of the tables that looks like an earlier one.
pub(super) fn that_look_alike<'a>(tables: &'a [Records], columns: &Columns) -> Vec<String> {
    let mut first: BTreeMap<&'a str, (&Records, u64)> = BTreeMap::new();
    let mut order: Vec<&'a str> = Vec::new();
    for table in tables {
        let mut last = "";
        for record in &table.rows {
            if record.label != last
                && let Entry::Vacant(place) = first.entry(&record.label)
            {
                place.insert((table, record.line));
                order.push(&record.label[..]);
            }
            last = &record.label;
        }
    }
    let mut known: BTreeMap<String, &'a str> = BTreeMap::new();
    let warning = |label: &'a str| {
        let other = *known.entry(key(label)).or_insert(label);
        let ((table, line), (earlier, earlier_line)) = (first[label], first[other]);
        (other != label).then(|| {
            let message = format!(
                "{label:?} differs from {other:?} ({}:{earlier_line}) only {}: they are two classes",
                earlier.path.display(),
                difference(label, other)
            );
            Error::at_column(&table.path, line, &columns.label, message).to_string()
        })
    };
    order.into_iter().filter_map(warning).collect()
}
