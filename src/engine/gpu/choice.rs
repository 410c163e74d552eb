//! Which of the adapters to take.

use super::{Listed, environment};
use crate::error::{Error, Result};

/// Smaller numbers are places in the list; others may be part of a name, as in "RTX 4090".
const FIRST_NAME: usize = 100;

/// Device that the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A discrete GPU, else an integrated one, else whatever there is.
    Auto,
    /// The f64 twins.
    Cpu,
    /// The number that `ocellus devices` prints.
    Index(usize),
    /// As `Auto`, of one backend.
    Backend(wgpu::Backend),
    /// A part of the adapter's name, upper or lower case, of one backend or any.
    Name { backend: Option<wgpu::Backend>, part: String },
    /// The adapter that was open before: wherever in the list it is now, and no other.
    Again(Box<wgpu::AdapterInfo>),
}

impl std::str::FromStr for Choice {
    type Err = std::convert::Infallible;

    /// `auto`, `cpu`, `INDEX`, `BACKEND`, `NAME-PART` or `BACKEND:NAME-PART`.
    fn from_str(text: &str) -> std::result::Result<Choice, Self::Err> {
        let text = text.trim().to_lowercase();
        let backend = |word: &str| wgpu::Backend::ALL.into_iter().find(|backend| backend.to_str() == word);
        Ok(match text.as_str() {
            "auto" => Choice::Auto,
            "cpu" => Choice::Cpu,
            _ => match (as_index(&text), backend(&text), text.split_once(':')) {
                (Some(index), ..) => Choice::Index(index),
                (None, Some(backend), _) => Choice::Backend(backend),
                (None, None, Some((word, part))) if backend(word).is_some() => {
                    Choice::Name { backend: backend(word), part: part.trim().into() }
                }
                _ => Choice::Name { backend: None, part: text },
            },
        })
    }
}

fn as_index(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number| *number < FIRST_NAME)
}

/// Every adapter of the kind that `Choice::Auto` takes, each a choice.
///
/// # Errors
/// `Error::Device` where no adapter can be used.
pub fn all_alike() -> Result<Vec<Choice>> {
    alike(&super::list())
}

/// The adapters that are like the best one: of its name, driver and backend, so that results are rounded alike.
fn alike(listed: &[Listed]) -> Result<Vec<Choice>> {
    let best = &listed[choose(&Choice::Auto, listed)?];
    let like = |one: &Listed| one.describe() == best.describe() && one.problem.is_none();
    Ok((0..listed.len()).filter(|&index| like(&listed[index])).map(Choice::Index).collect())
}

/// The place of the adapter in the list.
///
/// # Errors
/// `Error::Device` says what there is to choose from. `Choice::Cpu` is not an adapter and panics: the caller handles it.
pub(super) fn choose(choice: &Choice, listed: &[Listed]) -> Result<usize> {
    if listed.is_empty() {
        return Err(Error::Device(no_adapter()));
    }
    let best = |backend: Option<wgpu::Backend>| {
        let usable = |one: &Listed| one.problem.is_none() && backend.is_none_or(|backend| one.info.backend == backend);
        (0..listed.len()).filter(|&index| usable(&listed[index])).min_by_key(|&index| listed[index].rank())
    };
    let named = |backend: Option<wgpu::Backend>, part: &str| {
        let fits = |one: &Listed| {
            backend.is_none_or(|backend| one.info.backend == backend) && one.info.name.to_lowercase().contains(part)
        };
        // Every name contains nothing, and most a small number.
        listed.iter().position(|one| !part.is_empty() && as_index(part).is_none() && fits(one))
    };
    let (found, fault) = match choice {
        Choice::Auto => (best(None), "no adapter can be used (see `ocellus devices`)".into()),
        Choice::Cpu => panic!("the CPU reference is not an adapter"),
        Choice::Index(index) => {
            (Some(*index).filter(|index| *index < listed.len()), format!("there is no device {index}"))
        }
        Choice::Backend(backend) => (best(Some(*backend)), format!("no {backend} device can be used")),
        Choice::Name { backend: None, part } if part.is_empty() => (None, "--device is empty".into()),
        Choice::Name { backend: None, part } => (named(None, part), format!("no device's name contains '{part}'")),
        Choice::Name { backend: Some(backend), part } => {
            (named(Some(*backend), part), format!("no {backend} device's name contains '{part}'"))
        }
        Choice::Again(info) => {
            let there = listed.iter().position(|one| is_same(&one.info, info));
            (there, format!("{} is no longer there", info.name))
        }
    };
    let lines = listed.iter().enumerate().map(|(index, one)| format!("\n  {index}  {}", one.spelled()));
    found.ok_or_else(|| Error::Device(format!("{fault}; there are:{}", lines.collect::<String>())))
}

/// An adapter, whichever place in the list it has.
fn is_same(one: &wgpu::AdapterInfo, other: &wgpu::AdapterInfo) -> bool {
    let key = |info: &wgpu::AdapterInfo| {
        (info.backend, info.vendor, info.device, info.device_pci_bus_id.clone(), info.name.clone())
    };
    key(one) == key(other)
}

/// Message for a machine without a usable adapter: variables that may be the cause, then the
/// remedy.
pub fn no_adapter() -> String {
    environment::explain(&remedy(std::env::consts::OS))
}

/// Remedy for a missing adapter on a system, as `std::env::consts::OS` calls it.
fn remedy(system: &str) -> String {
    let (missing, remedy) = match system {
        "windows" => (
            "DirectX 12 or Vulkan",
            "update Windows and install the newest graphics driver of the GPU's maker; in a virtual machine or a remote \
             session the GPU must be passed through",
        ),
        "macos" => ("Metal", "update macOS; a virtual machine needs a GPU that it can use"),
        _ => (
            "Vulkan",
            "install your GPU's Vulkan driver, or a software one with scripts/setup.sh (Debian, Ubuntu: apt-get install \
             mesa-vulkan-drivers)",
        ),
    };
    format!("no {missing} adapter found: {remedy}. `--device cpu` runs without any, slowly")
}

#[cfg(test)]
mod tests {
    use wgpu::Backend::{Dx12, Metal, Vulkan};
    use wgpu::DeviceType::{Cpu, DiscreteGpu, IntegratedGpu};

    use super::*;

    /// A laptop with two GPUs, one of them listed twice, and a software adapter.
    fn laptop() -> Vec<Listed> {
        let of = |name: &str, kind, backend| {
            let info = wgpu::AdapterInfo { name: name.into(), ..wgpu::AdapterInfo::new(kind, backend) };
            let (limits, features) = (wgpu::Limits::defaults(), wgpu::Features::empty());
            let matrix_units = Err("none".to_string());
            Listed { info, limits, features, halves: false, matrix_units, problem: None }
        };
        vec![
            of("Intel(R) UHD Graphics 630", IntegratedGpu, Vulkan),
            of("NVIDIA GeForce RTX 4090", DiscreteGpu, Vulkan),
            of("NVIDIA GeForce RTX 4090", DiscreteGpu, Dx12),
            of("Microsoft Basic Render Driver", Cpu, Dx12),
        ]
    }

    fn chosen(text: &str) -> Result<usize> {
        let Ok(choice) = text.parse();
        choose(&choice, &laptop())
    }

    #[test]
    fn devices_are_chosen_by_number_name_and_backend() {
        let cases = [
            ("auto", 1),
            ("0", 0),
            ("3", 3),
            ("nvidia", 1),
            ("4090", 1),
            (" Intel", 0),
            ("dx12", 2),
            ("vulkan", 1),
            ("DX12:NVIDIA", 2),
            ("vulkan:4090", 1),
            ("dx12:microsoft", 3),
            ("dx12:NVIDIA GeForce RTX 4090", 2),
        ];
        for (text, index) in cases {
            assert_eq!(chosen(text).unwrap(), index, "{text}");
        }
    }

    /// A number is no part of a name, though names have numbers in them, and nothing is no part either.
    #[test]
    fn what_is_no_device_is_refused_with_the_list() {
        for text in
            ["4", "5", "30", "99", "", " ", "dx12:", "dx12:0", "dx12:intel", "metal", "metal:nvidia", "amd", "-1"]
        {
            let message = chosen(text).unwrap_err().to_string();
            assert!(message.contains("\n  2  dx12:NVIDIA GeForce RTX 4090"), "{text}: {message}");
        }
        assert!(chosen("").unwrap_err().to_string().starts_with("--device is empty"));
    }

    #[test]
    fn an_adapter_that_was_open_is_found_again_by_its_backend() {
        let Ok(choice) = "dx12:nvidia".parse();
        let mut listed = laptop();
        let open = listed[choose(&choice, &listed).unwrap()].info.clone();
        let again = Choice::Again(Box::new(open));
        listed.swap(0, 2);
        assert_eq!(choose(&again, &listed).unwrap(), 0);
        listed.remove(0);
        assert!(choose(&again, &listed).unwrap_err().to_string().contains("no longer there"));
    }

    #[test]
    fn all_are_those_like_the_best() {
        let mut listed = laptop();
        listed.push(listed[1].clone());
        assert_eq!(alike(&listed).unwrap(), [Choice::Index(1), Choice::Index(4)], "one backend, no other GPU");
        listed[4].problem = Some("its limits are below WebGPU's defaults".to_string());
        assert_eq!(alike(&listed).unwrap(), [Choice::Index(1)]);
        assert!(alike(&[]).is_err());
    }

    #[test]
    fn adapters_that_cannot_be_used_are_not_chosen_unasked() {
        let mut listed = laptop();
        let problem = Some("its limits are below WebGPU's defaults".to_string());
        listed[1].problem.clone_from(&problem);
        assert_eq!(choose(&Choice::Auto, &listed).unwrap(), 2);
        listed[2].problem = problem;
        assert_eq!(choose(&Choice::Backend(Dx12), &listed).unwrap(), 3);
        assert!(choose(&Choice::Backend(Metal), &listed).is_err());
    }

    #[test]
    fn each_system_has_its_own_remedy() {
        let none = choose(&Choice::Auto, &[]).unwrap_err().to_string();
        assert_eq!(none, remedy(std::env::consts::OS));
        for (system, its, others) in [
            ("linux", ["Vulkan", "apt-get", "setup.sh"], ["Metal", "DirectX", "Windows"]),
            ("windows", ["DirectX 12", "driver", "Windows"], ["apt-get", "setup.sh", "Metal"]),
            ("macos", ["Metal", "macOS", "GPU"], ["apt-get", "setup.sh", "Vulkan"]),
        ] {
            let message = remedy(system);
            assert!(its.iter().all(|word| message.contains(word)), "{system}: {message}");
            assert!(!others.iter().any(|word| message.contains(word)), "{system}: {message}");
            assert!(message.contains("`--device cpu`"), "{system}: {message}");
        }
    }
}
