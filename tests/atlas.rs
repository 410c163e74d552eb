//! The atlas: everything that it says of a step is there, and nothing of it is elsewhere.

use std::path::Path;

use serde_json::Value;

use crate::common::program::{refuse, succeed, text};

const NETWORK: [&str; 6] = ["--image-size", "32", "--width", "0.0625", "--batch", "3"];

/// The data within a page.
fn data(page: &Path) -> Value {
    let page = std::fs::read_to_string(page).unwrap();
    let (before, rest) = page.split_once("id=\"data\">").unwrap();
    let (data, after) = rest.split_once("</script>").unwrap();
    for text in [before, after] {
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!text.contains(outside), "the page asks for {outside}");
        }
    }
    serde_json::from_str(data).unwrap()
}

#[test]
fn every_step_has_its_kernel_twin_bound_cases_and_mutants() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("atlas.html");
    succeed(folder.path(), &["atlas", "--out", "atlas.html", "--image-size", "224", "--batch", "32"]);
    let bytes = std::fs::metadata(&page).unwrap().len();
    assert!(bytes < 5 << 20, "{bytes} bytes");
    let data = data(&page);
    let (steps, nodes) = (data["steps"].as_array().unwrap(), data["nodes"].as_array().unwrap());
    assert!(steps.len() > 200, "{} steps", steps.len());
    let mut next = 0;
    for node in nodes {
        assert_eq!(node["steps"][0], next, "{node}");
        next = node["steps"][1].as_u64().unwrap();
    }
    assert_eq!(next as usize, steps.len());
    for phase in ["forward", "loss", "backward", "update"] {
        assert!(nodes.iter().any(|node| node["phase"] == phase), "no operation of the {phase}");
    }
    for step in steps {
        let path = step["kernel"].as_str().unwrap();
        let kernel = &data["kernels"][path];
        let files = data["modules"][step["module"].as_u64().unwrap() as usize].as_array().unwrap();
        let last = files.last().unwrap();
        assert!(last[0].as_str().unwrap().ends_with(&format!("{path}.wgsl")), "{path}: {}", last[0]);
        assert!(last[1].as_str().unwrap().contains("@group(0)"), "{path}");
        assert!(kernel["head"].as_str().unwrap().contains("Host: "), "{path}");
        assert!(kernel["host"]["text"].as_str().unwrap().contains("fn "), "{path}: {}", kernel["host"]);
        let shared = path.starts_with("sum/");
        assert!(shared || kernel["twin"]["text"].as_str().unwrap().contains("fn "), "{path}: {}", kernel["twin"]);
        assert!(kernel["bound"]["text"].as_str().unwrap().contains("Uncertaint"), "{path}");
        for (list, least) in [("cases", 1), ("mutants", 3)] {
            assert!(kernel[list].as_array().unwrap().len() >= least, "{path}: {list}: {}", kernel[list]);
        }
    }
}

#[test]
fn a_profile_gives_steps_their_times() {
    let folder = tempfile::tempdir().unwrap();
    let device = std::env::var("OCELLUS_TEST_DEVICE").unwrap_or("auto".into());
    let profile = succeed(folder.path(), &[&["profile", "--json", "--device", &device], &NETWORK[..]].concat());
    std::fs::write(folder.path().join("profile.json"), &profile.stdout).unwrap();
    let atlas = |more: &[&'static str]| [&["atlas", "--out", "atlas.html", "--profile", "profile.json"], more].concat();
    succeed(folder.path(), &atlas(&NETWORK));
    let data = data(&folder.path().join("atlas.html"));
    let profile: Value = serde_json::from_str(&text(&profile.stdout)).unwrap();
    assert!(data["steps"].as_array().unwrap().iter().all(|step| step["seconds"].as_f64().is_some()));
    assert_eq!(data["peaks"], profile["peaks"]);
    refuse(folder.path(), &atlas(&["--image-size", "64"]), &["profile.json: of another plan: it has"]);
    std::fs::write(folder.path().join("profile.json"), "{}").unwrap();
    refuse(folder.path(), &atlas(&NETWORK), &["profile.json: no steps: `ocellus profile --json` prints them"]);
    refuse(folder.path(), &["atlas", "--out", "nowhere/atlas.html"], &["nowhere"]);
}
