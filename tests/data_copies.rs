//! Photographs that stand twice in a set, and splits that no longer follow from the table that they
//! were made of.

use std::fs;
use std::path::Path;

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageFormat, RgbImage};
use ocellus::app::data::{self, Columns, synthetic};
use tempfile::TempDir;

fn warnings(dir: &Path) -> Vec<String> {
    let found = data::check(dir, &Columns::default(), |_, _| ()).unwrap();
    assert!(found.faults.is_empty(), "{:?}", found.faults);
    found.warnings
}

/// Drawn photographs in `img/`, called as the built-in set calls them.
fn drawn(images: usize) -> (TempDir, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    synthetic::write(dir.path(), &synthetic::Options { images, size: 64.into(), seed: 3 }, |_, _| ()).unwrap();
    fs::remove_file(dir.path().join("data.csv")).unwrap();
    let entries = fs::read_dir(dir.path().join("img")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    (dir, names)
}

/// Tables of (file name, person, label).
fn write(dir: &Path, table: &str, rows: &[(&str, &str, &str)]) {
    let rows: String = rows.iter().map(|(name, id, label)| format!("{name},{id},{label}\n")).collect();
    fs::write(dir.join(table), format!("filename,id,label\n{rows}")).unwrap();
}

#[test]
fn files_with_the_same_bytes_are_named() {
    let (dir, names) = drawn(32);
    let img = dir.path().join("img");
    for copy in ["copy1.png", "copy2.png", "copy3.png"] {
        fs::copy(img.join(&names[0]), img.join(copy)).unwrap();
    }
    let [a, b, c] = [&names[0], &names[1], &names[2]].map(|name| &name[..]);
    write(dir.path(), "train.csv", &[(a, "1", "x"), (b, "2", "y"), ("copy1.png", "1", "x"), (a, "1", "x")]);
    write(dir.path(), "val.csv", &[(c, "3", "y"), ("copy2.png", "4", "y")]);
    write(dir.path(), "test.csv", &[("copy3.png", "5", "x")]);
    let found = warnings(dir.path());
    assert_eq!(found.len(), 3, "{found:#?}");
    for (place, copy, differences) in [
        ("train.csv:4: ", "copy1.png", ""),
        ("val.csv:3: ", "copy2.png", ": in another split, with another label, of another person"),
        ("test.csv:2: ", "copy3.png", ": in another split, of another person"),
    ] {
        let earlier = format!("{copy} has the same bytes as {}", img.join(a).display());
        let is_it = |warning: &&String| {
            warning.contains(place)
                && warning.contains(&earlier)
                && warning.ends_with(&format!("train.csv:2){differences}"))
        };
        assert_eq!(found.iter().filter(is_it).count(), 1, "{place}{earlier}{differences}: {found:#?}");
    }
}

/// Saved anew, made smaller, turned into another format; and none of the others.
#[test]
fn pictures_that_look_the_same_are_named() {
    let (dir, names) = drawn(60);
    let img = dir.path().join("img");
    let whole = image::open(img.join(&names[7])).unwrap().into_rgb8();
    let jpeg = |picture: &RgbImage| {
        DynamicImage::from(picture.clone()).save_with_format(img.join("jpeg.jpg"), ImageFormat::Jpeg)
    };
    jpeg(&whole).unwrap();
    imageops::resize(&whole, 48, 48, FilterType::Triangle).save(img.join("small.png")).unwrap();
    imageops::resize(&whole, 120, 90, FilterType::CatmullRom).save(img.join("large.bmp")).unwrap();
    // Blank pictures have nothing to be recognised by.
    RgbImage::from_pixel(64, 64, image::Rgb([20, 20, 20])).save(img.join("blank1.png")).unwrap();
    RgbImage::from_pixel(65, 64, image::Rgb([21, 20, 20])).save(img.join("blank2.png")).unwrap();
    let originals: Vec<(&str, &str, &str)> =
        names.iter().enumerate().map(|(i, name)| (&name[..], &name[..], ["x", "y"][i % 2])).collect();
    write(dir.path(), "train.csv", &[&originals[..], &[("blank1.png", "b1", "x"), ("blank2.png", "b2", "x")]].concat());
    write(dir.path(), "val.csv", &[("jpeg.jpg", "n1", "y"), ("small.png", "n2", "y"), ("large.bmp", "n3", "x")]);
    let found = warnings(dir.path());
    assert_eq!(found.len(), 3, "{found:#?}");
    for (warning, (place, copy, label)) in
        found.iter().zip([(2, "jpeg.jpg", ""), (3, "small.png", ""), (4, "large.bmp", ", with another label")])
    {
        assert!(
            warning.contains(&format!("val.csv:{place}: ")) && warning.contains(&format!("{copy} looks the same as "))
        );
        assert!(warning.contains("in another split") && warning.contains(label), "{warning}");
    }
}

/// A table of twelve photographs, its splits, and the photographs.
fn prepared() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..13u8 {
        RgbImage::from_pixel(4, 4, image::Rgb([20 * i, 0, 0])).save(dir.path().join(format!("{i}.png"))).unwrap();
    }
    write_dataset(dir.path(), |_, row| Some(row));
    assert!(data::prepare(dir.path(), &Columns::default(), 0).unwrap().warnings.is_empty());
    dir
}

fn write_dataset(dir: &Path, change: impl Fn(usize, String) -> Option<String>) {
    let row = |i: usize| change(i, format!("{i}.png,{i},{}\n", ["x", "y"][i % 2]));
    let rows: String = (0..12).filter_map(row).collect();
    fs::write(dir.join("dataset.csv"), format!("filename,id,label\n{rows}")).unwrap();
}

#[test]
fn splits_that_no_longer_follow_are_said() {
    let dir = prepared();
    assert_eq!(warnings(dir.path()), Vec::<String>::new());
    let said = |about: &[&str]| {
        let prepared = data::prepare(dir.path(), &Columns::default(), 0).unwrap();
        assert!(prepared.made.is_empty());
        let checked = data::check(dir.path(), &Columns::default(), |_, _| ()).unwrap();
        for warnings in [prepared.warnings, checked.warnings] {
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(warnings[0].contains("train.csv, val.csv and test.csv no longer follow from "), "{warnings:?}");
            assert!(warnings[0].contains("made anew"), "{warnings:?}");
            for about in about {
                assert!(warnings[0].contains(about), "no {about:?} in {warnings:?}");
            }
        }
    };
    write_dataset(dir.path(), |i, row| Some(if i == 2 { row.replace(",x", ",y") } else { row }));
    said(&["1 row with another label (", "dataset.csv:4: 2.png is \"y\", \"x\" in "]);
    write_dataset(dir.path(), |i, row| Some(if i == 11 { format!("{row}12.png,12,z\n") } else { row }));
    said(&["1 row in no split (", "dataset.csv:14: 12.png)"]);
    write_dataset(dir.path(), |i, row| (i != 3 && i != 5).then_some(row));
    said(&["2 rows not in it (", ".csv:"]);
    write_dataset(dir.path(), |i, row| Some(if i < 3 { row.replace(&format!(",{i},"), ",9,") } else { row }));
    said(&["3 rows of another person (", "dataset.csv:2: 0.png is of \"9\", of \"0\" in "]);
    // Another order is no other content.
    write_dataset(dir.path(), |i, row| match i {
        0 => None,
        11 => Some(format!("{row}0.png,0,x\n")),
        _ => Some(row),
    });
    assert!(data::prepare(dir.path(), &Columns::default(), 0).unwrap().warnings.is_empty());
    assert_eq!(warnings(dir.path()), Vec::<String>::new());
    // Remade as the message says.
    write_dataset(dir.path(), |i, row| Some(if i == 2 { row.replace(",x", ",y") } else { row }));
    for split in ["train.csv", "val.csv", "test.csv"] {
        fs::remove_file(dir.path().join(split)).unwrap();
    }
    assert!(data::prepare(dir.path(), &Columns::default(), 0).unwrap().warnings.is_empty());
}

#[test]
fn a_data_csv_that_was_put_right_is_said() {
    let header = "filename,AMD,RVO,Gla,MH,DR,RD,RP,AO,DM\n";
    let table = |right: bool| {
        let row =
            |i: usize| format!("{i}.png,{},0,0,0,0,0,0,0,0\n", u8::from(i.is_multiple_of(2) != (right && i == 3)));
        format!("{header}{}", (0..12).map(row).collect::<String>())
    };
    let dir = tempfile::tempdir().unwrap();
    let warnings = || data::prepare(dir.path(), &Columns::default(), 0).unwrap().warnings;
    fs::write(dir.path().join("data.csv"), table(false)).unwrap();
    assert!(warnings().is_empty());
    assert!(warnings().is_empty());
    fs::write(dir.path().join("data.csv"), table(true)).unwrap();
    let found = warnings();
    assert!(found.len() == 1 && found[0].contains("dataset.csv no longer follows from "), "{found:?}");
    assert!(found[0].contains("data.csv:5: 3.png is \"AMD\", \"Normal\" in ") && found[0].contains("train.csv"));
    // Without dataset.csv the splits are compared.
    fs::remove_file(dir.path().join("dataset.csv")).unwrap();
    let found = warnings();
    assert!(found.len() == 1 && found[0].contains("train.csv, val.csv and test.csv no longer follow"), "{found:?}");
    // A table of another form has nothing to do with them.
    fs::write(dir.path().join("data.csv"), "name,diagnosis\n1,x\n").unwrap();
    assert!(warnings().is_empty());
}
