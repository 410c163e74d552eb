//! Bad input, command by command: each ends with status 2 and one message that names the file and, in a table, the line,
//! before anything is begun; and not a byte in the user's folder is another one afterwards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::common::program::{files_in, ocellus, photographs, refuse, succeed, text};
use ocellus::app::checkpoint::{self, Metadata};
use ocellus::app::train::files;
use tempfile::TempDir;

/// On the reference, which starts in no time.
const TINY: [&str; 8] = ["--width", "0.03", "--image-size", "32", "--batch", "6", "--device", "cpu"];

/// Every file below a folder, and its bytes; a folder is a path without any.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(snapshot(&path));
            found.insert(path, None);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.insert(path, Some(bytes));
        }
    }
    found
}

/// The program must refuse, and change nothing.
#[track_caller]
fn refuse_and_touch_nothing(folder: &Path, arguments: &[&str], words: &[&str]) {
    let before = snapshot(folder);
    refuse(folder, arguments, words);
    let after = snapshot(folder);
    let differ: Vec<_> =
        before.keys().chain(after.keys()).filter(|&path| before.get(path) != after.get(path)).collect();
    assert!(differ.is_empty(), "{arguments:?} changed {differ:?}");
}

/// Photographs, their splits in `data/`, and a finished run of one epoch in `run/`.
fn with_a_run() -> TempDir {
    let folder = photographs();
    succeed(folder.path(), &["prepare", "data"]);
    succeed(folder.path(), &train("run", &["--epochs", "1"]));
    folder
}

fn train<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "--data", "data", "--out", out], &TINY[..], more].concat()
}

/// The file name in a line of a split's table.
fn named_in(folder: &Path, split: &str, line: usize) -> String {
    let table = std::fs::read_to_string(folder.join(format!("data/{split}.csv"))).unwrap();
    table.lines().nth(line - 1).unwrap().split(',').next().unwrap().to_string()
}

/// Writes other bytes to a file for as long as `test` takes.
fn with_bytes(path: &Path, bytes: &[u8], test: impl FnOnce()) {
    let whole = std::fs::read(path).unwrap();
    std::fs::write(path, bytes).unwrap();
    test();
    std::fs::write(path, whole).unwrap();
}

/// The header of a PNG file of so many pixels, and nothing else.
fn png_of(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend([width.to_be_bytes(), height.to_be_bytes()].concat());
    chunk.extend([8, 2, 0, 0, 0]);
    let checksum = crc32fast::hash(&chunk).to_be_bytes();
    [b"\x89PNG\r\n\x1a\n".as_slice(), &13u32.to_be_bytes(), &chunk, &checksum, b"\0\0\0\0IDAT\x35\xaf\x06\x1e"].concat()
}

/// The headers of a JPEG file of so many pixels, an empty scan, and its end.
fn jpeg_of(width: u16, height: u16) -> Vec<u8> {
    let [w, h] = [width, height].map(u16::to_be_bytes);
    let frame = [0xff, 0xc0, 0, 11, 8, h[0], h[1], w[0], w[1], 1, 1, 0x11, 0];
    [&[0xff, 0xd8], &frame[..], &[0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 0xff, 0xd9]].concat()
}

#[test]
fn layers_that_are_none_are_refused_before_photographs_are_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let frozen = |layers| ["train", "--device", "cpu", "--out", "run", "--freeze", layers];
    refuse_and_touch_nothing(folder.path(), &frozen("conv9"), &["--freeze: \"conv9\" is no layer; there is conv1"]);
    refuse_and_touch_nothing(folder.path(), &frozen("conv1..dense2"), &["nothing is left to train"]);
}

#[test]
fn photographs_that_are_none() {
    let temporary = with_a_run();
    let folder = temporary.path();
    let name = named_in(folder, "test", 4);
    let image = folder.join("data/img").join(&name);
    let whole = std::fs::read(&image).unwrap();
    let photograph = format!("data/img/{name}");
    for (bytes, about) in [
        (whole[..whole.len() / 2].to_vec(), ""),
        (whole[..whole.len() - 2].to_vec(), ""),
        (Vec::new(), "not a JPEG, PNG, BMP or TIFF image"),
        (b"<html>not found</html>".to_vec(), "not a JPEG, PNG, BMP or TIFF image"),
        (png_of(1 << 20, 1 << 20), "claims 1048576 x 1048576 pixels"),
        (png_of(40_000, 40_000), "claims 40000 x 40000 pixels"),
        (png_of(0, 7), ""),
        (jpeg_of(65_500, 65_500), "claims 65500 x 65500 pixels"),
    ] {
        with_bytes(&image, &bytes, || {
            let words = ["test.csv:4: ", &name, about];
            refuse_and_touch_nothing(folder, &train("another", &[]), &words);
            refuse_and_touch_nothing(
                folder,
                &["evaluate", "run", "--data", "data", "--device", "cpu", "--out", "out"],
                &words,
            );
            refuse_and_touch_nothing(folder, &["check-data", "data"], &["1 fault"]);
            for cam in [&["--cam", "maps"][..], &[]] {
                let predict = [&["predict", "run", "data/img", "--device", "cpu"], cam].concat();
                refuse_and_touch_nothing(folder, &predict, &[&name, about]);
            }
        });
    }
    std::fs::remove_file(&image).unwrap();
    let words = ["test.csv:4: column `filename`: no image file", &name];
    refuse_and_touch_nothing(folder, &train("another", &[]), &words);
    refuse_and_touch_nothing(folder, &["evaluate", "run", "--data", "data", "--device", "cpu", "--out", "out"], &words);
    refuse_and_touch_nothing(folder, &["predict", "run", &photograph, "--cam", "maps", "--device", "cpu"], &[&name]);
}

#[test]
fn tables_that_are_odd() {
    let temporary = with_a_run();
    let folder = temporary.path();
    let (train_row, val_row) = (named_in(folder, "train", 2), named_in(folder, "val", 2));
    let person = train_row.split('_').next().unwrap();
    let val = folder.join("data/val.csv");
    let whole = std::fs::read_to_string(&val).unwrap();
    let last = whole.lines().count();
    let with = |row: &str| format!("{whole}{row}\n").into_bytes();
    for (bytes, line, about) in [
        (with(&format!("{val_row},1,Nonesuch")), last + 1, "\"Nonesuch\" is none of the classes"),
        (with(&format!("{val_row},{person},Normal")), last + 1, "is in data/train.csv:2 too"),
        (with(&format!("{val_row},,Normal")), last + 1, "column `id`: empty"),
        (with(&val_row), last + 1, "1 fields, but the header names 3"),
        (with("../val.csv,1,Normal"), last + 1, "leads out of the folder"),
        (with(&format!("\"{val_row},1,Normal")), last + 1, "a quotation mark opened in this row is never closed"),
        (whole.replacen("filename,", "filename;", 1).into_bytes(), 1, "no column `filename`"),
        (b"filename,id,label\n".to_vec(), 1, "no rows"),
        (Vec::new(), 1, "empty file"),
        ([whole.as_bytes(), b"\xff\xfe,1,Normal\n"].concat(), last + 1, "neither UTF-8 nor text"),
        (b"filename,id,label\n\0\0\0,1,Normal\n".to_vec(), 2, "no image file"),
    ] {
        with_bytes(&val, &bytes, || {
            let place = format!("val.csv:{line}: ");
            refuse_and_touch_nothing(folder, &train("another", &[]), &[&place, about]);
            // A person in two splits is no fault of one split, and labels are told by the run.
            if !about.contains("too") {
                let evaluate = ["evaluate", "run", "--data", "data", "--split", "val", "--device", "cpu"];
                refuse_and_touch_nothing(folder, &evaluate, &[&place, about]);
            }
        });
    }
    refuse_and_touch_nothing(folder, &["evaluate", "run", "--data", "data", "--split", "holdout"], &["holdout"]);
    // What `check-data` cannot know is listed.
    with_bytes(&val, &with(&format!("{val_row},1,Nonesuch\n{val_row},1,Another")), || {
        let evaluate = ["evaluate", "run", "--data", "data", "--split", "val", "--device", "cpu"];
        let places = [last + 1, last + 2].map(|line| format!("val.csv:{line}: column `label`: "));
        refuse_and_touch_nothing(folder, &evaluate, &[&places[0], "\"Nonesuch\"", &places[1], "\"Another\""]);
    });
    // A dot in the name of a split is no extension.
    refuse_and_touch_nothing(folder, &["evaluate", "run", "--data", "data", "--split", "val.1"], &["val.1.csv"]);
}

#[test]
fn checkpoints_that_are_of_no_use() {
    let temporary = with_a_run();
    let folder = temporary.path();
    let (best, state) = (folder.join("run").join(files::BEST), folder.join("run").join(files::STATE));
    let weights = std::fs::read(&best).unwrap();
    let evaluate = ["evaluate", "run", "--data", "data", "--device", "cpu"];
    let predict = ["predict", "run", "data/img", "--device", "cpu", "--cam", "maps"];
    let of_none = [&predict[..], &["--cam-class", "GLA"]].concat();
    refuse_and_touch_nothing(folder, &of_none, &["--cam-class GLA", "no class of the network", "AMD, DR_DM, Gla, "]);
    refuse_and_touch_nothing(folder, &["predict", "run", "data/img", "--cam-class", "Gla"], &["--cam <DIR>"]);
    let [in_best, in_state, in_config] = [files::BEST, files::STATE, files::CONFIG].map(|file| format!("run/{file}:"));
    for (bytes, about) in [
        (&weights[..weights.len() - 1], "cut short"),
        (&weights[..100], "cut short"),
        (&weights[..5], "not a safetensors file"),
        (b"PK\x03\x04 a zip archive", "not a safetensors file"),
    ] {
        with_bytes(&best, bytes, || {
            let words = [in_best.as_str(), about];
            refuse_and_touch_nothing(folder, &evaluate, &words);
            refuse_and_touch_nothing(folder, &predict, &words);
            refuse_and_touch_nothing(folder, &["export", "run", "--format", "onnx", "--out", "net.onnx"], &words);
            refuse_and_touch_nothing(folder, &["summary", "run"], &words);
            refuse_and_touch_nothing(folder, &train("another", &["--init", "run"]), &words);
        });
    }
    let resume = ["train", "--resume", "run", "--epochs", "2", "--device", "cpu"];
    let whole = std::fs::read(&state).unwrap();
    with_bytes(&state, &whole[..whole.len() / 2], || {
        refuse_and_touch_nothing(folder, &resume, &[&in_state, "cut short"]);
    });
    with_bytes(&state, &weights, || {
        refuse_and_touch_nothing(folder, &resume, &[&in_state, "no state of training"]);
    });
    let config = folder.join("run").join(files::CONFIG);
    with_bytes(&config, b"seed = 0\nepochs = \"2\"\n", || {
        refuse_and_touch_nothing(folder, &resume, &[&in_config, ":2: invalid type"]);
    });
    // Of another network.
    let wide =
        [&["train", "--data", "data", "--out", "another", "--init", "run", "--width", "0.06"], &TINY[2..]].concat();
    refuse_and_touch_nothing(folder, &wide, &[&in_best, "made by another network", "conv1.kernel"]);
    std::fs::write(folder.join("weights.h5"), b"\x89HDF\r\n\x1a\n and then nothing").unwrap();
    refuse_and_touch_nothing(folder, &train("another", &["--init", "weights.h5"]), &["weights.h5: "]);
}

/// What a checkpoint says of its network is not taken for granted, whatever its tensors are.
#[test]
fn metadata_of_no_network() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let good = Metadata {
        classes: names(&["b", "a"]),
        network: Default::default(),
        image_size: 32.into(),
        width: 0.03,
        epoch: 1,
        val_loss: 0.5,
        operation: Default::default(),
        training: None,
    };
    for (metadata, about) in [
        (Metadata { image_size: 0.into(), ..good.clone() }, "image_size is 0, and must be at least 32"),
        (Metadata { image_size: 8.into(), ..good.clone() }, "image_size is 8, and must be at least 32"),
        (Metadata { image_size: (1 << 40).into(), ..good.clone() }, "8 GiB"),
        (Metadata { image_size: usize::MAX.into(), ..good.clone() }, "8 GiB"),
        (Metadata { width: f64::NAN, ..good.clone() }, "width is NaN"),
        (Metadata { width: -1.0, ..good.clone() }, "width is -1"),
        (Metadata { width: 1e300, ..good.clone() }, "8 GiB"),
        (Metadata { classes: names(&[]), ..good.clone() }, "there are no classes"),
        (Metadata { classes: names(&["b", "a", "b"]), ..good.clone() }, "two classes are called \"b\""),
    ] {
        checkpoint::save(&folder.join("odd.safetensors"), &[], &metadata).unwrap();
        for command in [
            &["summary", "odd.safetensors"][..],
            &["export", "odd.safetensors", "--format", "onnx"],
            &["predict", "odd.safetensors", "photograph.jpg", "--device", "cpu"],
        ] {
            refuse_and_touch_nothing(folder, command, &["odd.safetensors: damaged metadata: ", about]);
        }
    }
    // Classes need no order, and then it is the tensors that are missing.
    checkpoint::save(&folder.join("odd.safetensors"), &[], &good).unwrap();
    refuse_and_touch_nothing(folder, &["summary", "odd.safetensors"], &["made by another network", "is missing"]);
}

/// A class would be named with no reason for it: status 1, and nothing is printed or written.
#[test]
fn weights_that_are_no_numbers() {
    let temporary = with_a_run();
    let folder = temporary.path();
    let best = folder.join("run").join(files::BEST);
    let (mut tensors, metadata) = checkpoint::load(&best).unwrap();
    tensors.iter_mut().find(|tensor| tensor.name == "dense2.bias").unwrap().data[1] = f32::NAN;
    checkpoint::save(&best, &tensors, &metadata).unwrap();
    std::fs::create_dir(folder.join("out")).unwrap();
    for arguments in [
        &["evaluate", "run", "--data", "data", "--out", "out"][..],
        &["predict", "run", "data/img"],
        &["predict", "run", "data/img", "--cam", "out"],
    ] {
        let output = ocellus(folder).args(arguments).args(["--device", "cpu"]).output().unwrap();
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
        assert!(message.contains("error: the network's probabilities are not finite"), "{message}");
        assert!(output.stdout.is_empty() && files_in(&folder.join("out")).is_empty(), "{arguments:?}");
    }
}

/// One image of this size can be planned for, a batch of three cannot.
#[test]
fn batches_that_no_device_holds() {
    let temporary = with_a_run();
    let folder = temporary.path();
    let best = folder.join("run").join(files::BEST);
    let (tensors, metadata) = checkpoint::load(&best).unwrap();
    checkpoint::save(&best, &tensors, &Metadata { image_size: (1 << 15).into(), ..metadata }).unwrap();
    let evaluate = ["evaluate", "run", "--data", "data", "--device", "cpu", "--out", "out"];
    refuse_and_touch_nothing(folder, &evaluate, &["the pixels of a batch", "8 GiB", "--batch"]);
}

/// A run without `--data` draws its photographs in its own folder, but not among other files.
#[test]
fn drawn_photographs_replace_nothing() {
    let temporary = photographs();
    let folder = temporary.path();
    let before = snapshot(&folder.join("data"));
    refuse(folder, &["train", "--out", ".", "--device", "cpu"], &["./data", ": not empty, nothing was written"]);
    assert!(before == snapshot(&folder.join("data")));
    refuse_and_touch_nothing(folder, &["synth", "more", "--images", "18446744073709551615"], &["1000000 are the most"]);
}

/// Where results cannot go.
#[test]
fn places_that_cannot_be_written() {
    let temporary = with_a_run();
    let folder = temporary.path();
    std::fs::write(folder.join("file"), "mine").unwrap();
    refuse_and_touch_nothing(folder, &train("file", &[]), &["file"]);
    refuse_and_touch_nothing(folder, &train("file/run", &[]), &["file/run"]);
    refuse_and_touch_nothing(folder, &train("run", &[]), &["run", "already holds a run"]);
    refuse_and_touch_nothing(folder, &train("another", &["--tensorboard", "file"]), &["file"]);
    let evaluate = ["evaluate", "run", "--data", "data", "--device", "cpu", "--out", "file"];
    refuse_and_touch_nothing(folder, &evaluate, &["file"]);
    refuse_and_touch_nothing(folder, &["predict", "run", "data/img", "--device", "cpu", "--cam", "file"], &["file"]);
    refuse_and_touch_nothing(
        folder,
        &["predict", "run", "data/img", "--device", "cpu", "--cam", "data/img"],
        &["another folder"],
    );
    refuse_and_touch_nothing(folder, &["synth", "data"], &["data", "not empty"]);
    assert_eq!(files_in(folder), ["data", "file", "run"]);
}
