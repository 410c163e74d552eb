//! Environment variables that may leave no adapter.

use std::ffi::OsString;

/// Variables by which wgpu and Vulkan's loader choose among backends, drivers and devices.
const CHOOSERS: [&str; 6] = [
    "WGPU_BACKEND",
    "VK_DRIVER_FILES",
    "VK_ICD_FILENAMES",
    "VK_LOADER_DRIVERS_SELECT",
    "VK_LOADER_DRIVERS_DISABLE",
    "VK_LOADER_DEVICE_SELECT",
];

/// The message that there is no adapter, after the variables that may be the cause, with their
/// values.
pub fn explain(no_adapter: &str) -> String {
    with_variables(no_adapter, |name| std::env::var_os(name))
}

fn with_variables(no_adapter: &str, variable: impl Fn(&str) -> Option<OsString>) -> String {
    let set = |name: &&str| Some(format!("{name}={}", variable(name)?.to_string_lossy()));
    let set: Vec<String> = CHOOSERS.iter().filter_map(set).collect();
    match &set[..] {
        [] => no_adapter.into(),
        _ => format!("the environment has {}, which may leave no device: {no_adapter}", set.join(" and ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_choose_are_named_with_their_values() {
        let variable = |name: &str| (name == "WGPU_BACKEND" || name == "HOME").then(|| "gl".into());
        let message = with_variables("no adapter", variable);
        assert_eq!(message, "the environment has WGPU_BACKEND=gl, which may leave no device: no adapter");
        assert_eq!(with_variables("no adapter", |_| None), "no adapter");
    }
}
