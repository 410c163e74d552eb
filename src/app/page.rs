//! The report of a run as one HTML file: pictures are inside it, so it can be mailed, archived and printed.

use std::fmt::Write;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;

use crate::app::metrics::{Figure, Figures, OVERALL, PER_CLASS};
use crate::app::plot::can_draw;
use crate::app::report::{Report, Scores};
use crate::error::Result;
use crate::files::write_atomic;

/// A photograph that was taken for something else.
#[derive(Clone, Debug)]
pub struct Mistake {
    pub file: String,
    pub truth: String,
    pub predicted: String,
    /// Of the predicted class.
    pub probability: f32,
    pub photograph: RgbImage,
    /// The photograph under the map of what speaks for the predicted class; none when the map has a single position.
    pub map: Option<RgbImage>,
}

/// Contents of the page.
#[derive(Debug)]
pub struct Page<'a> {
    pub title: &'a str,
    pub report: &'a Report,
    pub figures: &'a Figures,
    /// Tables of the figures of groups, as text; empty without groups.
    pub groups: String,
    /// PNG files; the curves are those of training, if there were any.
    pub curves: Option<Vec<u8>>,
    pub confusion: Vec<u8>,
    /// More PNG files, each with what it shows.
    pub of_probabilities: Vec<(&'static str, Vec<u8>)>,
    /// Most confident first.
    pub mistakes: &'a [Mistake],
    /// The run's config file, if there is one.
    pub settings: Option<String>,
}

/// Classes up to which the confusion matrix is a table, too: the square of them is its cells.
const LARGEST_MATRIX: usize = 60;

const STYLE: &str = "
body { font: 16px/1.5 system-ui, sans-serif; color: #202020; background: #fff; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; overflow-wrap: anywhere } h2 { font-size: 1.2rem; margin-top: 2.5rem }
img { max-width: 100%; height: auto }
table { border-collapse: collapse } th, td { padding: .2rem 1rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left } tbody + tbody { border-top: 2px solid #888 }
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 1.5rem }
.classes :is(th, td):nth-child(2) { text-align: left } .wide { overflow-x: auto }
figure { margin: 0; break-inside: avoid } figure img { width: 49% } figcaption { overflow-wrap: anywhere }
pre { background: #f6f6f6; padding: 1rem; white-space: pre-wrap }
td span { white-space: nowrap }
pre.table { white-space: pre; width: max-content; font-size: .8rem }
@media (max-width: 40rem) { table { font-size: .85rem } th, td { padding: .2rem .25rem } }
";

/// Writes the page atomically.
pub fn write(path: &Path, page: &Page) -> Result<()> {
    let html = page.html();
    write_atomic(path, |file| file.write_all(html.as_bytes()))
}

impl Page<'_> {
    pub fn html(&self) -> String {
        let title = escaped(self.title);
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <h1>{title}</h1>\n"
        );
        // Writing to a string cannot fail.
        let _ = self.write_body(&mut html);
        html + "</body>\n</html>\n"
    }

    fn write_body(&self, html: &mut String) -> std::fmt::Result {
        let Report { accuracy, macro_average, weighted_average, .. } = self.report;
        writeln!(
            html,
            "<p>{} photographs: accuracy {accuracy:.3}, macro F1 {:.3}, weighted F1 {:.3}.</p>",
            macro_average.support, macro_average.f1, weighted_average.f1
        )?;
        if let Some(curves) = &self.curves {
            writeln!(html, "<h2>Training</h2>\n{}", picture("image/png", curves, "Accuracy and loss by epoch"))?;
        }
        writeln!(html, "<h2>Classes</h2>")?;
        self.write_table(html)?;
        self.write_figures(html)?;
        if !self.groups.is_empty() {
            html.push_str("<h2>Groups</h2>\n<div class=\"wide\" role=\"region\" aria-label=\"Figures of groups\" tabindex=\"0\">\n");
            writeln!(html, "<pre class=\"table\">{}</pre>\n</div>", escaped(self.groups.trim()))?;
        }
        let alt = "Confusion matrix: rows are the truth, columns the prediction";
        writeln!(html, "<h2>Confusion matrix</h2>\n{}", picture("image/png", &self.confusion, alt))?;
        self.write_confusion(html)?;
        self.write_mistakes(html)?;
        if let Some(settings) = &self.settings {
            writeln!(html, "<h2>Settings</h2>\n<pre>{}</pre>", escaped(settings))?;
        }
        Ok(())
    }

    fn write_table(&self, html: &mut String) -> std::fmt::Result {
        let Report { names, per_class, macro_average, weighted_average, .. } = self.report;
        let row = |html: &mut String, number: &str, name: &str, scores: &Scores| {
            let Scores { precision, recall, f1, support } = scores;
            let name = escaped(name);
            write!(html, "<tr><td>{number}</td><td>{name}</td><td>{precision:.2}</td><td>{recall:.2}</td>")?;
            writeln!(html, "<td>{f1:.2}</td><td>{support}</td></tr>")
        };
        html.push_str(
            "<div class=\"wide\" role=\"region\" aria-label=\"Scores of each class\" tabindex=\"0\">\n<table class=\"classes\">\n<thead><tr><th>row</th><th>class</th><th>precision</th><th>recall</th>",
        );
        html.push_str("<th>F1</th><th>support</th></tr></thead>\n<tbody>\n");
        for (index, (name, scores)) in names.iter().zip(per_class).enumerate() {
            row(html, &(index + 1).to_string(), name, scores)?;
        }
        html.push_str("</tbody>\n<tbody>\n");
        row(html, "", "macro average", macro_average)?;
        row(html, "", "weighted average", weighted_average)?;
        writeln!(html, "</tbody>\n</table>\n</div>")
    }

    /// Figures with their intervals, of each class and of all, and the curves behind them.
    fn write_figures(&self, html: &mut String) -> std::fmt::Result {
        let figures = self.figures;
        writeln!(html, "<h2>One class against the rest</h2>\n<p>{}</p>", escaped(&figures.about()))?;
        html.push_str("<div class=\"wide\" role=\"region\" aria-label=\"Figures of each class\" tabindex=\"0\">\n");
        html.push_str("<table>\n<thead><tr><th>class</th>");
        PER_CLASS.iter().try_for_each(|(_, title)| write!(html, "<th scope=\"col\">{title}</th>"))?;
        html.push_str("</tr></thead>\n<tbody>\n");
        // A line breaks before an interval, never within.
        let cell = |html: &mut String, figure: &Figure| match figure.shown().split_once(' ') {
            Some((value, interval)) => write!(html, "<td>{value} <span>{interval}</span></td>"),
            None => write!(html, "<td>{}</td>", figure.shown()),
        };
        for (class, figures) in figures.classes.iter().zip(&figures.per_class) {
            write!(html, "<tr><th scope=\"row\">{}</th>", escaped(class))?;
            figures.iter().try_for_each(|figure| cell(html, figure))?;
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody>\n</table>\n</div>\n<h2>All classes</h2>\n<table>\n<tbody>\n");
        for ((_, title), figure) in OVERALL.iter().zip(&figures.overall) {
            write!(html, "<tr><th scope=\"row\">{title}</th>")?;
            cell(html, figure)?;
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody>\n</table>\n");
        self.of_probabilities.iter().try_for_each(|(alt, bytes)| writeln!(html, "{}", picture("image/png", bytes, alt)))
    }

    /// The confusion matrix as text, which can be searched and read aloud, and what its picture calls classes.
    fn write_confusion(&self, html: &mut String) -> std::fmt::Result {
        let Report { names, confusion, .. } = self.report;
        if names.iter().any(|name| !can_draw(name)) {
            writeln!(html, "<p>A class whose name the picture cannot show goes by the number of its row there.</p>")?;
        }
        if names.len() > LARGEST_MATRIX {
            return Ok(());
        }
        html.push_str("<div class=\"wide\" role=\"region\" aria-label=\"Confusion matrix\" tabindex=\"0\">\n");
        html.push_str("<table>\n<thead><tr><th>truth, by prediction</th>");
        names.iter().try_for_each(|name| write!(html, "<th scope=\"col\">{}</th>", escaped(name)))?;
        html.push_str("</tr></thead>\n<tbody>\n");
        for (name, counts) in names.iter().zip(confusion) {
            write!(html, "<tr><th scope=\"row\">{}</th>", escaped(name))?;
            counts.iter().try_for_each(|count| write!(html, "<td>{count}</td>"))?;
            html.push_str("</tr>\n");
        }
        writeln!(html, "</tbody>\n</table>\n</div>")
    }

    fn write_mistakes(&self, html: &mut String) -> std::fmt::Result {
        if self.mistakes.is_empty() {
            return writeln!(html, "<h2>Mistakes</h2>\n<p>None.</p>");
        }
        let maps = match self.mistakes[0].map {
            Some(_) => {
                "Beside each photograph, what speaks for the class that was predicted: the more yellow, the more."
            }
            None => {
                "Without maps: to this network a photograph is a single position (with 64 pixels or more it sees several), or not \
                 only dense layers follow its global average pool."
            }
        };
        writeln!(html, "<h2>Most confident mistakes</h2>\n<p>{maps}</p>\n<div class=\"mistakes\">")?;
        for Mistake { file, truth, predicted, probability, photograph, map } in self.mistakes {
            let [truth, predicted, file] = [truth, predicted, file].map(|text| escaped(text));
            let beside = format!("What speaks for {predicted}");
            let map = map.as_ref().map(|map| picture("image/jpeg", &jpeg(map), &beside)).unwrap_or_default();
            writeln!(
                html,
                "<figure>{} {map}<figcaption>{truth}, taken for <b>{predicted}</b> ({probability:.3})<br>\
                 <small>{file}</small></figcaption></figure>",
                picture("image/jpeg", &jpeg(photograph), &format!("Photograph {}", file)),
            )?;
        }
        writeln!(html, "</div>")
    }
}

fn picture(kind: &str, bytes: &[u8], alt: &str) -> String {
    format!("<img alt=\"{alt}\" src=\"data:{kind};base64,{}\">", BASE64_STANDARD.encode(bytes))
}

/// Photographs as PNGs would make the page ten times larger.
fn jpeg(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture
        .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 90))
        .expect("a picture in memory can be encoded");
    bytes
}

/// Names of classes and files may hold anything.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::metrics::Predictions;

    fn page(report: &Report, mistakes: &[Mistake]) -> String {
        let (curves, settings) = (Some(b"curves".to_vec()), Some("epochs = 3".to_string()));
        let predictions = Predictions {
            classes: report.names.clone(),
            labels: vec![0, report.names.len() - 1],
            persons: vec![0, 1],
            probabilities: vec![1.0 / report.names.len() as f32; 2 * report.names.len()],
        };
        let (figures, of_probabilities) = (&predictions.figures(1, 10), vec![("curves", b"roc".to_vec())]);
        let confusion = b"matrix".to_vec();
        let groups = "By sex\n <F>".to_string();
        Page { title: "a run", report, figures, groups, curves, confusion, of_probabilities, mistakes, settings }.html()
    }

    #[test]
    fn names_cannot_break_the_page() {
        let classes = ["<script>".to_string(), "\"a\" & b".to_string()];
        let report = Report::over_all_classes(&classes, &[0, 0, 1], &[0, 1, 1]);
        let mistake = Mistake {
            file: "<b>.jpg".into(),
            truth: classes[0].clone(),
            predicted: classes[1].clone(),
            probability: 0.75,
            photograph: RgbImage::new(4, 4),
            map: Some(RgbImage::new(4, 4)),
        };
        let alone = page(&report, &[Mistake { map: None, ..mistake.clone() }]);
        assert!(alone.contains("a single position") && alone.matches("image/jpeg").count() == 1, "{alone}");
        let html = page(&report, &[mistake]);
        assert!(html.contains("the more yellow") && html.matches("image/jpeg").count() == 2, "{html}");
        assert!(!html.contains("<script>") && !html.contains("<b>.jpg") && !html.contains("\"a\""));
        assert!(html.contains("&lt;script&gt;, taken for <b>&quot;a&quot; &amp; b</b> (0.750)"), "{html}");
        let row = "<tr><td>1</td><td>&lt;script&gt;</td><td>1.00</td><td>0.50</td><td>0.67</td><td>2</td></tr>";
        assert!(html.contains(row), "{html}");
    }

    #[test]
    fn the_confusion_matrix_is_a_table_too() {
        let of = |classes: &[String]| page(&Report::over_all_classes(classes, &[0, 0, 1], &[0, 1, 1]), &[]);
        let html = of(&["<b>".to_string(), "正常".to_string()]);
        assert!(html.contains("<th scope=\"col\">&lt;b&gt;</th><th scope=\"col\">正常</th></tr>"), "{html}");
        assert!(html.contains("<tr><th scope=\"row\">&lt;b&gt;</th><td>1</td><td>1</td></tr>"), "{html}");
        assert!(html.contains("<tr><th scope=\"row\">正常</th><td>0</td><td>1</td></tr>"), "{html}");
        assert!(html.contains("goes by the number of its row") && html.contains("<td>2</td><td>正常</td>"), "{html}");
        let many = of(&(0..LARGEST_MATRIX + 1).map(|class| class.to_string()).collect::<Vec<_>>());
        assert!(!many.contains("truth, by prediction") && !many.contains("the number of its row"), "{many}");
        assert!(many.contains("<td>61</td><td>60</td>"), "{many}");
    }

    #[test]
    fn everything_is_inside() {
        let report = Report::over_all_classes(&["a".to_string()], &[0], &[0]);
        let html = page(&report, &[]);
        assert!(html.contains("1 photographs: accuracy 1.000"), "{html}");
        assert!(html.contains("<h2>Groups</h2>") && html.contains("By sex\n &lt;F&gt;</pre>"), "{html}");
        assert_eq!(html.matches("src=").count(), html.matches("src=\"data:image/").count());
        assert!(!html.contains("http"), "nothing is loaded from elsewhere");
        assert!(html.contains(&BASE64_STANDARD.encode("curves")) && html.contains(&BASE64_STANDARD.encode("matrix")));
    }
}
