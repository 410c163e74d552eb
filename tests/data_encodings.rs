//! Tables that are not UTF-8: which text is read, and that the guess is said.

use std::fs;

use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GBK, MACINTOSH, SHIFT_JIS, WINDOWS_1250, WINDOWS_1251, WINDOWS_1252,
};
use encoding_rs::{WINDOWS_1253, WINDOWS_1254};
use ocellus::app::data::{Columns, Findings, records};

/// What a table is read as: the labels, and the warning of the encoding, if there is one.
type Read = Result<(Vec<String>, Option<String>), String>;

fn read(bytes: &[u8]) -> Read {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dataset.csv");
    fs::write(&path, bytes).unwrap();
    let mut found = Findings::default();
    let records = records::read(&path, &Columns::default(), &mut found).map_err(|error| error.to_string())?;
    assert!(found.faults.is_empty(), "{:?}", found.faults);
    assert!(found.warnings.len() < 2, "{:?}", found.warnings);
    Ok((records.rows.into_iter().map(|row| row.label).collect(), found.warnings.pop()))
}

fn table(labels: &[&str]) -> String {
    let rows: String = labels.iter().enumerate().map(|(row, label)| format!("{row}.jpg,{row},{label}\r\n")).collect();
    format!("filename,id,label\r\n{rows}")
}

fn encoded(encoding: &'static Encoding, text: &str) -> Vec<u8> {
    let (bytes, _, lossy) = encoding.encode(text);
    assert!(!lossy, "{text}");
    bytes.into_owned()
}

/// Labels as spreadsheets save them, in one that has them and in ASCII, short and long, and in a
/// table of which only one cell is not ASCII.
#[test]
fn the_text_is_read_and_the_guess_is_said() {
    for (encoding, name, labels) in [
        (SHIFT_JIS, "cp932", &["正常", "異常"][..]),
        (SHIFT_JIS, "cp932", &["なし", "あり"]),
        (SHIFT_JIS, "cp932", &["normal", "表"]),
        (SHIFT_JIS, "cp932", &["A群", "B群"]),
        (SHIFT_JIS, "cp932", &["normal眼底", "abnormal眼底"]),
        (SHIFT_JIS, "cp932", &["DR疑い", "AMD有り", "正常"]),
        (SHIFT_JIS, "cp932", &["ノーマル", "グラウコーマ"]),
        (SHIFT_JIS, "cp932", &["糖尿病網膜症", "normal", "normal", "DR", "AMD"]),
        (
            SHIFT_JIS,
            "cp932",
            &["網膜静脈分枝閉塞症", "加齢黄斑変性", "滲出型AMD", "その他（要確認）", "眼瞼下垂", "ｶﾞﾝ"],
        ),
        (WINDOWS_1252, "cp1252", &["gesund", "Läsion"]),
        (WINDOWS_1252, "cp1252", &["Ödem", "gesund"]),
        (WINDOWS_1252, "cp1252", &["LÄSION", "GESUND"]),
        (WINDOWS_1252, "cp1252", &["Störung", "Makulaödem", "Netzhautablösung", "groß"]),
        (WINDOWS_1252, "cp1252", &["unauffällig", "Trübung", "normal", "normal"]),
        (WINDOWS_1252, "cp1252", &["Sain", "Rétinopathie"]),
        (WINDOWS_1252, "cp1252", &["RÉTINOPATHIE", "SAIN"]),
        (WINDOWS_1252, "cp1252", &["Œdème maculaire", "Décollement", "Dégénérescence liée à l’âge"]),
        (WINDOWS_1252, "cp1252", &["santé", "malade"]),
        (WINDOWS_1252, "cp1252", &["Œil gauche", "Œil droit"]),
        (WINDOWS_1252, "cp1252", &["Retinopatía diabética", "Normal"]),
        (WINDOWS_1252, "cp1252", &["Daño", "Sano"]),
        (WINDOWS_1252, "cp1252", &["lesión", "sano", "sano"]),
        (WINDOWS_1252, "cp1252", &["Não", "Sim"]),
        (WINDOWS_1252, "cp1252", &["Sì", "No"]),
        (WINDOWS_1252, "cp1252", &["rød", "grå"]),
        (WINDOWS_1252, "cp1252", &["Stargardt’s", "normal"]),
        (WINDOWS_1252, "cp1252", &["DR – mild", "normal"]),
        (WINDOWS_1250, "cp1250", &["Zdrowy", "Jaskra", "Zwyrodnienie żółte"]),
        (WINDOWS_1250, "cp1250", &["łagodna", "ciężka"]),
        (WINDOWS_1251, "cp1251", &["норма", "глаукома"]),
        (WINDOWS_1253, "cp1253", &["υγιής", "γλαύκωμα"]),
        (WINDOWS_1254, "cp1254", &["sağlıklı", "hasta"]),
        (BIG5, "Big5", &["正常", "青光眼"]),
        (BIG5, "Big5", &["無", "有"]),
        (BIG5, "Big5", &["糖尿病視網膜病變", "黃斑部病變", "高度近視", "normal"]),
        (GBK, "GBK", &["正常", "青光眼"]),
        (GBK, "GBK", &["左", "右"]),
        (GBK, "GBK", &["糖尿病视网膜病变", "黄斑变性", "高度近视", "normal"]),
        (EUC_KR, "cp949", &["정상", "녹내장"]),
        (EUC_KR, "cp949", &["당뇨망막병증", "황반변성", "normal"]),
        (EUC_JP, "EUC-JP", &["正常", "緑内障"]),
        (MACINTOSH, "Mac Roman", &["Sain", "Rétinopathie"]),
        (MACINTOSH, "Mac Roman", &["dégénérescence", "élève"]),
    ] {
        let (read, warning) = read(&encoded(encoding, &table(labels))).unwrap_or_else(|e| panic!("{labels:?}: {e}"));
        assert_eq!(read, labels, "{name}");
        let warning = warning.unwrap_or_else(|| panic!("{labels:?}: no warning"));
        let example = labels.iter().position(|label| !label.is_ascii()).unwrap();
        let place = format!("dataset.csv:{}: not UTF-8: read as {name}", example + 2);
        let example = format!("{:?}", labels[example]);
        assert!(warning.contains(&place) && warning.contains(&example), "{labels:?}: {warning}");
    }
}

/// Bytes that mean something in several encodings, and in none.
#[test]
fn what_cannot_be_told_is_refused_with_a_way_out() {
    let dos = |text: &str| text.replace('e', "\u{82}").chars().map(|c| c as u8).collect::<Vec<u8>>();
    for (bytes, about) in [
        // "ﾎﾞ" and "ﾓﾐ" in half-width katakana, "无" and "有" in GBK.
        (encoded(GBK, &table(&["无", "有"])), &["cp932", "GBK", "\"无\""][..]),
        // Or "10 絲" in Big5.
        (encoded(WINDOWS_1252, &table(&["10 µm", "20 µm"])), &["cp1252", "Big5", "\"10 µm\""]),
        (dos("filenam,id,labl\r\n1.jpg,1,Retinopathie\r\n"), &["neither UTF-8 nor"]),
        ([table(&["Läsion", "Größe", "früh", "ja"]).as_bytes(), b"5.jpg,5,L\xe4sion\r\n"].concat(), &["damaged"]),
        ("filename,id,label\r\n1.jpg,1,é".bytes().take(28).collect(), &["neither UTF-8 nor"]),
    ] {
        let message = read(&bytes).unwrap_err();
        assert!(about.iter().all(|about| message.contains(about)), "{message}");
        assert!(message.contains("dataset.csv:") && message.contains("save the file as \"CSV UTF-8\""), "{message}");
    }
}

#[test]
fn unicode_of_other_widths_is_read_or_named() {
    let text = table(&["Läsion", "正常"]).replace(',', "\t");
    let little = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let big = text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    for bytes in [[b"\xff\xfe", &little(&text)[..]].concat(), [b"\xfe\xff", &big[..]].concat()] {
        assert_eq!(read(&bytes).unwrap(), (vec!["Läsion".to_string(), "正常".to_string()], None));
    }
    let wide: Vec<u8> = text.chars().flat_map(|c| (c as u32).to_le_bytes()).collect();
    for (bytes, about) in [
        (little(&text), "UTF-16 without a byte order mark"),
        ([b"\xff\xfe\0\0", &wide[..]].concat(), "UTF-32"),
        ([b"\xff\xfe", &little(&text)[..], b"\x00"].concat(), "damaged UTF-16"),
        (b"filename,id,label\r\n1.jpg,1,\x1b$B@5>o\x1b(B\r\n".to_vec(), "ISO-2022-JP"),
    ] {
        let message = read(&bytes).unwrap_err();
        assert!(message.contains("dataset.csv:") && message.contains(about), "{message}");
    }
}

#[test]
fn utf8_is_no_guess() {
    for text in [table(&["Läsion", "正常"]), format!("\u{feff}{}", table(&["a", "é"]))] {
        assert_eq!(read(text.as_bytes()).unwrap().1, None);
    }
}
