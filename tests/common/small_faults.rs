//! Kernels that are wrong by 2e-4: every coefficient, constant and factor of every shader, one at a time, found in its text.

use super::mutants::{Mutant, shader_paths};

/// By how much a factor is off.
const OFF: &str = "1.0002";
/// Where a larger number changes nothing, since it is the end of a range that holds the last number twice.
const ENDS_OF_RANGES: [&str; 2] = ["f32(WIDTH - 1u)", "f32(HEIGHT - 1u)"];
const OFF_AT_AN_END: &str = "0.9998";

/// Types of arrays of vec4s, as `lib/winograd*.wgsl` names them too.
const ARRAYS: [&str; 5] = ["array<vec4<f32>", "array<f32>", "Points", "Outputs", "Taps"];
/// What is rounded to half precision in the shaders below these folders, which are products of two factors.
const PRODUCTS: [&str; 3] = ["conv2d/", "dense/", "winograd/"];
const ROUNDED: &str = "
fn rounded_to_half(x: vec4<f32>) -> vec4<f32> {
    return vec4(unpack2x16float(pack2x16float(x.xy)), unpack2x16float(pack2x16float(x.zw)));
}
";

/// Where a number stands in a shader: the bytes of an expression.
type Span = std::ops::Range<usize>;

/// Each small fault with its shader's path.
pub fn list() -> Vec<(String, Mutant)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let of_file = |path: String| {
        let source = std::fs::read_to_string(root.join(&path).with_extension("wgsl")).unwrap();
        of(&path, &source).into_iter().map(move |mutant| (path.clone(), mutant)).collect::<Vec<_>>()
    };
    let mut paths = shader_paths();
    paths.sort();
    paths.into_iter().flat_map(of_file).collect()
}

/// The faults of one shader.
pub fn of(path: &str, source: &str) -> Vec<Mutant> {
    let text = without_comments(source);
    let mut spans = [literals(&text), constants(&text), conversions(&text), fields(&text), writes(&text)].concat();
    let mut reads = reads(&text);
    reads.retain(|span| !is_compared(&text, span));
    spans.extend(reads.clone());
    spans.retain(|span| !is_compared(&text, span));
    spans.sort_by_key(|span| (span.start, span.end));
    spans.dedup();
    let changed = |span: &Span, to: String, end: &str| {
        let line = source[..span.start].lines().count().max(1);
        let whole = format!("{}{to}{}{end}", &source[..span.start], &source[span.end..]);
        Mutant::new(source, &whole).called(format!("line {line}: {to}"))
    };
    let off = |span: &Span| {
        let expression = &source[span.clone()];
        let factor = if ENDS_OF_RANGES.contains(&expression) { OFF_AT_AN_END } else { OFF };
        let expression = if expression.contains(' ') { format!("({expression})") } else { expression.into() };
        changed(span, format!("({expression} * {factor})"), "")
    };
    let mut faults: Vec<Mutant> = spans.iter().map(off).collect();
    if PRODUCTS.iter().any(|folder| path.starts_with(folder)) {
        let half = |span: &Span| changed(span, format!("rounded_to_half({})", &source[span.clone()]), ROUNDED);
        faults.extend(reads.iter().map(half));
    }
    faults
}

/// The text with blanks for comments, each character where it was.
fn without_comments(source: &str) -> String {
    let blank = |line: &str| match line.find("//") {
        Some(at) => format!("{}{}", &line[..at], " ".repeat(line.len() - at)),
        None => line.to_string(),
    };
    source.split('\n').map(blank).collect::<Vec<_>>().join("\n")
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Every place where a word stands by itself, and not as a member of something.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let (before, after) = (text[..at].chars().next_back(), text[at + word.len()..].chars().next());
        !before.is_some_and(|c| in_word(c) || c == '.' || c == '<') && !after.is_some_and(in_word)
    })
}

/// Where the bracket that opens at a place has closed.
fn closed(text: &str, open: usize) -> usize {
    let mut depth = 0;
    let end = text[open..].find(|c| {
        depth += i32::from("([".contains(c)) - i32::from(")]".contains(c));
        depth == 0
    });
    open + end.expect("brackets close") + 1
}

/// Whether a place is in the line of a declaration of the module.
fn is_declaration(text: &str, at: usize) -> bool {
    let line = &text[text[..at].rfind('\n').map_or(0, |end| end + 1)..];
    ["const ", "@group", "alias ", "var<", "struct "].iter().any(|start| line.starts_with(start))
}

/// Numbers with a point or an exponent, but for zeros and the initial values of constants, which the host sets.
fn literals(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find(|c: char| c.is_ascii_digit()).map(|digit| at + digit) {
        let rest = &text[start..];
        let mut end = rest.find(|c: char| !in_word(c) && c != '.').unwrap_or(rest.len());
        if rest[..end].ends_with('e') && rest[end..].starts_with('-') {
            end += 1 + rest[end + 1..].find(|c: char| !in_word(c)).unwrap_or(0);
        }
        at = start + end;
        let alone = !text[..start].ends_with(|c: char| in_word(c) || c == '.');
        let number = rest[..end].trim_end_matches('f').parse::<f64>();
        let float = rest[..end].contains('.') || rest[..end].contains("e-");
        if alone && float && number.is_ok_and(|number| number != 0.0) && !is_declaration(text, start) {
            spans.push(start..at);
        }
    }
    spans
}

/// Uses of the module's floating-point constants.
fn constants(text: &str) -> Vec<Span> {
    let declared = text.lines().filter_map(|line| line.strip_prefix("const ")?.split_once(": f32"));
    let uses = |(name, _): (&str, &str)| {
        words(text, name).filter(|&at| !is_declaration(text, at)).map(|at| at..at + name.len()).collect::<Vec<_>>()
    };
    declared.flat_map(uses).collect()
}

/// Whole numbers made floating-point.
fn conversions(text: &str) -> Vec<Span> {
    let calls = words(text, "f32").filter(|at| text[at + 3..].starts_with('('));
    calls.map(|at| at..closed(text, at + 3)).collect()
}

/// What is read from a member of a struct that is a number.
fn fields(text: &str) -> Vec<Span> {
    let declared = text.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": "));
    let floats = declared.filter(|(_, kind)| kind.starts_with("f32,") || kind.starts_with("vec4<f32>,"));
    let uses = |(name, _): (&str, &str)| {
        let member = format!(".{name}");
        let reads = text.match_indices(&member).filter(|(at, _)| !text[at + member.len()..].starts_with(in_word));
        let whole = |(at, _): (usize, &str)| {
            let start = text[..at].rfind(|c: char| !in_word(c)).map_or(0, |before| before + 1);
            start..at + member.len()
        };
        reads.map(whole).filter(|span| span.start + member.len() < span.end).collect::<Vec<_>>()
    };
    floats.flat_map(uses).collect()
}

/// Names of the arrays of numbers that are bound, shared or given to a function.
fn arrays(text: &str) -> Vec<&str> {
    let is_array = |kind: &str| {
        let kind = kind.trim_start();
        ARRAYS.iter().any(|array| kind.strip_prefix(array).is_some_and(|rest| !rest.starts_with(in_word)))
    };
    let mut names = Vec::new();
    for line in
        text.lines().filter(|line| line.starts_with("fn ") || line.contains("var<storage") || line.starts_with("var<"))
    {
        for (at, _) in line.match_indices(": ").filter(|(at, _)| is_array(&line[at + 2..])) {
            let start = line[..at].rfind(|c: char| !in_word(c)).map_or(0, |before| before + 1);
            if !names.contains(&&line[start..at]) {
                names.push(&line[start..at]);
            }
        }
    }
    names
}

/// Elements of arrays, and whether each is written.
fn elements(text: &str) -> Vec<(Span, bool)> {
    let of = |name: &str| {
        let indexed = words(text, name).filter(|at| text[at + name.len()..].starts_with('[')).collect::<Vec<_>>();
        let element = |at: usize| {
            let end = closed(text, at + name.len());
            let written = text[end..].starts_with(" = ") || text[end..].starts_with(" += ");
            (at..end, written)
        };
        indexed.into_iter().map(element).collect::<Vec<_>>()
    };
    arrays(text).into_iter().flat_map(of).collect()
}

fn reads(text: &str) -> Vec<Span> {
    elements(text).into_iter().filter(|(_, written)| !written).map(|(span, _)| span).collect()
}

/// What is written to an array, or added to an element.
fn writes(text: &str) -> Vec<Span> {
    let value = |(span, _): (Span, bool)| {
        let start = span.end + text[span.end..].find("= ").unwrap() + 2;
        start..start + text[start..].find(';').unwrap()
    };
    elements(text).into_iter().filter(|(_, written)| *written).map(value).collect()
}

/// Whether only the sign, the bits or the order of a number count: an operand of a comparison.
fn is_compared(text: &str, span: &Span) -> bool {
    let member = |after: &'_ str| after.strip_prefix('.').map_or(0, |rest| 1 + rest.find(|c| !in_word(c)).unwrap_or(0));
    let (before, after) = (text[..span.start].trim_end(), &text[span.end..]);
    let after = after[member(after)..].trim_start();
    let signs = ["sign(", "bitcast<u32>(", "bitcast<vec4<u32>>(", " <", " >", "=="];
    ["> ", "< ", "== ", "!= "].iter().any(|sign| after.starts_with(sign))
        || signs.iter().any(|sign| before.ends_with(sign))
}
