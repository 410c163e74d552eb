//! Tables as programs and people write them: names of files and columns that are not quite those
//! that are there, other separators, rows without a word, persons without a column, labels that
//! look alike.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use image::RgbImage;
use ocellus::app::data::{self, Columns, Findings, records};
use tempfile::TempDir;

/// A folder with a table and these photographs, each of another colour. Names with a slash are in
/// folders.
fn folder(table: &str, photographs: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("dataset.csv"), table).unwrap();
    for (number, name) in photographs.iter().enumerate() {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let picture = RgbImage::from_pixel(4, 4, image::Rgb([number as u8, 9, 9]));
        picture.save_with_format(path, image::ImageFormat::Png).unwrap();
    }
    dir
}

fn check(dir: &Path) -> Findings {
    data::check(dir, &Columns::default(), |_, _| ()).unwrap()
}

fn faults(dir: &Path) -> Vec<String> {
    check(dir).faults.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn is_found(name: &str, file: &str) {
    let dir = folder(&format!("filename,id,label\n{name},1,x\nother.png,2,y\n"), &[file, "img/other.png"]);
    assert_eq!(faults(dir.path()), Vec::<String>::new(), "{name} as {file}");
}

/// The name is not found, and the message has these words.
#[track_caller]
fn is_not_found(name: &str, files: &[&str], words: &[&str]) {
    let dir = folder(&format!("filename,id,label\n{name},1,x\nother.png,2,y\n"), &[files, &["img/other.png"]].concat());
    let faults = faults(dir.path());
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("dataset.csv:2: column `filename`: "), "{}", faults[0]);
    for word in words {
        assert!(faults[0].replace('\\', "/").contains(word), "no {word:?} in {}", faults[0]);
    }
}

#[test]
fn names_that_mean_one_file_find_it() {
    for (name, file) in [
        ("1", "img/1.png"),
        ("10_left", "img/10_left.jpeg"),
        ("ISIC_1.2", "img/ISIC_1.2.JPG"),
        ("1.jpg", "img/1.JPG"),
        ("1.JPEG", "img/1.jpeg"),
        ("./1", "img/1.png"),
        ("left/1", "img/left/1.tif"),
        ("img/1.png", "img/1.png"),
        ("./img/1", "img/1.bmp"),
        ("left\\1.png", "img/left/1.png"),
        (".\\img\\left\\1.png", "img/left/1.png"),
        // Composed in the table, decomposed on the disk, and the other way round.
        ("r\u{e9}tine_1.png", "img/re\u{301}tine_1.png"),
        ("re\u{301}tine_1", "img/r\u{e9}tine_1.PNG"),
        ("\u{e9}l\u{e8}ve/1", "img/e\u{301}le\u{300}ve/1.png"),
    ] {
        is_found(name, file);
    }
}

/// Windows' and macOS's do.
fn file_system_ignores_case() -> bool {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "").unwrap();
    dir.path().join("A").exists()
}

#[test]
fn names_that_mean_none_or_several_name_what_is_there() {
    is_not_found("1", &["img/1.png", "img/1.jpg"], &["no image file", "img/1.jpg and ", "img/1.png are there"]);
    is_not_found("1.jpg", &["img/1.png"], &["no image file", "img/1.jpg", "img/1.png is there"]);
    is_not_found("1.jpg", &["img/1.jpg.png"], &["img/1.jpg.png is there"]);
    if file_system_ignores_case() {
        is_found("IMG_1.png", "img/img_1.png");
    } else {
        is_not_found("IMG_1.png", &["img/img_1.png"], &["img/img_1.png is there"]);
    }
    is_not_found("left/1.png", &["img/1.png"], &["img/left/1.png", "img/1.png is there"]);
    is_not_found("/elsewhere/img/1.png", &["img/1.png"], &["leads out of the folder", "img/1.png is there"]);
    is_not_found("C:\\photos\\1.png", &["img/1.png"], &["img/1.png is there"]);
    is_not_found("../1.png", &["1.png"], &["leads out of the folder"]);
    // A backslash is a character like others but on Windows.
    let why = if cfg!(windows) { "leads out of the folder" } else { "no image file" };
    is_not_found("..\\1.png", &["1.png"], &[why]);
    is_not_found("1.png", &["img/2.png"], &["no image file"]);
    // Two files that look the same.
    let twins = ["img/r\u{e9}.jpg", "img/re\u{301}.jpg"];
    is_not_found("r\u{e9}", &twins, &["are there"]);
    is_found("r\u{e9}.jpg", twins[0]);
}

/// Absolute paths are those of this machine: the folder's own is taken out of them.
#[test]
fn absolute_paths_inside_the_folder_are_its_files() {
    let dir = folder("", &["img/1.png", "img/left/2.png", "beside.png"]);
    let path = |name: &str| dir.path().join(name).display().to_string();
    let write = |rows: &str| fs::write(dir.path().join("dataset.csv"), format!("filename,id,label\n{rows}")).unwrap();
    write(&format!("{},1,x\n{},2,y\n", path("img/1.png"), path("img/left/2")));
    assert_eq!(faults(dir.path()), Vec::<String>::new());
    write(&format!("{},1,x\n{},2,y\n{},3,y\n", path("img/1.png"), path("img/3.png"), path("beside.png")));
    let found = faults(dir.path());
    assert!(
        found.len() == 2 && found[0].contains("dataset.csv:3: ") && found[0].contains("no image file"),
        "{found:?}"
    );
    assert!(found[1].contains("dataset.csv:4: ") && found[1].contains("leads out of the folder"), "{found:?}");
    // Named by a relative path, too.
    let columns = Columns { filename: "file".into(), ..Columns::default() };
    let working = std::env::current_dir().unwrap();
    let relative = tempfile::tempdir_in(&working).unwrap();
    let name = Path::new(relative.path().file_name().unwrap());
    RgbImage::new(2, 2).save(relative.path().join("1.png")).unwrap();
    let rows = ["1.png", "./1.png"].map(|file| working.join(name).join(file).display().to_string());
    fs::write(relative.path().join("dataset.csv"), format!("file,label\n{},x\n{},x\n", rows[0], rows[1])).unwrap();
    let found = data::check(name, &columns, |_, _| ()).unwrap().faults;
    assert!(found.len() == 1 && found[0].to_string().contains("two classes"), "{found:?}");
}

#[test]
fn one_file_by_two_names_is_one_photograph() {
    let dir = folder("filename,id,label\n1,1,x\n1.png,2,y\nimg/1.PNG,3,x\n", &["img/1.png"]);
    let found = faults(dir.path());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("dataset.csv:3: ") && found[0].contains("dataset.csv:2 too, with another label"));
}

#[test]
fn separators_and_empty_rows_are_no_faults() {
    let rows = [["filename", "id", "label"], ["1.png", "1", "x"], ["2.png", "2", "\"y, z\""]];
    let table =
        |separator: &str, end: &str| -> String { rows.iter().map(|row| row.join(separator) + end + "\r\n").collect() };
    for text in [
        table(",", ""),
        table(";", ""),
        table("\t", ""),
        format!("sep=;\r\n{}", table(";", "")),
        format!("\u{feff}{}\r\n,,\r\n ,\t, \r\n;;\r\n", table(",", "")).replace(";;\r\n", ""),
        table(",", "") + ",,,,,\r\n,\r\n",
        table(";", ";;") + ";;;;\r\n",
        table(",", ",").replacen("label,", "label", 1),
    ] {
        let dir = folder(&text, &["img/1.png", "img/2.png"]);
        let mut found = Findings::default();
        let read = records::read(&dir.path().join("dataset.csv"), &Columns::default(), &mut found).unwrap();
        assert!(found.faults.is_empty() && found.warnings.is_empty(), "{text}: {found:?}");
        let labels: Vec<&str> = read.rows.iter().map(|row| &row.label[..]).collect();
        assert_eq!(labels, ["x", "y, z"], "{text}");
    }
    // A cell behind the last column is one too many, and lines are counted behind `sep=`.
    for (text, about) in [
        ("filename,id,label\n1.png,1,x,\n2.png,2,y,z\n", "dataset.csv:3: 4 fields, but the header names 3"),
        ("sep=;\nfilename;id;label\n1.png;1;x\n2.png;2\n", "dataset.csv:4: 2 fields"),
        ("filename,id,label\n,,\n\n1.png,1\n", "dataset.csv:4: 2 fields"),
    ] {
        let dir = folder(text, &["img/1.png", "img/2.png"]);
        let found = faults(dir.path());
        assert!(found.iter().any(|fault| fault.contains(about)), "{found:?}");
    }
}

#[test]
fn columns_that_are_nearly_named_right_are_named() {
    for (header, about) in [
        ("Filename,id,label", "no column `filename`; the columns are: Filename,id,label; did you mean \"Filename\"?"),
        ("file_name,id,label", "did you mean \"file_name\"?"),
        ("filename,id,La bel", "no column `label`; the columns are: filename,id,La bel; did you mean \"La bel\"?"),
        ("filename,id,\u{200b}label", "did you mean \"\\u{200b}label\"?"),
        ("image,id,label", "(--filename-column names another)"),
    ] {
        let dir = folder(&format!("{header}\n1.png,1,x\n"), &[]);
        let message = data::prepare(dir.path(), &Columns::default(), 0).unwrap_err().to_string();
        assert!(message.contains("dataset.csv:1: ") && message.contains(about), "{message}");
    }
}

#[test]
fn labels_that_look_alike_are_two_classes_with_a_warning() {
    for (other, how) in [
        ("drusen", "by case"),
        ("Dru sen", "by spaces"),
        ("Dru\u{a0}sen", "by spaces"),
        ("Dru\u{200b}sen", "by invisible characters"),
        ("\u{feff}Drusen", "by invisible characters"),
        ("Ｄｒｕｓｅｎ", "by the width"),
    ] {
        let rows: String = (0..20).map(|i| format!("{i}.png,{i},{}\n", ["Drusen", other][i / 10])).collect();
        let dir = folder(&format!("filename,id,label\n{rows}"), &[]);
        let warnings = data::prepare(dir.path(), &Columns::default(), 0).unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let place = format!("dataset.csv:12: column `label`: {other:?} differs from \"Drusen\" (");
        assert!(warnings[0].contains(&place), "{warnings:?}");
        assert!(warnings[0].contains("dataset.csv:2) only ") && warnings[0].contains(how), "{warnings:?}");
        // With the splits there, it is said again, of them.
        let warnings = data::prepare(dir.path(), &Columns::default(), 0).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].contains(how), "{warnings:?}");
    }
    let dir = folder("filename,id,label\n1.png,1,1\n2.png,2,1.0\n3.png,3,2\n", &["1.png", "2.png", "3.png"]);
    let warnings = check(dir.path()).warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("\"1.0\" differs from \"1\" ("), "{warnings:?}");
    // A label that no training split has is no class.
    fs::rename(dir.path().join("dataset.csv"), dir.path().join("train.csv")).unwrap();
    RgbImage::new(3, 3).save(dir.path().join("4.png")).unwrap();
    fs::write(dir.path().join("val.csv"), "filename,id,label\n4.png,4,2.0\n").unwrap();
    let found = faults(dir.path());
    assert!(found.len() == 1 && found[0].contains("it differs from \"2\" only by how a number"), "{found:?}");
}

const IDRID: [&str; 12] = ["000", "001", "002", "003", "004", "005", "006", "007", "008", "009", "010", "011"];

/// Labels by turns, in a table without a column of persons.
fn idrid(rows: &[&str]) -> String {
    let row = |(index, number): (usize, &&str)| format!("IDRiD_{number}.png,{}\n", ["DR", "Normal"][index % 2]);
    format!("filename,label\n{}", rows.iter().enumerate().map(row).collect::<String>())
}

#[test]
fn without_a_column_of_persons_the_message_says_the_rule() {
    let rule = "without a column `id`, the file name up to its first _ or . is the person";
    let (message_of, none) =
        (|dir: &Path, columns: &Columns| data::prepare(dir, columns, 0).unwrap_err().to_string(), "--id-column none");
    let dir = folder(&idrid(&IDRID), &[]);
    let message = message_of(dir.path(), &Columns::default());
    for about in ["too few people to split", "1 person, as \"IDRiD\" of IDRiD_000.png", rule, none] {
        assert!(message.contains(about), "{message}");
    }
    // With a column it is the table's own.
    let dir = folder("filename,id,label\n1_1.png,7,x\n1_2.png,7,y\n", &[]);
    assert!(message_of(dir.path(), &Columns::default()).ends_with("none is left for val.csv (1 person)"));

    let names: Vec<String> = IDRID.iter().map(|number| format!("img/IDRiD_{number}.png")).collect();
    let dir = folder("", &names.iter().map(|name| &name[..]).collect::<Vec<_>>());
    fs::remove_file(dir.path().join("dataset.csv")).unwrap();
    fs::write(dir.path().join("train.csv"), idrid(&IDRID[..8])).unwrap();
    fs::write(dir.path().join("val.csv"), idrid(&IDRID[8..])).unwrap();
    let found = faults(dir.path());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("val.csv:2: column `filename`: person IDRiD is in "), "{found:?}");
    assert!(found[0].contains(rule) && found[0].contains(none), "{found:?}");

    let each = Columns { id: Some("none".into()), ..Columns::default() };
    assert!(data::check(dir.path(), &each, |_, _| ()).unwrap().faults.is_empty());
    data::open(dir.path(), &each).unwrap();
}

#[test]
fn each_photograph_can_be_a_person() {
    let each = Columns { id: Some("none".into()), ..Columns::default() };
    for table in [idrid(&IDRID), idrid(&IDRID).replace(".png,", ".png,p,").replacen("filename,", "filename,id,", 1)] {
        let dir = folder(&table, &[]);
        assert!(data::prepare(dir.path(), &each, 0).unwrap().warnings.is_empty());
        let mut names = BTreeSet::new();
        for split in ["train.csv", "val.csv", "test.csv"] {
            let text = fs::read_to_string(dir.path().join(split)).unwrap();
            assert!(text.starts_with("filename,label\n"), "{text}");
            names.extend(text.lines().skip(1).map(|row| row.split(',').next().unwrap().to_string()));
        }
        assert_eq!(names.len(), IDRID.len());
        let again = data::prepare(dir.path(), &each, 0).unwrap();
        assert!(again.made.is_empty() && again.warnings.is_empty(), "{again:?}");
    }
    // A column of that name is the column.
    let rows: String = (0..12).map(|i| format!("IDRiD_{i}.png,{},{}\n", i / 2, ["x", "y"][i % 2])).collect();
    let dir = folder(&format!("filename,none,label\n{rows}"), &[]);
    data::prepare(dir.path(), &each, 0).unwrap();
    let train = fs::read_to_string(dir.path().join("train.csv")).unwrap();
    assert!(train.starts_with("filename,none,label\nIDRiD_"), "{train}");
}

/// Prefixes that split, but are no persons: an eye, a date, a camera.
#[test]
fn few_persons_by_name_are_warned_of() {
    let rows = |names: &dyn Fn(usize) -> String| -> String {
        (0..60).map(|i| format!("{},{}\n", names(i), ["x", "y"][i / 7 % 2])).collect()
    };
    for (names, about) in [
        (
            &(|i: usize| format!("{}_{i}.png", i % 4)) as &dyn Fn(usize) -> String,
            "4 persons for 60 photographs, 15 of them of \"0\"",
        ),
        (
            &|i: usize| if i < 40 { format!("img_{i}.png") } else { format!("{i}.png") },
            "21 persons for 60 photographs, 40 of them of \"img\"",
        ),
    ] {
        let dir = folder(&format!("filename,label\n{}", rows(names)), &[]);
        let warnings = data::prepare(dir.path(), &Columns::default(), 0).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].contains(about), "{warnings:?}");
        assert!(warnings[0].contains("without a column `id`"), "{warnings:?}");
    }
    let dir = folder(&format!("filename,label\n{}", rows(&|i| format!("{}_{}.png", i / 2, i % 2))), &[]);
    assert!(data::prepare(dir.path(), &Columns::default(), 0).unwrap().warnings.is_empty());
}
