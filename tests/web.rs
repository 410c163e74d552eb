//! Pages that classify: what is in them, and what they compute in a browser, compared with `ocellus predict`. The second half
//! needs Chromium, and says so where there is none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageEncoder, Rgb, RgbImage, Rgba, RgbaImage};
use ocellus::app::checkpoint::{self, Metadata, Operation, Tensor, Threshold};
use ocellus::app::data::{Resampling, synthetic};
use ocellus::app::exchange::web::{self, Page};
use ocellus::engine::image_size::ImageSize;
use ocellus::engine::numbers::uniform;
use ocellus::network::{Architecture, Network, weights};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::browser::Browser;
use crate::common::program::{refuse, succeed, text};

const CLASSES: [&str; 3] = ["AMD", "a, \"b\"", "</script><p>"];
/// Its second convolution is computed in tiles, and its ReLU and max pool have kernels of their own.
const TILED: &str = r#"
layer = [
    { type = "conv2d", filters = 96, kernel = 3, stride = 2 },
    { type = "batch_norm" },
    { type = "relu" },
    { type = "conv2d", filters = 96, kernel = 3 },
    { type = "relu" },
    { type = "max_pool", window = 2 },
    { type = "global_average_pool" },
    { type = "dense" },
]
"#;
const TILED_SIZE: ImageSize = ImageSize { height: 40, width: 32 };

/// A page of the width that the issue of small files is about.
const MOST_BYTES: usize = 4_000_000;
/// How far apart two orders of f32 sums may be, and what halves may add.
const ROUNDING: f64 = 1e-5;
const HALVES: f64 = 2e-3;

fn metadata(network: &str, image_size: ImageSize, width: f64) -> Metadata {
    let threshold = Threshold { class: CLASSES[1].into(), goal: "specificity 0.9".into(), probability: 0.3 };
    Metadata {
        classes: CLASSES.map(String::from).to_vec(),
        network: Architecture::read(network, image_size).unwrap(),
        image_size,
        width,
        epoch: 3,
        val_loss: 0.5,
        operation: Operation { temperature: Some(1.5), thresholds: vec![threshold] },
        training: None,
    }
}

fn tiled() -> Metadata {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tiled.toml");
    fs::write(&file, TILED).unwrap();
    metadata(file.to_str().unwrap(), TILED_SIZE, 1.0)
}

fn network_of(metadata: &Metadata) -> Network {
    metadata.network.build(metadata.image_size, metadata.width, metadata.classes.len()).unwrap()
}

/// Fresh weights, with biases that are not zero, and a last layer that sets the classes apart.
fn tensors(network: &Network) -> Vec<Tensor> {
    let mut tensors = weights::initial(network, 3);
    for (seed, tensor) in tensors.iter_mut().enumerate().filter(|(_, tensor)| tensor.name.ends_with("bias")) {
        tensor.data = uniform(seed as u64, tensor.data.len());
    }
    let last = tensors.iter_mut().rfind(|tensor| tensor.name.ends_with("kernel")).unwrap();
    last.data.iter_mut().for_each(|value| *value *= 4.0);
    tensors
}

fn html(metadata: &Metadata) -> String {
    let network = network_of(metadata);
    let tensors = web::rounded(&tensors(&network));
    let checks = web::check_pictures().into_iter().map(|picture| (picture, vec![0.5; CLASSES.len()])).collect();
    let (title, resize, exact, figures) = ("<b>run</b>", Resampling::Lanczos, false, None);
    Page { title, network: &network, tensors: &tensors, metadata, resize, exact, figures, checks, doctor: true }
        .html()
        .unwrap()
}

/// The text between a tag and the end of its element.
fn element<'a>(html: &'a str, tag: &str) -> &'a str {
    let (_, rest) = html.split_once(tag).unwrap();
    rest.split_once("</script>").unwrap().0
}

#[test]
fn a_page_is_whole_and_asks_for_nothing() {
    let html = html(&metadata("tutorial", 224.into(), 0.25));
    let cases = serde_json::from_str::<Value>(element(&html, "id=\"data\">")).unwrap()["cases"].to_string().len();
    assert!(html.len() - cases < MOST_BYTES && cases < MOST_BYTES, "{} bytes, {cases} of them cases", html.len());
    asks_for_nothing(&html);
    // Neither a class nor a title ends its element.
    assert_eq!((html.matches("<script").count(), html.matches("</script>").count()), (6, 6));
    assert!(html.contains("<title>&lt;b&gt;run&lt;/b&gt;</title>"));
}

#[test]
fn the_plan_of_a_page_is_complete() {
    let of_presets = [("tutorial", ImageSize::square(224)), ("residual", ImageSize { height: 72, width: 56 })];
    let of_presets = of_presets.map(|(network, size)| metadata(network, size, 0.25));
    for (metadata, tiles) in of_presets.into_iter().map(|metadata| (metadata, 0)).chain([(tiled(), 1)]) {
        let network = metadata.network.to_string();
        let html = html(&metadata);
        let data: Value = serde_json::from_str(element(&html, "id=\"data\">")).unwrap();
        assert_eq!(data["classes"], serde_json::json!(CLASSES));
        let plan = &data["plan"];
        let list = |key: &str| plan[key].as_array().unwrap();
        let (buffers, modules) = (list("buffers"), list("modules"));
        let (mut used, mut run) = (vec![false; buffers.len()], vec![false; modules.len()]);
        for step in list("once").iter().chain(list("each")) {
            run[step["module"].as_u64().unwrap() as usize] = true;
            for pair in step["buffers"].as_array().unwrap() {
                used[pair[1].as_u64().unwrap() as usize] = true;
            }
        }
        assert!(used.iter().chain(&run).all(|used| *used), "{network}: {used:?} {run:?}");
        // Winograd's weights are transformed once, into buffers that no photograph's step writes again.
        let transforms =
            |key: &str| list(key).iter().filter(|step| step["name"].as_str().unwrap().ends_with("weights")).count();
        assert_eq!((transforms("once"), transforms("each")), (tiles, 0), "{network}");
        let bytes: u64 = list("weights")
            .iter()
            .map(|weight| {
                let bytes = buffers[weight["buffer"].as_u64().unwrap() as usize].as_u64().unwrap();
                bytes / 4 * weight["size"].as_u64().unwrap()
            })
            .sum();
        assert_eq!(element(&html, "id=\"weights\">").len() as u64, 4 * bytes.div_ceil(3));
    }
}

/// The words that a page which asks for something would have.
#[track_caller]
fn asks_for_nothing(html: &str) {
    assert!(html.contains("default-src 'none'"));
    let words = [
        "http:",
        "https:",
        "fetch(",
        "import(",
        "import ",
        "XMLHttp",
        "WebSocket",
        "Worker(",
        " src=",
        "url(",
        "@import",
    ];
    for word in words {
        assert!(
            !html.contains(word),
            "{word} in {:?}",
            html.find(word).map(|at| &html[at.saturating_sub(50)..at + 50])
        );
    }
    assert!(!html.contains("{{"));
}

#[test]
fn options_of_pages_are_for_pages() {
    let folder = tempfile::tempdir().unwrap();
    for option in ["--exact", "--doctor", "--train"] {
        let words = format!("{option} is for --format web");
        refuse(
            folder.path(),
            &["export", "--format", "onnx", option, "run"][..if option == "--train" { 4 } else { 5 }],
            &[&words],
        );
    }
}

/// Weights, and a page of them as `export` writes it.
fn exported(folder: &Path, metadata: &Metadata, more: &[&str]) -> PathBuf {
    checkpoint::save(&folder.join("w.safetensors"), &tensors(&network_of(metadata)), metadata).unwrap();
    let export = ["export", "w.safetensors", "--format", "web", "--out", "page.html"];
    succeed(folder, &[&export[..], more].concat());
    folder.join("page.html")
}

/// Waits until a page has made up its mind, and returns what it says.
#[track_caller]
fn opened(browser: &mut Browser, page: &Path, before: &str) -> String {
    browser.open(page, before);
    settled(browser)
}

#[track_caller]
fn settled(browser: &mut Browser) -> String {
    let is_settled = "!element('restart').hidden || !element('work').hidden";
    let said = browser.until(&format!("{is_settled} ? element('status').textContent : ''"));
    said.as_str().unwrap().into()
}

/// Pictures of several sizes and kinds: their names and the kinds of bytes, which decoders turn into the same pixels.
fn pictures(folder: &Path) -> Vec<String> {
    let sizes = [(150, 150), (97, 131), (301, 200), (64, 64), (40, 37)];
    let drawn = |(height, width)| synthetic::samples(5, ImageSize { height, width });
    let mut names = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>| {
        fs::write(folder.join(&name), bytes).unwrap();
        names.push(name);
    };
    let png = |picture: &DynamicImage| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    };
    let jpeg = |picture: &RgbImage| {
        let mut bytes = Vec::new();
        picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 90)).unwrap();
        bytes
    };
    for (number, size) in sizes.into_iter().enumerate() {
        let picture = drawn(size).swap_remove(number);
        add(format!("{number}.jpg"), jpeg(&picture));
        add(format!("{number}.png"), png(&picture.clone().into()));
        if number > 0 {
            continue;
        }
        // Colours under transparency count; the lower byte of 16 bits does not; nor does an orientation.
        let veiled = |x, y, &Rgb([red, green, blue]): &Rgb<u8>| Rgba([red, green, blue, (3 * x + y) as u8]);
        let (width, height) = picture.dimensions();
        let transparent = RgbaImage::from_fn(width, height, |x, y| veiled(x, y, picture.get_pixel(x, y)));
        add("transparent.png".into(), png(&transparent.into()));
        let deep = image::ImageBuffer::from_fn(width, height, |x, y| {
            Rgb(picture.get_pixel(x, y).0.map(|value| u16::from(value) * 256 + (7 * x + y) as u16 % 256))
        });
        add("deep.png".into(), png(&DynamicImage::ImageRgb16(deep)));
        let turned = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
        encoder.set_exif_metadata(turned.to_vec()).unwrap();
        picture.write_with_encoder(encoder).unwrap();
        add("turned.jpg".into(), bytes);
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        encoder.set_exif_metadata(turned.to_vec()).unwrap();
        picture.write_with_encoder(encoder).unwrap();
        add("turned.png".into(), bytes);
    }
    names
}

/// Rows of a table of predictions by their photographs' names: class, probabilities, positive classes.
fn rows(table: &str) -> BTreeMap<String, (String, Vec<f64>, String)> {
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let head = ["filename", "predicted"].into_iter().chain(CLASSES).chain(["positive"]);
    assert!(reader.headers().unwrap().iter().eq(head), "{table}");
    let row = |record: csv::StringRecord| {
        let name = Path::new(&record[0]).file_name().unwrap().to_str().unwrap().to_string();
        let probabilities = (2..5).map(|cell| record[cell].parse().unwrap()).collect();
        (name, (record[1].to_string(), probabilities, record[5].to_string()))
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

/// A page's probabilities and its first map, beside those of `predict`; returns the largest difference.
#[track_caller]
fn compare(browser: &mut Browser, metadata: &Metadata, more: &[&str], tolerance: f64) -> f64 {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let page = exported(folder.path(), metadata, more);
    let names = pictures(folder.path());
    let said = opened(browser, &page, "");
    assert!(said.starts_with("Ready. The 3 built-in pictures get the program's probabilities"), "{said}");

    fs::write(folder.path().join("text.png"), "no picture").unwrap();
    fs::write(folder.path().join("cut.jpg"), &fs::read(folder.path().join("0.jpg")).unwrap()[..2000]).unwrap();
    let files: Vec<PathBuf> =
        names.iter().map(String::as_str).chain(["text.png", "cut.jpg"]).map(|name| folder.path().join(name)).collect();
    browser.choose("#files", &files);
    browser.until(&format!("!working && rows.length === {}", files.len()));
    let faults =
        browser.evaluate("rows.filter((row) => row.fault).map((row) => `${row.file.name}: ${row.fault}`).join('\\n')");
    let faults = faults.as_str().unwrap();
    assert_eq!(
        faults,
        "text.png: Not a JPEG, PNG or BMP picture.\ncut.jpg: A damaged picture, or one of a kind that this browser does not read."
    );

    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let predicted = succeed(
        folder.path(),
        &[&["predict", "w.safetensors", "--format", "csv", "--cam", "maps"], &names[..]].concat(),
    );
    let (want, table) = (rows(&text(&predicted.stdout)), browser.evaluate("csv()"));
    let got = rows(table.as_str().unwrap());
    assert_eq!(got.len(), names.len());
    let mut worst: f64 = 0.0;
    for (name, (class, probabilities, positive)) in &want {
        let (its_class, its_probabilities, its_positive) = &got[name];
        let apart = probabilities.iter().zip(its_probabilities).map(|(a, b)| (a - b).abs());
        let apart = apart.fold(0.0, |worst: f64, apart| if apart <= worst { worst } else { apart });
        assert!(apart <= tolerance, "{name}: {probabilities:?}, and in the browser {its_probabilities:?}");
        assert_eq!((class, positive), (its_class, its_positive), "{name}");
        worst = worst.max(apart);
    }
    let of_first = |row: &(String, Vec<f64>, String)| row.1[0];
    let spread = |pick: fn(f64, f64) -> f64, start| want.values().map(of_first).fold(start, pick);
    let spread = spread(f64::max, 0.0) - spread(f64::min, 1.0);
    assert!(spread > 10.0 * tolerance, "pictures differ by {spread} only: that proves little");

    for name in ["1.png", "2.jpg"] {
        let map = image::open(folder.path().join(format!("maps/{name}.cam.png"))).unwrap().into_rgb8();
        let drawn = format!(
            "(async () => {{
                await choose(rows.find((row) => row.file.name === '{name}'));
                const {{ width, height }} = element('picture');
                const copy = new OffscreenCanvas(width, height).getContext('2d', {{ willReadFrequently: true }});
                copy.drawImage(element('picture'), 0, 0);
                return [width, height, [...copy.getImageData(0, 0, width, height).data]];
            }})()"
        );
        let drawn = browser.evaluate(&drawn);
        assert_eq!((drawn[0].as_u64(), drawn[1].as_u64()), (Some(map.width().into()), Some(map.height().into())));
        let rgba: Vec<i64> = drawn[2].as_array().unwrap().iter().map(|value| value.as_i64().unwrap()).collect();
        let rgb = rgba.chunks_exact(4).flat_map(|pixel| &pixel[..3]);
        let apart = rgb.zip(map.as_raw()).map(|(got, want)| (got - i64::from(*want)).abs()).max().unwrap();
        assert!(apart <= 2, "{name}: a map's pixel is {apart} levels away");
    }
    assert_eq!(browser.noise, Vec::<Value>::new());
    assert_eq!(browser.requests.len(), 1, "{:?}", browser.requests);
    worst
}

#[test]
fn a_browser_computes_what_the_program_does() {
    let Some(mut browser) = Browser::start() else { return };
    let small = metadata("tutorial", 64.into(), 0.25);
    let exact = compare(&mut browser, &small, &["--exact"], ROUNDING);
    let halves = compare(&mut browser, &small, &[], HALVES);
    assert!(halves > exact, "rounding {exact}, halves {halves}: are they halves?");
    compare(&mut browser, &tiled(), &["--exact"], ROUNDING);
    compare(&mut browser, &metadata("residual", ImageSize { height: 72, width: 56 }, 0.25), &["--exact"], ROUNDING);
}

/// Scripts that take something from the browser, and what the page then says.
const MISSING: [(&str, &str); 5] = [
    ("Object.defineProperty(window, 'isSecureContext', { value: false })", "Browsers compute only on pages from a file"),
    ("Object.defineProperty(navigator, 'gpu', { value: undefined })", "This browser has no WebGPU."),
    ("GPU.prototype.requestAdapter = async () => null", "WebGPU finds no graphics device here."),
    (
        "const request = GPU.prototype.requestAdapter;
         GPU.prototype.requestAdapter = async function () {
             const { limits } = await request.call(this);
             return { limits: { ...limits, maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupStorageSize: 1024 } };
         }",
        "This graphics device is too small for the network: maxComputeWorkgroupStorageSize is 1024, and 16384 are needed.",
    ),
    (
        "GPUAdapter.prototype.requestDevice = async () => { throw new Error('no memory') }",
        "The graphics device did not open: no memory",
    ),
];

#[test]
fn a_page_says_what_is_missing() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = exported(folder.path(), &metadata("tutorial", 32.into(), 0.03), &[]);
    for (script, sentence) in MISSING {
        let said = opened(&mut browser, &page, script);
        assert!(said.starts_with(sentence), "{script}: {said}");
        assert_eq!(browser.evaluate("element('work').hidden"), true);
        assert_eq!(browser.noise, Vec::<Value>::new(), "{script}");
    }

    let said = opened(&mut browser, &page, "");
    assert!(said.starts_with("Ready."), "{said}");
    fs::write(folder.path().join("a.png"), ocellus::files::png(&web::check_pictures()[0])).unwrap();
    browser.choose("#files", &[folder.path().join("a.png")]);
    browser.until("!working && rows.length === 1");
    // A folder in a folder, and a file that is named as no picture.
    let inner = folder.path().join("dropped/inner");
    fs::create_dir_all(&inner).unwrap();
    fs::copy(folder.path().join("a.png"), inner.join("b.png")).unwrap();
    fs::write(inner.join("notes.txt"), "no picture").unwrap();
    browser.drop_on("#drop", &[&folder.path().join("dropped"), &folder.path().join("a.png")]);
    browser.until("!working && rows.length === 3");
    let names = browser.evaluate("rows.map((row) => nameOf(row.file)).join(' ')");
    assert_eq!(names, "a.png a.png dropped/inner/b.png");
    browser.evaluate("player.device.destroy()");
    let lost = "!element('restart').hidden && element('status').textContent";
    let said = browser.until(lost);
    assert!(said.as_str().unwrap().starts_with("The graphics device was lost."), "{said}");
    assert_eq!(browser.evaluate("rows.length"), 3, "what was found stays");
    browser.evaluate("element('restart').click()");
    assert!(settled(&mut browser).starts_with("Ready."));
    assert_eq!(browser.noise, Vec::<Value>::new());
}

/// Every kernel of a page, in the browser, against its twin; a factor that is wrong by 2e-4 fails.
#[test]
fn a_page_is_its_own_doctor() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = exported(folder.path(), &metadata("residual", 32.into(), 0.03), &["--doctor"]);
    let verdict =
        "element('verdicts').hidden ? '' : `${element('examined').textContent}\n${element('verdicts').innerText}`";
    let mut examine = |page: &Path| {
        let said = opened(&mut browser, page, "");
        assert!(said.starts_with("Ready."), "{said}");
        browser.evaluate("element('examine').click()");
        let found = browser.until(verdict).as_str().unwrap().to_string();
        (found, browser.evaluate("element('status').textContent"), browser.noise.len())
    };
    let (found, _, noise) = examine(&page);
    assert!(found.starts_with("Everything passed.") && noise == 0, "{found}");
    let kernels = [
        "add/",
        "augment/",
        "average_pool/",
        "batch_norm/",
        "conv2d/",
        "dense/",
        "global_average_pool/",
        "relu/",
        "softmax",
    ];
    for kernel in kernels {
        assert!(found.contains(&format!("\n{kernel}")), "{kernel} is not proved: {found}");
    }
    // The kernels of the cases alone are broken: those of the network still classify.
    let html = fs::read_to_string(&page).unwrap();
    let (network, cases) = html.split_once("\"cases\":").unwrap();
    let kernel = "exp(logits[base + c] - highest) / sum";
    assert!(cases.contains(kernel));
    let broken = cases.replace(kernel, "exp(logits[base + c] - highest) / (1.0002 * sum)");
    fs::write(&page, format!("{network}\"cases\":{broken}")).unwrap();
    let (found, said, _) = examine(&page);
    assert!(found.starts_with("FAILED: softmax_cross_entropy/forward") && found.contains("WRONG"), "{found}");
    assert_eq!(said, "A kernel is wrong on this device. Nothing is classified here.");
}

/// A weight, a probability or a kernel that is not as the program wrote it.
#[test]
fn a_page_that_computes_something_else_stops() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = exported(folder.path(), &metadata("tutorial", 32.into(), 0.03), &[]);
    let html = fs::read_to_string(&page).unwrap();
    let weights = element(&html, "id=\"weights\">");
    let quarter = weights.len() / 16 * 4;
    let blank = "AAAA".repeat(quarter / 4);
    let turned = format!("{}{blank}{}", &weights[..2 * quarter], &weights[3 * quarter..]);
    let cut = weights[..weights.len() - 8].to_string();
    let kernel = "exp(logits[base + c] - highest) / sum";
    assert!(html.contains(kernel));
    for (damaged, sentence) in [
        (html.replace(weights, &turned), "This browser and device do not compute what the program did"),
        (html.replace(weights, &cut), "This page is damaged: its weights are not of its network"),
        (
            html.replace(kernel, "exp(logits[base + c] - highest) / (1.001 * sum)"),
            "This browser and device do not compute",
        ),
        (html.replace(kernel, "exp(logits[base + c] - highest) / summ"), "This browser refuses a kernel"),
        (html.replace(kernel, "bitcast<f32>(0x7fc00000u + c)"), "The graphics device computed no probabilities"),
    ] {
        fs::write(&page, damaged).unwrap();
        let said = opened(&mut browser, &page, "");
        assert!(said.starts_with(sentence), "{sentence}: {said}");
        assert_eq!(browser.evaluate("element('work').hidden"), true);
    }
}

/// A page that trains: its first losses are the program's, and it asks for nothing but itself.
#[test]
fn a_page_trains_as_the_program_does() {
    let folder = tempfile::tempdir().unwrap();
    succeed(folder.path(), &["export", "--format", "web", "--train"]);
    let page = folder.path().join("train.html");
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.len() < MOST_BYTES, "{} bytes", html.len());
    asks_for_nothing(&html);
    let data: Value = serde_json::from_str(element(&html, "id=\"data\">")).unwrap();
    let want: Vec<f64> = data["losses"].as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap()).collect();
    assert_eq!(want.len(), web::PROVED);
    let Some(mut browser) = Browser::start() else { return };

    let ready = "!element('train').hidden || !element('restart').hidden";
    let told = "element('status').textContent";
    browser.open(&page, "");
    browser.until(ready);
    let said = browser.evaluate(told);
    assert!(said.as_str().unwrap().starts_with("Ready."), "{said}");
    browser.evaluate("element('train').click()");
    let proved = format!("(!element('restart').hidden || losses.length > {}) && {told}", want.len());
    let said = browser.until(&proved);
    assert!(said.as_str().is_some_and(|said| said.contains("The first 20 losses are the program's")), "{said}");
    let losses = browser.evaluate("losses");
    let mut worst: f64 = 0.0;
    for (step, want) in want.iter().enumerate() {
        let got = losses[step].as_f64().unwrap_or(f64::NAN);
        assert!((got - want).abs() <= web::LOSS_AGREEMENT, "step {}: {got} instead of {want}", step + 1);
        worst = worst.max((got - want).abs());
    }
    println!("losses are within {worst:.1e}");
    // It pauses, goes on, and has drawn what it did.
    browser.evaluate("element('pause').click()");
    browser.until("!element('train').hidden");
    let done = browser.evaluate("losses.length").as_u64().unwrap();
    browser.evaluate("element('train').click()");
    browser.until(&format!("losses.length > {done}"));
    let points = browser.evaluate("element('loss').querySelector('.mean').getAttribute('points').split(' ').length");
    assert!(points.as_u64().unwrap() >= done, "{points} points of {done} steps");
    assert!(browser.noise.is_empty(), "{:?}", browser.noise);
    assert_eq!(browser.requests.len(), 1, "{:?}", browser.requests);
}

/// A factor of a kernel that is wrong by 1e-3, and a loss that is NaN: training stops at the first step that shows it.
#[test]
fn a_page_that_trains_otherwise_stops() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    succeed(folder.path(), &["export", "--format", "web", "--train"]);
    let page = folder.path().join("train.html");
    let html = fs::read_to_string(&page).unwrap();
    for (kernel, instead, sentence) in [
        (
            "exp(logits[base + c] - highest) / sum",
            "exp(logits[base + c] - highest) / (1.01 * sum)",
            "This browser and device do not compute what the program did: step ",
        ),
        ("weight * (log(sum)", "bitcast<f32>(0x7fc00000u + sample) * (log(sum)", "The loss of step 1 is NaN"),
    ] {
        assert!(html.contains(kernel));
        fs::write(&page, html.replace(kernel, instead)).unwrap();
        browser.open(&page, "");
        browser.until("!element('train').hidden");
        browser.evaluate("element('train').click()");
        browser.until("!element('restart').hidden");
        let said = browser.evaluate("element('status').textContent");
        assert!(said.as_str().unwrap().starts_with(sentence), "{instead}: {said}");
        assert_eq!(browser.evaluate("element('train').hidden"), true);
    }
}
