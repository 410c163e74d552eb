//! Pictures are drawn whatever the numbers and names are, show what they should, and nothing is cut off.

use image::{Rgb, RgbImage};
use ocellus::app::plot;
use ocellus::app::report::{Report, Scores};
use ocellus::app::train::history::EpochRecord;
use tempfile::TempDir;

const TRAIN: Rgb<u8> = Rgb([0, 114, 178]);
const VALIDATION: Rgb<u8> = Rgb([213, 94, 0]);
const WHITE: Rgb<u8> = Rgb([255; 3]);

fn history(epochs: usize) -> Vec<EpochRecord> {
    (1..=epochs)
        .map(|epoch| EpochRecord {
            epoch,
            loss: 2.0 / epoch as f64,
            accuracy: 1.0 - 0.8 / epoch as f64,
            val_loss: 1.2 + 1.0 / epoch as f64,
            val_accuracy: 0.6 - 0.5 / epoch as f64,
            lr: 1e-3,
            seconds: 1.0,
            images_per_second: 32.0,
            data_wait: 0.0,
        })
        .collect()
}

fn history_picture(records: &[EpochRecord]) -> RgbImage {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.png");
    plot::history(&path, records).unwrap();
    let picture = image::open(path).unwrap().to_rgb8();
    assert_eq!(picture.dimensions(), (1600, 670));
    assert_unclipped(&picture);
    picture
}

fn confusion_picture(names: &[String], truth: &[usize], predicted: &[usize]) -> RgbImage {
    drawn(&Report::over_all_classes(names, truth, predicted))
}

fn drawn(report: &Report) -> RgbImage {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("confusion.png");
    plot::confusion(&path, report).unwrap();
    let picture = image::open(path).unwrap().to_rgb8();
    assert_unclipped(&picture);
    picture
}

/// What is cut off reaches the picture's edge, which has to be white.
fn assert_unclipped(picture: &RgbImage) {
    let (width, height) = picture.dimensions();
    for (x, y, &pixel) in picture.enumerate_pixels() {
        let on_edge = x < 3 || y < 3 || x >= width - 3 || y >= height - 3;
        assert!(!on_edge || pixel == WHITE, "ink at {x}, {y} of {width} x {height}");
    }
}

/// Number of pixels of a colour among the axes of the left (0) or the right (1) panel.
fn count(picture: &RgbImage, panel: u32, colour: Rgb<u8>) -> usize {
    let inside = picture.enumerate_pixels().filter(|(x, y, _)| x / 800 == panel && *y < 540);
    inside.filter(|(_, _, pixel)| **pixel == colour).count()
}

#[test]
fn both_curves_are_in_both_panels_for_any_number_of_epochs() {
    for epochs in [1, 2, 3, 40, 41, 300, 10_000] {
        let picture = history_picture(&history(epochs));
        for panel in [0, 1] {
            for colour in [TRAIN, VALIDATION] {
                assert!(count(&picture, panel, colour) > 20, "{epochs} epochs, panel {panel}, {colour:?}");
            }
        }
    }
}

/// The places of a colour among the axes of the left panel.
fn places(picture: &RgbImage, colour: Rgb<u8>) -> (Vec<u32>, Vec<u32>) {
    let inside = picture.enumerate_pixels().filter(|(x, y, _)| *x < 800 && *y < 540);
    inside.filter(|(_, _, pixel)| **pixel == colour).map(|(x, y, _)| (x, y)).unzip()
}

/// Printed in grey, the colours are alike: validation has hollow marks, and dashes where there are no marks.
#[test]
fn the_curves_differ_in_more_than_colour() {
    let picture = history_picture(&history(1));
    for (colour, middle) in [(TRAIN, TRAIN), (VALIDATION, WHITE)] {
        let (xs, ys) = places(&picture, colour);
        let centre = |places: &[u32]| (places.iter().min().unwrap() + places.iter().max().unwrap()) / 2;
        assert_eq!(*picture.get_pixel(centre(&xs), centre(&ys)), middle);
    }
    let picture = history_picture(&history(50));
    for (colour, covered) in [(TRAIN, 0.9..=1.0), (VALIDATION, 0.3..=0.8)] {
        let (mut xs, _) = places(&picture, colour);
        xs.sort();
        xs.dedup();
        let share = xs.len() as f64 / f64::from(xs[xs.len() - 1] - xs[0] + 1);
        assert!(covered.contains(&share), "the line of {colour:?} covers {share} of its length");
    }
}

#[test]
fn a_value_that_is_not_finite_leaves_a_gap() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let whole = history(20);
        let mut broken = whole.clone();
        broken[9].val_accuracy = value;
        broken[10].val_accuracy = value;
        let (whole, broken) = (history_picture(&whole), history_picture(&broken));
        let share = count(&broken, 0, VALIDATION) as f64 / count(&whole, 0, VALIDATION) as f64;
        assert!((0.8..0.95).contains(&share), "three of nineteen lines are gone: {share}");
        assert_eq!(count(&broken, 1, VALIDATION), count(&whole, 1, VALIDATION));
    }
}

#[test]
fn nothing_to_show_and_extreme_values_are_drawn_too() {
    history_picture(&[]);
    let pairs = [
        (f64::NAN, f64::NAN),
        (0.0, 0.0),
        (1.0, 1.0 + f64::EPSILON),
        (1e-300, 1e300),
        (1e300, 1e300),
        (-1.0, 139.8e3),
        (2.3, 400.0),
    ];
    for (loss, val_loss) in pairs {
        let mut records = history(5);
        for record in &mut records {
            (record.loss, record.val_loss) = (loss, val_loss);
        }
        let picture = history_picture(&records);
        assert_eq!(count(&picture, 1, VALIDATION) > 20, !val_loss.is_nan(), "{loss}, {val_loss}");
    }
}

/// One early outlier, as batch normalisation gives, and the rest still shows some relief.
#[test]
fn an_outlier_does_not_flatten_the_loss() {
    let mut records = history(30);
    records[0].val_loss = 1000.0;
    let picture = history_picture(&records);
    let rows: Vec<u32> = picture
        .enumerate_pixels()
        .filter(|(x, y, pixel)| *x >= 800 && *y < 540 && **pixel == TRAIN)
        .map(|(_, y, _)| y)
        .collect();
    let height = rows.iter().max().unwrap() - rows.iter().min().unwrap();
    assert!(height > 100, "the training loss falls thirtyfold, by {height} pixels");
}

#[test]
fn every_number_of_classes_and_length_of_names_fits() {
    for classes in [0, 1, 2, 8, 50] {
        for length in [1, 12, 60] {
            let names: Vec<String> = (0..classes).map(|i| format!("{i}{}", "W".repeat(length))).collect();
            let truth: Vec<usize> = (0..classes * 30).map(|i| i % classes).collect();
            let predicted: Vec<usize> = truth.iter().map(|label| label * label % classes).collect();
            let (width, height) = confusion_picture(&names, &truth, &predicted).dimensions();
            assert!(width.max(height) < 3000, "{classes} classes: {width} x {height}");
        }
    }
}

/// Names in scripts that the font lacks are the numbers of their rows, not boxes that all look alike.
#[test]
fn names_that_the_font_cannot_write_are_numbers() {
    let picture = |names: [&str; 3]| confusion_picture(&names.map(String::from), &[0, 1, 2], &[0, 1, 1]);
    assert!(picture(["網膜剥離", "b", "AMD 正常"]) == picture(["1", "b", "3"]));
    for name in ["Ödem", "αβγ", "Норма", "a very long name, and longer than thirty characters"] {
        assert!(picture([name, "b", "c"]) != picture(["1", "b", "c"]), "{name} is written");
    }
}

/// The picture of a thousand classes is no larger than that of eighty, and of ten thousand there is one, too.
#[test]
fn cells_of_many_classes_shrink() {
    const DARK: Rgb<u8> = Rgb([8, 48, 107]);
    let names: Vec<String> = (0..1000).map(|i| format!("{i}{}", "W".repeat(60))).collect();
    let truth: Vec<usize> = (0..1000).collect();
    let picture = confusion_picture(&names, &truth, &truth);
    let (width, height) = picture.dimensions();
    assert!(width.max(height) < 3500 && width.min(height) > 2500, "{width} x {height}");
    let dark: Vec<u32> = picture.enumerate_pixels().filter(|(_, _, pixel)| **pixel == DARK).map(|(x, ..)| x).collect();
    let reach = dark.iter().max().unwrap() - dark.iter().min().unwrap();
    assert!(dark.len() > 3000 && reach > 2400, "the diagonal: {} pixels, {reach} across", dark.len());

    let nothing = Report::over_all_classes(&[], &[], &[]);
    let names: Vec<String> = (0..10_000).map(|i| i.to_string()).collect();
    // Rows as far as there is something in them: whole, they would be a gigabyte.
    let confusion = (0..10_000).map(|i| vec![1; i % 3]).collect();
    let report = Report { names, confusion, per_class: vec![Scores::default(); 10_000], ..nothing };
    let (width, height) = drawn(&report).dimensions();
    assert!(width.max(height) < 3500, "{width} x {height}");
}

/// A class of three samples shows as dark as one of three thousand.
#[test]
fn colour_is_the_share_of_the_row() {
    let names = ["a", "b"].map(String::from);
    let truth = [vec![0; 3000], vec![1; 3]].concat();
    let picture = confusion_picture(&names, &truth, &truth);
    let dark = Rgb([8, 48, 107]);
    let at_cells = picture.enumerate_pixels().filter(|(_, _, pixel)| **pixel == dark).map(|(x, y, _)| (x, y));
    let (xs, ys): (Vec<u32>, Vec<u32>) = at_cells.unzip();
    // Two cells of 150 x 150, less their numbers and borders.
    assert!(xs.len() > 2 * 150 * 150 * 7 / 10, "{}", xs.len());
    assert!(ys.iter().max().unwrap() - ys.iter().min().unwrap() > 280);
}
