//! Chromium without a window, spoken to by its DevTools protocol over two pipes. WebGPU runs on SwiftShader, the software
//! driver that comes with it.

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
    "--remote-debugging-pipe",
];
/// A page that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(50);

pub struct Browser {
    child: Child,
    to: PipeWriter,
    from: BufReader<PipeReader>,
    session: Value,
    calls: u64,
    /// Whatever pages printed to the console, and errors that nothing caught.
    pub noise: Vec<Value>,
    /// Addresses that pages asked for, their own among them.
    pub requests: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// `None`, with a word of why, where no Chromium is installed.
    pub fn start() -> Option<Browser> {
        let is_there = |program: &&&str| {
            let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            found.is_ok_and(|status| status.success())
        };
        let Some(program) = PROGRAMS.iter().find(is_there) else {
            eprintln!("skipped: none of {} is installed", PROGRAMS.join(", "));
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let (its_input, to) = std::io::pipe().unwrap();
        let (from, its_output) = std::io::pipe().unwrap();
        let ends = [its_input.as_raw_fd(), its_output.as_raw_fd()];
        let mut command = Command::new(program);
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        // SAFETY: fcntl and dup2 may be called between fork and exec.
        unsafe {
            command.pre_exec(move || {
                // Chromium reads descriptor 3 and writes descriptor 4; by way of others, which these may be.
                let [input, output] = ends.map(|end| libc::fcntl(end, libc::F_DUPFD_CLOEXEC, 10));
                libc::dup2(input, 3);
                libc::dup2(output, 4);
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        let mut browser = Browser {
            child,
            to,
            from: BufReader::new(from),
            session: Value::Null,
            calls: 0,
            noise: Vec::new(),
            requests: Vec::new(),
            _profile: profile,
        };
        drop((its_input, its_output));
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        browser.session = attached["sessionId"].clone();
        for domain in ["Runtime", "Log", "Network", "Page", "DOM"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Calls a method of the protocol, and keeps what it is told meanwhile.
    #[track_caller]
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": parameters });
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut text = Vec::new();
            self.from.read_until(0, &mut text).unwrap();
            assert!(text.pop() == Some(0), "the browser has ended");
            let mut message: Value = serde_json::from_slice(&text).unwrap();
            if message["id"] == self.calls {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            match message["method"].as_str() {
                Some("Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded") => {
                    self.noise.push(message["params"].take());
                }
                Some("Network.requestWillBeSent") => {
                    self.requests.push(message["params"]["request"]["url"].as_str().unwrap().into());
                }
                _ => {}
            }
        }
    }

    /// The value of an expression, or of the promise that it is.
    #[track_caller]
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let how = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut result = self.call("Runtime.evaluate", how);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].take()
    }

    /// Waits until an expression is neither false, null, zero nor an empty text, and returns it.
    #[track_caller]
    pub fn until(&mut self, expression: &str) -> Value {
        let start = Instant::now();
        loop {
            let value = self.evaluate(expression);
            if !(value.is_null() || value == false || value == 0 || value == "") {
                return value;
            }
            assert!(start.elapsed() < PATIENCE, "{expression} is still {value}");
            sleep(PAUSE);
        }
    }

    /// Opens a page in a file; `before` is a script that runs before those of the page.
    pub fn open(&mut self, page: &Path, before: &str) {
        (self.noise, self.requests) = Default::default();
        let source = json!({ "source": before });
        let script = self.call("Page.addScriptToEvaluateOnNewDocument", source)["identifier"].clone();
        let page = page.canonicalize().unwrap();
        self.call("Page.navigate", json!({ "url": format!("file://{}", page.display()) }));
        self.until("document.readyState === 'complete' && location.protocol === 'file:'");
        self.call("Page.removeScriptToEvaluateOnNewDocument", json!({ "identifier": script }));
    }

    /// Chooses files as a person does.
    pub fn choose(&mut self, selector: &str, files: &[impl AsRef<Path>]) {
        let root = self.call("DOM.getDocument", json!({}))["root"]["nodeId"].clone();
        let input = self.call("DOM.querySelector", json!({ "nodeId": root, "selector": selector }))["nodeId"].clone();
        let files: Vec<_> = files.iter().map(|file| file.as_ref().canonicalize().unwrap()).collect();
        self.call("DOM.setFileInputFiles", json!({ "nodeId": input, "files": files }));
    }
}

impl Browser {
    /// Drops files and folders on the middle of an element.
    pub fn drop_on(&mut self, selector: &str, files: &[&Path]) {
        let middle = format!(
            "(() => {{
                const {{ x, y, width, height }} = document.querySelector('{selector}').getBoundingClientRect();
                return [x + width / 2, y + height / 2];
            }})()"
        );
        let at = self.evaluate(&middle);
        let data = json!({ "items": [], "files": files, "dragOperationsMask": 1 });
        for kind in ["dragEnter", "dragOver", "drop"] {
            let event = json!({ "type": kind, "x": at[0], "y": at[1], "data": data });
            self.call("Input.dispatchDragEvent", event);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // SAFETY: kill has no memory to spoil; the group is that of the child, which has not been waited for.
        unsafe { libc::kill(-(self.child.id() as i32), libc::SIGKILL) };
        let _ = self.child.wait();
    }
}
