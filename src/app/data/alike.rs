//! Texts that look alike to a reader and differ to a program: "AMD" and "amd", "1" and "1.0", "é"
//! in its two Unicode forms.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The composed Unicode form (NFC).
pub(super) fn composed(text: &str) -> Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        _ => Cow::Owned(text.nfc().collect()),
    }
}

/// A text that is equal for texts that look alike.
pub(super) fn key(text: &str) -> String {
    let visible = text.nfkc().filter(|&c| !is_invisible(c) && !c.is_whitespace());
    let text = visible.flat_map(char::to_lowercase).nfkc().collect::<String>();
    number(&text).unwrap_or(text)
}

/// Zero-width characters, marks of direction and of byte order, soft hyphens, control characters.
fn is_invisible(c: char) -> bool {
    match c {
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{feff}' => true,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' => true,
        _ => c.is_control() && !c.is_whitespace(),
    }
}

/// The shortest form of a number, with a point or a comma.
fn number(text: &str) -> Option<String> {
    let digits = text.contains(|c: char| c.is_ascii_digit());
    let plain = text.chars().all(|c| c.is_ascii_digit() || "+-.,".contains(c));
    let value: f64 = (digits && plain).then(|| text.replace(',', ".").parse().ok())??;
    // Longer ones are codes, and are rounded.
    (value.abs() < 1e15).then(|| value.to_string())
}

/// How two texts of one key differ.
pub(super) fn difference(a: &str, b: &str) -> &'static str {
    let same = |form: fn(&str) -> String| form(a) == form(b);
    let seen: fn(&str) -> String = |text| text.chars().filter(|&c| !is_invisible(c)).collect();
    let unspaced: fn(&str) -> String = |text| text.split_whitespace().collect();
    if same(|text| text.nfc().collect()) {
        "by their Unicode form (é as one character or as two)"
    } else if same(seen) {
        "by invisible characters"
    } else if same(unspaced) {
        "by spaces"
    } else if same(str::to_lowercase) {
        "by case"
    } else if same(|text| text.nfkc().collect()) {
        "by the width or the form of their characters"
    } else if number(a).is_some() && number(b).is_some() {
        "by how a number is written"
    } else {
        "by case, spaces or forms of characters"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_look_alike_have_one_key() {
        for (a, b, how) in [
            ("AMD", "amd", "by case"),
            ("DR DM", "DR  DM", "by spaces"),
            ("DR DM", "DR\u{a0}DM", "by spaces"),
            ("DR", "D\u{200b}R", "by invisible"),
            ("DR", "\u{feff}DR", "by invisible"),
            ("rétine", "re\u{301}tine", "by their Unicode form"),
            ("1", "1.0", "by how a number"),
            ("01", "1", "by how a number"),
            ("0,5", "0.50", "by how a number"),
            ("ＡＭＤ", "AMD", "by the width"),
            ("ｶﾞﾝ", "ガン", "by the width"),
            ("a MD", "AMD", "by case, spaces"),
        ] {
            assert_eq!(key(a), key(b), "{a:?} {b:?}");
            assert!(difference(a, b).starts_with(how), "{a:?} {b:?}: {}", difference(a, b));
        }
        for (a, b) in [("1", "10"), ("-1", "1"), ("DR", "DR2"), ("e", "é"), ("1.0.0", "1.0"), ("inf", "infinity")] {
            assert_ne!(key(a), key(b));
        }
    }
}
