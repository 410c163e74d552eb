#!/usr/bin/env python3
"""Holds every kernel against compilers and drivers that this machine does not have, and prints a table.

Nothing is installed: the tools come from the Debian, PyPI and npm registries into target/portability/tools.
Needs a Debian or Ubuntu machine with apt-get, dpkg, cargo, node, npm, Python 3.9 and Mesa's Vulkan drivers
(scripts/setup.sh), and no GPU. Status 1 if anything complains.

usage: run.py [CHECK...]    every check, or those named; `run.py list` names them
"""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "portability"
TOOLS, MODULES = WORK / "tools", WORK / "modules"
PROGRAM = ROOT / "target" / "release" / "ocellus"
# As `ocellus shaders --format` names them.
LANGUAGES = ["wgsl", "spirv", "msl", "hlsl", "hlsl5"]

# Networks whose modules are looked at, by the options of `ocellus shaders`: the tutorial's, one where no size is a multiple
# of four, and both as software adapters with subgroups of eight (lavapipe) and four (SwiftShader) run them; the first with
# activations in half precision.
ODD = ["--image-size", "67", "--width", "0.3", "--batch", "5"]
PLANS = {"plain": [], "odd": ODD, "half": ["--half-activations"], "subgroup8": ["--subgroup", "8"],
         "subgroup4": ["--subgroup", "4", *ODD]}
# What GPUs run; the subgroup core is for software adapters, and needs more registers than a GPU's thread has.
GPU_PLANS = ["plain", "odd", "half"]
# Small enough for SwiftShader, which is four times as slow as lavapipe, and for the validation layer.
KERNEL_TESTS = ["adam", "augment", "batch_norm", "bias", "conv2d", "dense", "global_average_pool", "guard", "max_pool",
                "peak", "receipt", "relu", "softmax_cross_entropy", "sum", "winograd"]
# naga gives arrays in workgroup memory a stride, which SPIR-V since 1.6 has no use for; wgpu silences this one too.
NAGAS_STRIDES = "VUID-StandaloneSpirv-None-10684"
# gfx1100 is RDNA 3; the others are GCN 4 and 5, RDNA 1 and 2.
AMD_CHIPS = ["polaris10", "vega10", "navi10", "navi21", "gfx1100"]
ICDS = Path("/usr/share/vulkan/icd.d")
LAVAPIPE = {"VK_DRIVER_FILES": str(ICDS / "lvp_icd.x86_64.json")}
WINE = Path("/usr/lib/wine/wine64")
MOST_WAITS, STRIDE = 1000, 7  # of a run of a few steps, about 350 waits
FXC_SECONDS = 120  # for a module; the longest takes ten of processor time
WINE_TRIES = 3  # now and then wine loses its own server


def run(command, cwd=None, **environment):
    """Status and output of a command."""
    # Without a desktop session, Mesa looks for one all the same and complains.
    environment = {"XDG_RUNTIME_DIR": "/tmp", **os.environ, **environment}
    done = subprocess.run([str(word) for word in command], cwd=cwd or ROOT, env=environment, text=True,
                          errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def must(command, cwd=None, **environment):
    status, output = run(command, cwd, **environment)
    if status:
        sys.exit(f"{' '.join(map(str, command))}: status {status}\n{output}")
    return output


def tool(name, fetch):
    """The folder of a tool, fetched once."""
    folder = TOOLS / name
    if not folder.exists():
        print(f"Fetching {name}", file=sys.stderr)
        unfinished = TOOLS / f"{name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        fetch(unfinished)
        unfinished.rename(folder)
    return folder


def debian(package):
    """Unpacks a Debian package."""

    def fetch(folder):
        status, _ = run(["apt-get", "download", package], folder)
        if status:
            # A fresh machine has no lists of packages yet.
            must(["apt-get", "update"])
            must(["apt-get", "download", package], folder)
        [archive] = folder.glob("*.deb")
        must(["dpkg", "-x", archive, folder])

    return tool(package, fetch)


def webgpu():
    return tool("webgpu", lambda folder: must(["npm", "install", "--ignore-scripts", "webgpu@0.6.2"], folder)) / "node_modules"


def dxcompiler():
    def fetch(folder):
        must([sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "compushady==0.17.5"], folder)
        must(["tar", "xzf", "compushady-0.17.5.tar.gz"], folder)

    return next(tool("dxc", fetch).rglob("libdxcompiler_x86_64.so*"))


def python_vulkan():
    """A Python with the package `vulkan`."""

    def fetch(folder):
        must([sys.executable, "-m", "venv", folder / "venv"])
        must([folder / "venv" / "bin" / "pip", "install", "vulkan==1.3.275.1"])

    # An environment remembers where it was made, but its interpreter works after a move.
    return tool("vulkan", fetch) / "venv" / "bin" / "python3"


def layer(folder, name, library, **more):
    """Writes the manifest of a Vulkan layer."""
    about = {"name": name, "type": "GLOBAL", "api_version": "1.3.239", "library_path": f"./{library}",
             "implementation_version": "1", "description": name, **more}
    (folder / f"{name}.json").write_text(json.dumps({"file_format_version": "1.2.0", "layer": about}))


def chromium_vulkan():
    """SwiftShader and a current validation layer, with a manifest for the latter."""
    folder = debian("chromium-common") / "usr" / "lib" / "chromium"
    extensions = ["debug_report", "debug_utils", "validation_features", "layer_settings"]
    layer(folder, "VK_LAYER_KHRONOS_validation", "libVkLayer_khronos_validation.so",
          instance_extensions=[{"name": f"VK_EXT_{name}", "spec_version": "1"} for name in extensions])
    return folder


def own_layer(name):
    """The folder of a layer of this project's, NAME.c, and the layer's name."""
    headers = debian("libvulkan-dev") / "usr" / "include"
    folder = TOOLS / name
    folder.mkdir(exist_ok=True)
    must(["gcc", "-shared", "-fPIC", "-O1", f"-I{headers}", "-o", folder / f"lib{name}.so", HERE / f"{name}.c"])
    names = {"vkNegotiateLoaderLayerInterfaceVersion": "negotiate", "vkGetInstanceProcAddr": "instance", "vkGetDeviceProcAddr": "device"}
    layer(folder, f"VK_LAYER_{name}", f"lib{name}.so", functions={call: f"layer_{own}" for call, own in names.items()})
    return folder, f"VK_LAYER_{name}"


def swiftshader():
    return {"VK_DRIVER_FILES": str(chromium_vulkan() / "vk_swiftshader_icd.json")}


def newer_lavapipe():
    """Mesa's software driver as Debian's backports have it for this release."""

    def fetch(folder):
        [codename] = re.findall(r"^VERSION_CODENAME=(.*)$", Path("/etc/os-release").read_text(), re.MULTILINE)
        (folder / "sources.list").write_text("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
                                             f"http://deb.debian.org/debian {codename}-backports main\n")
        (folder / "lists").mkdir()
        places = {"Dir::Etc::SourceList": folder / "sources.list", "Dir::Etc::SourceParts": "-", "Dir::State::Lists": folder / "lists"}
        apt = ["apt-get", *(word for name, place in places.items() for word in ("-o", f"{name}={place}"))]
        must([*apt, "update"])
        must([*apt, "download", "mesa-vulkan-drivers", "libdrm2"], folder)
        for archive in folder.glob("*.deb"):
            must(["dpkg", "-x", archive, folder])

    folder = tool("newer_lavapipe", fetch)
    libraries, manifest = folder / "usr" / "lib" / "x86_64-linux-gnu", folder / "lavapipe.json"
    about = {"api_version": "1.3.0", "library_path": str(libraries / "libvulkan_lvp.so")}
    manifest.write_text(json.dumps({"file_format_version": "1.0.0", "ICD": about}))
    return {"VK_DRIVER_FILES": str(manifest), "LD_LIBRARY_PATH": str(libraries)}


def modules():
    """Every module of the plans in each language: the files by its name."""
    if not hasattr(modules, "files"):
        shutil.rmtree(MODULES, ignore_errors=True)
        must(["cargo", "build", "--release"])
        modules.files, modules.complaints = {language: [] for language in LANGUAGES}, []
        for plan, options in PLANS.items():
            for language in LANGUAGES:
                if language == "hlsl5" and plan not in GPU_PLANS:
                    continue  # it knows no subgroups
                folder = MODULES / language / plan
                status, output = run([PROGRAM, "shaders", "--format", language, "--out", folder, *options])
                modules.complaints += [output] if status else []
                modules.files[language] += sorted(folder.glob("*"))
    return modules.files


def check_modules():
    return sum(map(len, modules().values())), modules.complaints


def check_spirv():
    validator = debian("spirv-tools") / "usr" / "bin" / "spirv-val"
    complaints = []
    for file in modules()["spirv"]:
        status, output = run([validator, "--target-env", "vulkan1.1", file])
        complaints += [f"{file}: {output}"] if status else []
    return len(modules()["spirv"]), complaints


def check_in_one(command, language, **environment):
    """A script that takes all files and prints a line for each that it refuses, then one that sums up."""
    files = modules()[language]
    status, output = run([*command, *files], **environment)
    lines = output.strip().splitlines()
    if status not in (0, 1) or not lines or f" of {len(files)} " not in lines[-1]:
        return len(files), [f"did not finish: {output}"]
    refused = [line for line in lines[:-1] if line.startswith(str(WORK))]
    assert bool(refused) == bool(status), output
    return len(files), refused


def check_tint():
    return check_in_one(["node", HERE / "tint.mjs", webgpu()], "wgsl", **swiftshader())


def check_dxc():
    return check_in_one([sys.executable, HERE / "dxc.py", dxcompiler()], "hlsl")


def check_fxc():
    """What wgpu falls back to on Windows without DXC. It knows no subgroups."""
    if not shutil.which("x86_64-w64-mingw32-gcc") or not WINE.exists():
        return 0, ["needs Debian's wine64 and gcc-mingw-w64-x86-64-win32"]
    sources = modules()["hlsl5"]
    folder = WORK / "fxc"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    must(["x86_64-w64-mingw32-gcc", "-O1", "-o", folder / "fxc.exe", HERE / "fxc.c"])

    environment = {"WINEPREFIX": str(folder / "wine"), "WINEDEBUG": "-all", "WINEDLLOVERRIDES": "d3dcompiler_47=n;mscoree=;mshtml="}
    library = webgpu() / "webgpu" / "dist" / "win32-x64" / "d3dcompiler_47.dll"
    run([WINE, "fxc.exe"], folder, **environment)  # makes wine's folder

    def compile_one(source):
        file = folder / f"{source.parent.name}-{source.name}"
        shutil.copy(source, file)
        for _ in range(WINE_TRIES):
            status, output = run(["timeout", str(FXC_SECONDS), WINE, "fxc.exe", library, file.name], folder, **environment)
            if "wine client error" not in output:
                break
        if status == 124:
            return f"{source}: not compiled in {FXC_SECONDS} s"
        return None if "1 of 1 accepted by FXC" in output else f"{source}: {output}"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        complaints = [complaint for complaint in pool.map(compile_one, sources) if complaint]
    return len(sources), complaints


def check_radv():
    total, complaints = 0, []
    files = [file for file in modules()["spirv"] if file.parent.name in GPU_PLANS]
    for chip in AMD_CHIPS:
        environment = {"RADV_FORCE_FAMILY": chip, "VK_DRIVER_FILES": str(ICDS / "radeon_icd.x86_64.json"),
                       "MESA_SHADER_CACHE_DISABLE": "true"}
        status, output = run([python_vulkan(), HERE / "pipeline_stats.py", *files], **environment)
        spilling = [f"{chip}: {line}" for line in output.splitlines() if line.endswith("SPILLS")]
        total += len(files)
        complaints += spilling or ([f"{chip}: {output}"] if status else [])
    return total, complaints


def kernel_tests(**environment):
    """Tests that ran, those that failed, and everything that was printed."""
    tests = [f"{test}::" for test in KERNEL_TESTS]
    _, output = run(["cargo", "test", "--release", "--test", "main", "--", "--nocapture", *tests], **environment)
    results = re.findall(r"^test result: .*?(\d+) passed; (\d+) failed", output, re.MULTILINE)
    failed = re.findall(r"^test (?!result)(.*) \.\.\. FAILED$", output, re.MULTILINE)
    # The status says less: the validation layer aborts a process that ends without closing its device.
    if not results:
        failed.append(f"did not finish: {output[-2000:]}")
    return sum(int(passed) + int(lost) for passed, lost in results), failed, output


def check_swiftshader():
    total, failed, output = kernel_tests(**swiftshader())
    return total, failed


def doctor(*options, **environment):
    """Comparisons of the doctor on a device, and what it found."""
    must(["cargo", "build", "--release"])
    status, output = run([PROGRAM, "doctor", "--json", *options], **environment)
    # Layers print between its lines, but not within.
    report = re.search(r"^\[\n.*^\]$", output, re.MULTILINE | re.DOTALL)
    rows = [row for part in json.loads(report[0]) for row in part["rows"]] if report else []
    faults = [fault for row in rows for fault in row["faults"]]
    if status not in (0, 1) or not rows:
        faults.append(f"did not finish: {output[-2000:]}")
    return sum(row["comparisons"] for row in rows), faults, output


def check_races():
    """Every kernel and variant, and a training step, under the validation layer: data races in workgroup memory, accesses
    out of bounds, misuse of Vulkan."""
    without_robustness, name = own_layer("no_robustness")
    environment = {"VK_LAYER_PATH": f"{without_robustness}:{chromium_vulkan()}", **LAVAPIPE,
                   "VK_INSTANCE_LAYERS": f"{name}:VK_LAYER_KHRONOS_validation",
                   "WGPU_VALIDATION": "1", "WGPU_GPU_BASED_VALIDATION": "1"}
    total, faults, output = doctor(**environment)
    found = re.findall(r"^Validation Error: \[ (\S+) \].*$", output, re.MULTILINE)
    return total, faults + sorted(set(found) - {NAGAS_STRIDES})


def check_lost():
    """Short runs in which the driver says at one wait, at a later one each time, that a device is lost. A run goes on to its
    end, or, where it has not begun, ends with a message. One that loses a device which only compiles takes no notice."""
    must(["cargo", "build", "--release"])
    folder, name = own_layer("lost_device")
    environment = {"VK_LAYER_PATH": str(folder), "VK_INSTANCE_LAYERS": name, **LAVAPIPE}
    data, out = WORK / "lost_data", WORK / "lost_run"
    shutil.rmtree(data, ignore_errors=True)
    must([PROGRAM, "synth", data, "--images", "200", "--size", "32"])
    complaints, went_on = [], 0
    for count, wait in enumerate(range(1, MOST_WAITS, STRIDE)):
        shutil.rmtree(out, ignore_errors=True)
        command = [PROGRAM, "train", "--data", data, "--out", out, "--fast-dev-run", "--image-size", "32", "--width", "0.05", "--batch", "4"]
        status, output = run(["timeout", "300", *command], OCELLUS_LOSE_AT=str(wait), **environment)
        recovered = status == 0 and "Going on from epoch" in output
        went_on += recovered
        if "lost the first device" in output:
            right = recovered or status == 1 and "was lost" in output
        elif "lost the other device" in output:
            right = status == 0
        else:
            # The run has fewer waits than that.
            return count, complaints + ([] if went_on else ["no run went on"])
        if "panicked" in output or not right:
            complaints.append(f"wait {wait}, status {status}: {output}")
    return count, complaints + [f"a run has more than {MOST_WAITS} waits"]


# Devices that run everything, by the options that make them so.
GOLDEN = ROOT / "tests" / "golden"


def check_suite(small, environment, *options):
    """All of the doctor's cases and all golden files; of the latter not the tutorial's own size where it takes too long, or
    where the largest of its weights, of 36 MiB, does not bind."""
    golden = WORK / "golden"
    shutil.rmtree(golden, ignore_errors=True)
    shutil.copytree(GOLDEN, golden, ignore=shutil.ignore_patterns(*["full.*"] * small))
    runs = [doctor(*run, *options, **environment) for run in [("--thorough",), ("--golden", golden)]]
    return sum(total for total, _, _ in runs), [fault for _, faults, _ in runs for fault in faults]


CHECKS = {
    "modules": ("naga to SPIR-V, MSL and HLSL of shader models 6.0 and 5.1", check_modules),
    "spirv": ("spirv-val on naga's SPIR-V", check_spirv),
    "tint": ("Tint's strict check of the WGSL", check_tint),
    "dxc": ("Microsoft's DXC on naga's HLSL", check_dxc),
    "fxc": ("Microsoft's FXC on naga's HLSL (what GPUs run)", check_fxc),
    "radv": (f"RADV for {', '.join(AMD_CHIPS)}: compiles without spills", check_radv),
    "swiftshader": ("the kernels' tests on SwiftShader", check_swiftshader),
    "races": ("the doctor under the validation layer: data races, accesses out of bounds", check_races),
    "lost": ("runs whose driver loses the device, at every seventh wait for it", check_lost),
    "lavapipe": ("doctor --thorough and golden files on lavapipe", lambda: check_suite(False, LAVAPIPE)),
    "limits": ("the same with WebGPU's default limits", lambda: check_suite(False, LAVAPIPE, "--default-limits")),
    "bindings": ("the same with bindings of 16 MiB, but for the tutorial's own size", lambda: check_suite(True, LAVAPIPE, "--max-binding-mib", "16")),
    "newer": ("the same on lavapipe of Debian's backports", lambda: check_suite(False, newer_lavapipe())),
    "small": ("the same on SwiftShader, but for the tutorial's own size", lambda: check_suite(True, swiftshader())),
}


def main():
    chosen = sys.argv[1:] or list(CHECKS)
    if chosen == ["list"]:
        return print(*CHECKS, sep="\n")
    if unknown := set(chosen) - set(CHECKS):
        sys.exit(f"no check is called {', '.join(sorted(unknown))}\n{__doc__}")
    rows, failed = [], False
    for name in chosen:
        title, check = CHECKS[name]
        total, complaints = check()
        for complaint in complaints:
            print(f"{name}: {complaint}", file=sys.stderr)
        failed |= bool(complaints) or total == 0
        rows.append(f"| {title} | {total} | {len(complaints)} | `scripts/portability/run.py {name}` |")
    print("\n| check | of | complaints | command |\n| --- | --- | --- | --- |", *rows, sep="\n")
    sys.exit(failed)


if __name__ == "__main__":
    main()
