//! The tutorial's labelling: `data.csv`, one column a disease, to one label a photograph.

use std::collections::BTreeMap;
use std::path::Path;

use crate::app::data::findings::{Findings, counted};
use crate::app::data::records::{Columns, Naming, Record, Records};
use crate::app::data::table::{Row, Table};
use crate::error::{Error, Result};

/// The diseases in the order in which they are joined to a label.
const FLAGS: [&str; 9] = ["AMD", "RVO", "Gla", "MH", "DR", "RD", "RP", "AO", "DM"];
/// The label of a photograph without any flag.
const HEALTHY: &str = "Normal";
/// The one combination that the tutorial keeps.
const KEPT_PAIR: [&str; 2] = ["DR", "DM"];
/// Single labels that the tutorial leaves out.
const DROPPED: [&str; 3] = ["DR", "AO", "DM"];

/// Reads `data.csv` (file names, the nine flags and, if there is such a column, persons; other
/// columns are ignored) and keeps the rows that have a label, in their order. A flag is set by a 1;
/// empty or another number is not set. Rows with a flag that is not a number, or with a malformed
/// file name or id, are left out and are faults. A warning counts the rows without a label.
///
/// Errors: what `Table::read` refuses, a missing column, no row left.
pub fn read(path: &Path, columns: &Columns, found: &mut Findings) -> Result<Records> {
    let before = found.faults.len();
    let table = Table::read(path, found)?;
    let naming = Naming::of(path, &table, columns)?;
    let flags = FLAGS.iter().map(|&name| Ok((name, table.column(name)?))).collect::<Result<Vec<_>>>()?;
    let rows = table.rows(found, |row| {
        let mut set = Vec::new();
        for &(name, column) in &flags {
            if is_set(row, column).map_err(|what| Error::at_column(path, row.line, name, what))? {
                set.push(name);
            }
        }
        let (filename, id) = naming.file_and_person(row)?;
        let of_label = |label| Record { filename: filename.to_string(), id: id.to_string(), label, line: row.line };
        Ok(label(&set).map(of_label).ok_or_else(|| set.join("+")))
    })?;
    let (mut labelled, mut unlabelled) = (Vec::new(), BTreeMap::<String, usize>::new());
    for row in rows {
        match row {
            Ok(record) => labelled.push(record),
            Err(flags) => *unlabelled.entry(flags).or_default() += 1,
        }
    }
    let rows = labelled;
    if rows.is_empty() && found.faults.len() == before {
        return Err(Error::at(path, 1, format!("no row with a label that is kept; {}", rule())));
    }
    if !unlabelled.is_empty() {
        found.warnings.push(format!("{}: {}", path.display(), left_out(&unlabelled)));
    }
    Ok(Records { path: path.to_path_buf(), rows, persons: naming.persons() })
}

/// Combinations of flags that a warning names.
const NAMED: usize = 3;

/// Warning of the rows with these combinations of flags, which have no label: the most frequent by name.
fn left_out(unlabelled: &BTreeMap<String, usize>) -> String {
    let mut most: Vec<(&String, &usize)> = unlabelled.iter().collect();
    most.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let named: Vec<String> = most.iter().take(NAMED).map(|(flags, count)| format!("{count} {flags}")).collect();
    let others = if most.len() > NAMED { ", and others" } else { "" };
    let rows = counted(unlabelled.values().sum(), "row");
    format!("{rows} without a label left out ({}{others}); {}", named.join(", "), rule())
}

/// The rule in words.
fn rule() -> String {
    let single: Vec<&str> = FLAGS.into_iter().filter(|flag| !DROPPED.contains(flag)).collect();
    let (single, pair) = (single.join(", "), KEPT_PAIR.join(" and "));
    format!("the tutorial keeps rows with one disease of {single}, with {pair} together, and with none ({HEALTHY})")
}

fn is_set(row: &Row, column: usize) -> std::result::Result<bool, String> {
    match row.field(column).trim() {
        "" | "0" => Ok(false),
        text => text.parse::<f64>().map(|value| value == 1.0).map_err(|_| format!("{text:?} is not a number")),
    }
}

/// The label of a row with these flags, `None` if the tutorial drops such rows.
pub(super) fn label(set: &[&str]) -> Option<String> {
    match set {
        [] => Some(HEALTHY.to_string()),
        [one] => (!DROPPED.contains(one)).then(|| one.to_string()),
        several => (several == KEPT_PAIR).then(|| several.join("_")),
    }
}
