//! The built-in data set: reproducible, well-formed, and not to be solved by colour averages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use image::imageops::{FilterType, resize};
use ocellus::app::data::synthetic::{Options, write};
use ocellus::engine::image_size::ImageSize;

const HEADER: &str = "filename,age,sex,LR,AMD,RVO,Gla,MH,DR,RD,RP,AO,DM";

fn make(options: &Options) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), options, |_, _| ()).unwrap();
    folder
}

fn small() -> Options {
    Options { images: 64, size: 32.into(), seed: 7 }
}

/// Name and bytes of every file written.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let images = fs::read_dir(folder.join("img")).unwrap().map(|entry| entry.unwrap().path());
    let all = images.chain([folder.join("data.csv")]);
    all.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())).collect()
}

/// The rows of data.csv, without the header.
fn rows(folder: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(folder.join("data.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(HEADER));
    lines.map(|line| line.split(',').map(String::from).collect()).collect()
}

/// The flags that are set, joined: what the label is made of.
fn flags(row: &[String]) -> String {
    let names = HEADER.split(',').zip(row).skip(4);
    names.filter(|(_, value)| *value == "1").map(|(name, _)| name).collect::<Vec<_>>().join("_")
}

fn person(row: &[String]) -> usize {
    row[0].split('_').next().unwrap().parse().unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_any_number_of_threads() {
    let once = contents(make(&small()).path());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let again = pool.install(|| contents(make(&small()).path()));
    assert!(once == again, "one thread and many give different files");
    let other = contents(make(&Options { seed: 8, ..small() }).path());
    assert!(once != other, "the seed changes nothing");
}

#[test]
fn a_larger_set_begins_with_the_smaller_one() {
    let few = contents(make(&small()).path());
    let many = contents(make(&Options { images: 96, ..small() }).path());
    let photographs = few.iter().filter(|(name, _)| *name != "data.csv");
    for (name, bytes) in photographs {
        assert_eq!(many.get(name), Some(bytes), "{name} depends on how many images there are");
    }
}

#[test]
fn the_table_has_every_class_and_several_images_of_each_person() {
    let options = small();
    let folder = make(&options);
    let rows = rows(folder.path());
    assert_eq!(rows.len(), options.images);

    let classes: BTreeSet<String> = rows.iter().map(|row| flags(row)).collect();
    let expected = ["", "AMD", "DR_DM", "Gla", "MH", "RD", "RP", "RVO"];
    assert_eq!(classes, expected.map(String::from).into());

    let mut images_of = BTreeMap::<usize, Vec<&Vec<String>>>::new();
    for row in &rows {
        let picture = image::open(folder.path().join("img").join(&row[0])).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (options.size.width as u32, options.size.height as u32));
        assert!((1..120).contains(&row[1].parse::<u32>().unwrap()), "age {}", row[1]);
        assert!(["M", "F"].contains(&row[2].as_str()) && ["L", "R"].contains(&row[3].as_str()), "{row:?}");
        assert!(row[4..].iter().all(|flag| ["0", "1"].contains(&flag.as_str())), "{row:?}");
        images_of.entry(person(row)).or_default().push(row);
    }
    let last = *images_of.keys().last().unwrap();
    for (number, images) in images_of {
        // The last person gets what is left.
        assert!((2..=4).contains(&images.len()) || number == last, "person {number} has {} images", images.len());
        let stays = |row: &[String]| (row[1].clone(), row[2].clone(), flags(row));
        assert!(images.iter().all(|row| stays(row) == stays(images[0])), "{images:?}");
    }
}

/// The eye is as large as the shorter side, and round: beyond it there is only the sensor's noise.
#[test]
fn the_eye_stays_round_in_photographs_that_are_not_square() {
    for (height, width) in [(48, 72), (72, 48)] {
        let folder = make(&Options { size: ImageSize { height, width }, ..small() });
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        for row in rows(folder.path()) {
            let picture = image::open(folder.path().join("img").join(&row[0])).unwrap().to_rgb8();
            assert_eq!(picture.dimensions(), (width as u32, height as u32));
            for (x, y, pixel) in picture.enumerate_pixels() {
                let distance =
                    (f64::from(x) + 0.5 - width as f64 / 2.0).hypot(f64::from(y) + 0.5 - height as f64 / 2.0);
                match distance {
                    ..18.0 => inside.push(f64::from(pixel[0])),
                    28.0.. => outside.push(f64::from(pixel[0])),
                    _ => {}
                }
            }
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        assert!(mean(&inside) > 100.0 && mean(&outside) < 10.0, "{} and {}", mean(&inside), mean(&outside));
        let bright = outside.iter().filter(|value| **value > 40.0).count();
        assert!(bright * 1000 < outside.len(), "{bright} of {} pixels beyond the eye", outside.len());
    }
}

#[test]
fn impossible_options_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for options in [
        Options { images: 3, ..small() },
        Options { images: usize::MAX, ..small() },
        Options { size: 4.into(), ..small() },
        Options { size: 100_000.into(), ..small() },
        Options { size: ImageSize { height: 32, width: 8 }, ..small() },
    ] {
        let error = write(&folder.path().join("data"), &options, |_, _| ()).unwrap_err();
        assert_eq!(error.exit_status(), 2, "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Tables that were made of other photographs would say what is in these.
#[test]
fn only_an_empty_folder_is_drawn_into() {
    let folder = make(&small());
    let before = contents(folder.path());
    let error = write(folder.path(), &Options { seed: 8, ..small() }, |_, _| ()).unwrap_err();
    assert!(error.exit_status() == 2 && error.to_string().contains("not empty"), "{error}");
    assert!(before == contents(folder.path()));
}

#[cfg(unix)]
#[test]
fn others_may_read_the_table_as_the_umask_says() {
    use std::os::unix::fs::PermissionsExt;
    let folder = make(&small());
    let image = folder.path().join("img").join(&rows(folder.path())[0][0]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&folder.path().join("data.csv")), mode(&image));
}

/// What a network must beat: softmax regression on 20x20 pixels. Between the bounds, a set is neither solved by
/// where it is bright on average nor without any connection between picture and class.
#[test]
fn a_linear_model_does_not_solve_it() {
    let folder = make(&Options::default());
    let rows = rows(folder.path());
    let names: Vec<String> = rows.iter().map(|row| flags(row)).collect::<BTreeSet<_>>().into_iter().collect();
    let mut train = Samples::default();
    let mut test = Samples::default();
    for row in &rows {
        let picture = image::open(folder.path().join("img").join(&row[0])).unwrap().to_rgb8();
        let pixels = resize(&picture, 20, 20, FilterType::Triangle); // widened when shrinking, so it averages areas
        let label = names.binary_search(&flags(row)).unwrap();
        // By person, as the program splits; classes come in shuffled rounds of eight, so blocks of eight are fair.
        let part = if (person(row) / 8).is_multiple_of(5) { &mut test } else { &mut train };
        part.pixels.push(pixels.into_raw().iter().map(|&value| f32::from(value)).collect());
        part.labels.push(label);
    }
    let (mean, deviation) = train.statistics();
    train.standardise(&mean, &deviation);
    test.standardise(&mean, &deviation);

    let model = train.fit(150);
    let (seen, accuracy) = (train.accuracy(&model), test.accuracy(&model));
    println!("linear model: {seen:.3} on its training images, {accuracy:.3} on other people's");
    assert!(seen >= 0.8, "the model was not trained well: {seen} on its own training images");
    assert!(accuracy <= 0.6, "a linear model reaches {accuracy}");
    assert!(
        accuracy >= 0.2,
        "a linear model reaches {accuracy}, hardly more than chance: is the label in the picture?"
    );
}

#[derive(Default)]
struct Samples {
    pixels: Vec<Vec<f32>>,
    labels: Vec<usize>,
}

const CLASSES: usize = 8;
/// A row of eight for each pixel; the last row is the bias.
type Weights = Vec<[f32; CLASSES]>;

impl Samples {
    fn statistics(&self) -> (Vec<f32>, Vec<f32>) {
        let count = self.pixels.len() as f32;
        let average = |value: &dyn Fn(&[f32], usize) -> f32| -> Vec<f32> {
            (0..self.pixels[0].len()).map(|i| self.pixels.iter().map(|x| value(x, i)).sum::<f32>() / count).collect()
        };
        let mean = average(&|x, i| x[i]);
        let variance = average(&|x, i| (x[i] - mean[i]).powi(2));
        let deviation = variance.iter().map(|v| v.sqrt() + 1e-3).collect();
        (mean, deviation)
    }

    /// To mean 0 and deviation 1, with a constant 1 appended for the bias.
    fn standardise(&mut self, mean: &[f32], deviation: &[f32]) {
        for x in &mut self.pixels {
            x.iter_mut().zip(mean.iter().zip(deviation)).for_each(|(x, (m, d))| *x = (*x - m) / d);
            x.push(1.0);
        }
    }

    /// Gradient descent with momentum on the mean cross-entropy plus a little weight decay.
    fn fit(&self, steps: usize) -> Weights {
        let (rate, momentum, decay) = (0.02, 0.9, 0.05);
        let mut weights = vec![[0.0; CLASSES]; self.pixels[0].len()];
        let mut velocity = weights.clone();
        for _ in 0..steps {
            let mut gradient: Weights = weights.iter().map(|row| row.map(|w| decay * w)).collect();
            for (x, &label) in self.pixels.iter().zip(&self.labels) {
                let scores = scores(&weights, x);
                let highest = scores.iter().fold(f32::MIN, |a, &b| a.max(b));
                let powers = scores.map(|score| (score - highest).exp());
                let total: f32 = powers.iter().sum();
                let mut error = powers.map(|power| power / total / self.labels.len() as f32);
                error[label] -= 1.0 / self.labels.len() as f32;
                for (row, x) in gradient.iter_mut().zip(x) {
                    row.iter_mut().zip(error).for_each(|(g, error)| *g += error * x);
                }
            }
            let all = weights.iter_mut().flatten().zip(velocity.iter_mut().flatten()).zip(gradient.iter().flatten());
            all.for_each(|((w, v), g)| {
                *v = momentum * *v - rate * g;
                *w += *v;
            });
        }
        weights
    }

    fn accuracy(&self, weights: &Weights) -> f64 {
        let best = |x: &[f32]| {
            let scores = scores(weights, x);
            (0..CLASSES).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap()
        };
        let right = self.pixels.iter().zip(&self.labels).filter(|(x, label)| best(x) == **label).count();
        right as f64 / self.labels.len() as f64
    }
}

fn scores(weights: &Weights, x: &[f32]) -> [f32; CLASSES] {
    let mut scores = [0.0; CLASSES];
    for (row, x) in weights.iter().zip(x) {
        scores.iter_mut().zip(row).for_each(|(score, w)| *score += w * x);
    }
    scores
}
