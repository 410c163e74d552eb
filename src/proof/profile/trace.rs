//! A profile as trace events, which Chrome (`chrome://tracing`) and Perfetto show on a time line.

use serde_json::{Value, json};

use super::Profile;

/// Lanes of the time line.
const HOST: u64 = 1;
const DEVICE: u64 = 2;

impl Profile {
    /// The host's part of one step, and below it each step of the device by its own timestamps, one after the other.
    ///
    /// Times are medians, each of its own: host and device are no one run.
    pub fn to_trace(&self) -> Value {
        let micros = |seconds: f64| 1e6 * seconds;
        let name =
            |pid: u64, name: &str| json!({ "ph": "M", "pid": pid, "name": "process_name", "args": { "name": name } });
        let event = |pid: u64, category: &str, name: &str, from: f64, seconds: f64, args: Value| {
            json!({
                "ph": "X",
                "pid": pid,
                "tid": 1,
                "cat": category,
                "name": name,
                "ts": micros(from),
                "dur": micros(seconds),
                "args": args,
            })
        };
        let mut events = vec![name(HOST, "host"), name(DEVICE, &self.device)];
        events.push(event(HOST, "submit", "encode and submit", 0.0, self.submit_seconds, json!({})));
        let wait = (self.step_seconds - self.submit_seconds).max(0.0);
        events.push(event(HOST, "wait", "wait, and read metrics", self.submit_seconds, wait, json!({})));
        let mut from = 0.0;
        for step in &self.steps {
            let args = json!({
                "kernel": step.kernel,
                "gflop": step.gflop,
                "gbytes": step.gbytes,
                "gflops": step.gflop / step.seconds.max(f64::MIN_POSITIVE),
                "copied_to_textures": step.copied,
            });
            let category = step.name.split(' ').next().unwrap_or_default();
            events.push(event(DEVICE, category, &step.name, from, step.seconds, args));
            from += step.seconds;
        }
        json!({
            "traceEvents": events,
            "displayTimeUnit": "ms",
            "otherData": {
                "device": self.device,
                "driver": self.driver,
                "image_size": self.image_size,
                "batch": self.batch,
                "times": "medians, each step by its own timestamps; a step's copies into textures are part of it",
            },
        })
    }
}
