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

    /// Every fault with the kernel and the variant of its row.
    fn faults(&self) -> impl Iterator<Item = String> {
        let of_row = |row: &Row| {
            let variant = if row.variant.is_empty() { String::new() } else { format!(" ({})", row.variant) };
            let named = |fault| format!("{}{variant}: {fault}", row.kernel);
            row.findings.faults.iter().map(named).collect()
        };
        self.rows.iter().flat_map(move |row| -> Vec<String> { of_row(row) })
    }

    pub fn to_text(&self) -> String {
        let mut lines = vec![self.subject.clone()];
        lines.extend(self.notes.iter().map(|note| format!("  {note}")));
        let width = |head: &str, of: fn(&Row) -> &String| {
            self.rows.iter().map(|row| of(row).len()).fold(head.len(), usize::max)
        };
        let (kernels, variants) = (width("what", |row| &row.kernel), width("variant", |row| &row.variant));
        lines.push(format!(
            "{:kernels$}  {:variants$}  {:>5} {:>12} {:>9}  verdict",
            "what", "variant", "cases", "worst error", "worst rms"
        ));
        for Row { kernel, variant, cases, findings } in &self.rows {
            let verdict = if findings.passed() { "ok" } else { "WRONG" };
            let (worst, rms) = (findings.worst.0, findings.worst_rms.0);
            lines.push(format!("{kernel:kernels$}  {variant:variants$}  {cases:5} {worst:12.3} {rms:9.3}  {verdict}"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::doctor::findings::Findings;

    fn row(kernel: &str, variant: &str, fault: Option<&str>) -> Row {
        let mut findings = Findings::default();
        findings.note("2 images", fault.map_or(Ok(0.5), |fault| Err(fault.into())));
        Row { kernel: kernel.into(), variant: variant.into(), cases: 1, findings }
    }

    fn report(rows: Vec<Row>, bisect: bool) -> Report {
        Report { subject: "a device".into(), rows, notes: Vec::new(), seconds: 1.0, bisect }
    }

    #[test]
    fn a_fault_names_its_variant_in_the_words_of_the_table() {
        let rows = || {
            vec![
                row("conv2d/forward", "tiles 64 x 64", None),
                row("conv2d/forward", "tiles 128 x 128, prefetched", Some("off by one")),
                row("relu/forward", "", Some("NaN")),
            ]
        };
        let text = report(rows(), false).to_text();
        let faults: Vec<&str> = text.lines().filter(|line| line.contains("2 images")).collect();
        let [of_tiles, of_all] =
            ["conv2d/forward (tiles 128 x 128, prefetched): 2 images: off by one", "relu/forward: 2 images: NaN"];
        assert_eq!(faults, [of_tiles, of_all]);
        let bisected = report(rows(), true).to_text();
        assert!(bisected.contains(&format!("\nFirst difference: {of_tiles}\n")), "{bisected}");
        assert!(!bisected.contains(of_all), "{bisected}");
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let long = "a kernel whose name is longer than any of those that there are";
        let text = report(vec![row(long, "tiles 128 x 128, prefetched", None), row("sum", "", None)], false).to_text();
        let ends = text.lines().filter_map(|line| line.rfind("  verdict").or(line.rfind("  ok"))).collect::<Vec<_>>();
        assert_eq!(ends.len(), 3, "{text}");
        assert!(ends.iter().all(|end| *end == ends[0]), "{text}");
        let short = report(vec![row("sum", "", None)], false).to_text();
        assert!(short.contains("\nwhat  variant  cases"), "{short}");
    }
}
