//! Whether bytes, read in some encoding, make a word that somebody would write into a table. Most
//! bytes mean something in most encodings: `L\xe4sion` is "Läsion" in cp1252 and "L舖ion" in cp932.

use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GBK, SHIFT_JIS, WINDOWS_1251, WINDOWS_1253};

/// A character of an East Asian encoding, by how it is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Ascii(u8),
    /// A kana, a syllable, or a character of the standard's first level.
    Common,
    /// A character of the second level, or of an extension.
    Rare,
    /// A katakana of half width, by its byte.
    Half(u8),
    /// A letter of full width, Greek or Cyrillic.
    Wide,
    /// Punctuation.
    Mark,
    /// Not in use.
    Unknown,
}

/// Whether each byte is a character. Otherwise the encoding is an East Asian one.
pub(super) fn is_single_byte(encoding: &'static Encoding) -> bool {
    ![SHIFT_JIS, BIG5, GBK, EUC_KR, EUC_JP].contains(&encoding)
}

/// Whether a cell that is not all ASCII reads as words of the languages that are written in
/// `encoding`.
pub(super) fn is_word(encoding: &'static Encoding, cell: &[u8]) -> bool {
    if !is_single_byte(encoding) {
        return are_east_asian(&units(encoding, cell));
    }
    let (text, _) = encoding.decode_without_bom_handling(cell);
    let text: Vec<char> = text.chars().collect();
    if [WINDOWS_1251, WINDOWS_1253].contains(&encoding) { is_other_alphabet(&text) } else { is_latin(&text) }
}

/// The characters of a cell. The first bytes of each tell its kind; the standards are sorted by how
/// common they are.
fn units(encoding: &'static Encoding, cell: &[u8]) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut rest = cell;
    while let Some((&lead, after)) = rest.split_first() {
        let trail = after.first().copied().unwrap_or_default();
        let (unit, length) = match lead {
            0..0x80 => (Unit::Ascii(lead), 1),
            0xa1..=0xdf if encoding == SHIFT_JIS => (Unit::Half(lead), 1),
            0x8e if encoding == EUC_JP => (Unit::Half(trail), 2),
            0x8f if encoding == EUC_JP => (Unit::Rare, 3),
            _ => (two_bytes(encoding, lead, trail), 2),
        };
        units.push(unit);
        rest = rest.get(length..).unwrap_or_default();
    }
    units
}

fn two_bytes(encoding: &'static Encoding, lead: u8, trail: u8) -> Unit {
    use Unit::{Common, Mark, Rare, Unknown, Wide};
    if encoding == SHIFT_JIS {
        return match (lead, trail) {
            (0x81 | 0x87, _) => Mark,
            (0x82, 0x9f..) | (0x83, ..=0x96) => Common,
            (0x82..=0x84, _) => Wide,
            (0x88..=0x97, _) | (0x98, ..=0x72) => Common,
            (0xf0..=0xf9, _) => Unknown,
            _ => Rare,
        };
    }
    if encoding == BIG5 {
        return match (lead, trail) {
            (0xa1..=0xa3, _) => Mark,
            (0xa4..=0xc5, _) | (0xc6, ..=0x7e) => Common,
            _ => Rare,
        };
    }
    // The rest have rows of 94 characters: both bytes from A1 on.
    match (lead, trail) {
        (_, ..0xa1) => Rare,
        (0xa3, _) => Wide,
        (0xa1..=0xa2, _) => Mark,
        (0xa4..=0xa5, _) | (0xb0..=0xcf, _) if encoding == EUC_JP => Common,
        (0xb0..=0xd7, _) if encoding == GBK => Common,
        (0xb0..=0xc8, _) if encoding == EUC_KR => Common,
        _ => Rare,
    }
}

fn are_east_asian(units: &[Unit]) -> bool {
    let is_script = |unit: &Unit| matches!(unit, Unit::Common | Unit::Rare);
    let is_half = |unit: &Unit| matches!(unit, Unit::Half(_));
    let is_letter = |unit: Option<&Unit>| matches!(unit, Some(Unit::Ascii(byte)) if byte.is_ascii_alphabetic());
    let is_small = |unit: Option<&Unit>| matches!(unit, Some(Unit::Ascii(byte)) if byte.is_ascii_lowercase());
    let next_to = |from: usize, to: usize, test: &dyn Fn(Option<&Unit>) -> bool| {
        (from.checked_sub(1).is_some_and(|before| test(units.get(before))), test(units.get(to)))
    };
    let either = |(before, after): (bool, bool)| before || after;
    let (rare, common) = (
        units.iter().filter(|&unit| *unit == Unit::Rare).count(),
        units.iter().filter(|&unit| *unit == Unit::Common).count(),
    );
    if rare > common {
        return false;
    }
    let mut from = 0;
    while from < units.len() {
        let run = |test: &dyn Fn(&Unit) -> bool| from + units[from..].iter().take_while(|unit| test(unit)).count();
        let (to, fits) = match units[from] {
            Unit::Ascii(byte) => (from + 1, byte != 0),
            Unit::Unknown => (from + 1, false),
            Unit::Wide => (from + 1, !either(next_to(from, from + 1, &is_letter))),
            Unit::Mark => (from + 1, next_to(from, from + 1, &is_small) != (true, true)),
            Unit::Half(first) => {
                let to = run(&is_half);
                // Middle dot, small kana, long vowel and voicing marks stand behind others.
                let begins = !matches!(first, 0..=0xa5 | 0xa7..=0xb0 | 0xde..);
                (to, begins && to - from > 1 && !either(next_to(from, to, &is_small)))
            }
            Unit::Common | Unit::Rare => {
                let to = run(&is_script);
                let small = next_to(from, to, &is_small);
                let letters = (
                    units[..from].iter().rev().take_while(|unit| is_letter(Some(unit))).count(),
                    units[to..].iter().take_while(|unit| is_letter(Some(unit))).count(),
                );
                // Few characters do not stand at or within a word of small letters.
                let attached = match to - from {
                    1 => either(small) || (letters.0 > 0 && letters.1 > 0),
                    2 => (small.0 && letters.0 < 3) || (small.1 && letters.1 < 3) || (rare > 0 && either(small)),
                    _ => small == (true, true),
                };
                let at_letter = |at: usize| units[at] == Unit::Rare && either(next_to(at, at + 1, &is_letter));
                (to, !attached && !(from..to).any(at_letter))
            }
        };
        if !fits {
            return false;
        }
        from = to;
    }
    true
}

/// Greek or Cyrillic, not mixed with ASCII letters within a word.
fn is_other_alphabet(text: &[char]) -> bool {
    (0..text.len()).filter(|&at| !text[at].is_ascii()).all(|at| {
        let around = [at.checked_sub(1).map(|before| text[before]), text.get(at + 1).copied()];
        let is_other = |c: &char| c.is_alphabetic() && !c.is_ascii();
        let after_small = around[0].is_some_and(char::is_lowercase) && text[at].is_uppercase();
        let mut around = around.into_iter().flatten();
        if !text[at].is_alphabetic() {
            return matches!(text[at], '«' | '»' | '–' | '—' | '№' | '\u{a0}');
        }
        !after_small && around.clone().any(|c| is_other(&c)) && !around.any(|c| c.is_ascii_alphabetic())
    })
}

/// Words of ASCII letters with some others among them, and the signs of Western typography where
/// they belong.
fn is_latin(text: &[char]) -> bool {
    (0..text.len()).filter(|&at| !text[at].is_ascii()).all(|at| {
        let (before, after) = (at.checked_sub(1).map(|before| text[before]), text.get(at + 1).copied());
        let is = |neighbour: Option<char>, test: fn(char) -> bool| neighbour.is_some_and(test);
        let letters = (is(before, char::is_alphabetic), is(after, char::is_alphabetic));
        match text[at] {
            'œ' | 'Œ' => {
                let goes_on = |c: char| "uidstnmlrUIDSTNMLR".contains(c);
                is_latin_letter(text, at) && is(after, goes_on) && !is(before, |c| "aeiouAEIOU".contains(c))
            }
            // In Polish, where these are, a vowel turns them into "si".
            'ś' | 'Ś' => is_latin_letter(text, at) && !is(after, |c| "aeiouAEIOU".contains(c)),
            c if c.is_alphabetic() && !matches!(c, 'ª' | 'º' | 'µ') => {
                (c as u32) < 0x250 && is_latin_letter(text, at)
            }
            '‘' | '’' => letters.0 || letters.1,
            '–' | '—' | '…' | '®' | '™' | '\u{a0}' => {
                !is(before, char::is_lowercase) || !is(after, char::is_lowercase)
            }
            '«' | '»' | '“' | '”' | '„' => letters != (true, true),
            '¿' | '¡' => letters.1 && !letters.0,
            'º' | 'ª' | '²' | '³' => is(before, |c| c.is_ascii_alphanumeric()) && !letters.1,
            '°' => is(before, |c| c.is_ascii_digit() || c == ' '),
            '±' | '×' | '½' | '¼' | '¾' | '·' | '€' | '§' => !letters.0 && !letters.1,
            'µ' => !letters.0 && is(after, |c| "mglLsM".contains(c)),
            _ => false,
        }
    })
}

/// Whether the letter at `at` is part of a word with ASCII letters, where a capital may stand.
fn is_latin_letter(text: &[char], at: usize) -> bool {
    let letters = |part: &mut dyn Iterator<Item = &char>| part.take_while(|c| c.is_alphabetic()).count();
    let from = at - letters(&mut text[..at].iter().rev());
    let to = at + letters(&mut text[at..].iter());
    let word = &text[from..to];
    let others = word.iter().filter(|c| !c.is_ascii()).count();
    let longest = word.split(char::is_ascii).map(<[char]>::len).max().unwrap_or_default();
    // A word has a capital in front, or is all capitals.
    let is = |at: usize, test: fn(char) -> bool| text.get(at).is_some_and(|&c| test(c));
    let (is_small, is_capital) = (char::is_lowercase as fn(char) -> bool, char::is_uppercase as fn(char) -> bool);
    let misplaced = at > from
        && match text[at].is_uppercase() {
            true => is(at - 1, is_small) || is(at + 1, is_small),
            false => is(at - 1, is_capital) && is(at + 1, is_capital),
        };
    // A word of one letter, as the French "à", stands among others.
    let among_others = word.len() == 1 && text.iter().any(char::is_ascii_alphabetic);
    !misplaced && longest <= 3 && (others < word.len() || among_others)
}
