//! Output of `ocellus doctor`.

use serde_json::{Value, json};

use crate::proof::doctor::Row;

/// Findings on one device.
pub struct Report {
    pub subject: String,
    pub rows: Vec<Row>,
    pub notes: Vec<String>,
    pub seconds: f64,
    /// Only the first fault counts.
    pub bisect: bool,
}

impl Report {
    pub fn passed(&self) -> bool {
        self.rows.iter().all(|row| row.findings.passed())
    }

    /// Every fault with the name of its row.
    fn faults(&self) -> impl Iterator<Item = String> {
        let of_row = |row: &Row| row.findings.faults.iter().map(|fault| format!("{}: {fault}", row.kernel)).collect();
        self.rows.iter().flat_map(move |row| -> Vec<String> { of_row(row) })
    }

    pub fn to_text(&self) -> String {
        let mut lines = vec![self.subject.clone()];
        lines.extend(self.notes.iter().map(|note| format!("  {note}")));
        lines.push(format!(
            "{:30} {:24} {:>5} {:>12} {:>9}  verdict",
            "what", "variant", "cases", "worst error", "worst rms"
        ));
        for Row { kernel, variant, cases, findings } in &self.rows {
            let verdict = if findings.passed() { "ok" } else { "WRONG" };
            let (worst, rms) = (findings.worst.0, findings.worst_rms.0);
            lines.push(format!("{kernel:30} {variant:24} {cases:5} {worst:12.3} {rms:9.3}  {verdict}"));
        }
        lines.push(
            "(the largest error, and the largest root mean square of a tensor's, as shares of their bounds)".into(),
        );
        match (self.bisect, self.faults().next()) {
            (true, Some(fault)) => lines.push(format!("First difference: {fault}")),
            (true, None) => lines.push("No kernel differs from its twin on the device's own inputs.".into()),
            (false, _) => lines.extend(self.faults()),
        }
        let verdict = if self.passed() { "Everything passed" } else { "FAILED" };
        lines.push(format!("{verdict} in {:.1} s", self.seconds));
        lines.join("\n")
    }

    pub fn to_json(&self) -> Value {
        let row = |Row { kernel, variant, cases, findings }: &Row| {
            json!({
                "what": kernel,
                "variant": variant,
                "cases": cases,
                "comparisons": findings.compared,
                "worst": findings.worst.0,
                "worst_in": findings.worst.1,
                "worst_rms": findings.worst_rms.0,
                "worst_rms_in": findings.worst_rms.1,
                "passed": findings.passed(),
                "faults": findings.faults,
            })
        };
        json!({
            "device": self.subject,
            "notes": self.notes,
            "seconds": self.seconds,
            "passed": self.passed(),
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}
