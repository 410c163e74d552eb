"""What compilers say of every module: Mesa's, Microsoft's, the one of Chromium's WebGPU."""

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import vendors
import windows
from folders import enter
from tools import HERE, ICDS, PROGRAM, WORK, debian, dxcompiler, must, python_vulkan, run, swiftshader, webgpu

MODULES = WORK / "modules"
# As `ocellus shaders --format` names them.
LANGUAGES = ["wgsl", "spirv", "msl", "hlsl", "hlsl5"]

# Networks whose modules are looked at, by the options of `ocellus shaders`: the tutorial's, one where no size is a multiple
# of four, and both as software adapters with subgroups of eight (lavapipe) and four (SwiftShader) run them; the first with
# activations in half precision, with pieces of every size that tuning tries, and for smaller photographs.
ODD = ["--image-size", "67", "--width", "0.3", "--batch", "5"]
PLANS = {"plain": [], "odd": ODD, "half": ["--half-activations"], "sizes": ["--every-size"],
         "small": ["--image-size", "64"], "subgroup8": ["--subgroup", "8"],
         "subgroup4": ["--subgroup", "4", *ODD]}
# What GPUs run; the subgroup core is for software adapters, and needs more registers than a GPU's thread has.
GPU_PLANS = ["plain", "odd", "half", "sizes", "small"]
# Languages of some plans, if not all. FXC knows no subgroups; other sizes are other numbers, which only registers may notice.
SOME_LANGUAGES = {"sizes": ["spirv"], "small": ["spirv"], "subgroup8": LANGUAGES[:-1], "subgroup4": LANGUAGES[:-1]}
# gfx1100 is RDNA 3; the others are GCN 4 and 5, RDNA 1 and 2.
AMD_CHIPS = ["polaris10", "vega10", "navi10", "navi21", "gfx1100"]
# What this machine's Mesa may not know: RDNA 4.
NEW_AMD_CHIPS = ["gfx1201"]
# Intel's Arc A and Arc B; NVIDIA's Turing and Ampere by Mesa's numbers of their chips.
INTEL_CHIPS = ["dg2", "bmg"]
NVIDIA_CHIPS = {"sm_75": "164", "sm_86": "172"}
# Matrix units have modules in SPIR-V and MSL. Direct3D 12 has none that naga writes, and Tint's extension for them is another.
UNITS_PLANS = {f"units{size}{name}": ["--matrix-units", size, *options] for size in ["8", "16"]
               for name, options in {"": [], "odd": ODD}.items()}
BATCH = 100  # modules that one process compiles for a chip


def modules():
    """Every module of the plans in each language: the files by its name."""
    if not hasattr(modules, "files"):
        shutil.rmtree(MODULES, ignore_errors=True)
        must(["cargo", "build", "--release"])
        modules.files, modules.complaints = {language: [] for language in LANGUAGES}, []
        for plan, options in PLANS.items():
            for language in LANGUAGES:
                if language not in SOME_LANGUAGES.get(plan, LANGUAGES):
                    continue
                folder = MODULES / language / plan
                status, output = run([PROGRAM, "shaders", "--format", language, "--out", folder, *options])
                modules.complaints += [output] if status else []
                modules.files[language] += sorted(folder.glob("*"))
    return modules.files


def distinct(files):
    """A file of each text: networks share modules."""
    return list({file.read_bytes(): file for file in reversed(files)}.values())[::-1]


def check_modules():
    return sum(map(len, modules().values())), modules.complaints


def check_spirv():
    validator = debian("spirv-tools") / "usr" / "bin" / "spirv-val"
    complaints = []
    for file in modules()["spirv"]:
        status, output = run([validator, "--target-env", "vulkan1.1", file])
        complaints += [f"{file}: {output}"] if status else []
    return len(modules()["spirv"]), complaints


def check_matrices():
    """Modules for matrix units, by Debian 13's spirv-val: this machine's may be older than cooperative matrices."""
    must(["cargo", "build", "--release"])
    total, complaints = 0, []
    for plan, options in UNITS_PLANS.items():
        for language in ["spirv", "msl"]:
            folder = MODULES / f"{language}-units" / plan
            shutil.rmtree(folder, ignore_errors=True)
            status, output = run([PROGRAM, "shaders", "--format", language, "--out", folder, *options])
            complaints += [output] if status else []
            total += len(list(folder.glob("*")))
        folder = MODULES / "spirv-units" / plan
        validate = f"for file in {folder}/*.spv; do spirv-val --target-env vulkan1.1 $file || echo $file; done"
        status, output = enter(vendors.folder(), validate)
        complaints += [output] if status or output.strip() else []
    return total, complaints


def check_in_one(command, files, **environment):
    """A script that takes all files and prints a line for each that it refuses, then one that sums up."""
    status, output = run([*command, *files], **environment)
    lines = output.strip().splitlines()
    if status not in (0, 1) or not lines or f" of {len(files)} " not in lines[-1]:
        return len(files), [f"did not finish: {output}"]
    refused = [line for line in lines[:-1] if line.startswith(str(WORK))]
    assert bool(refused) == bool(status), output
    return len(files), refused


def check_tint():
    return check_in_one(["node", HERE / "tint.mjs", webgpu()], modules()["wgsl"], **swiftshader())


def check_dxc():
    """Microsoft's DXC twice: 1.7 for Linux, and a current one in wine, which knows words that the older one does not."""
    sources = distinct(modules()["hlsl"])
    total, complaints = check_in_one([sys.executable, HERE / "dxc.py", dxcompiler()], sources)
    current = windows.compile_hlsl("dxc", "dxcompiler.dll", sources)
    return total + len(sources), [f"DXC 1.7: {one}" for one in complaints] + [f"DXC 1.10: {one}" for one in current]


def check_fxc():
    """What wgpu falls back to on Windows without DXC. It knows no subgroups."""
    sources = distinct(modules()["hlsl5"])
    return len(sources), windows.compile_hlsl("fxc", "d3dcompiler_47.dll", sources)


def spills(chips, compiled):
    """Modules that GPUs run, for each chip; what `compiled` printed of those that spill registers or do not compile. All
    that it printed is in CHIP.statistics."""
    sources = distinct([file for file in modules()["spirv"] if file.parent.name in GPU_PLANS])
    batches = [(name, sources[at:at + BATCH]) for name in chips for at in range(0, len(sources), BATCH)]
    printed, complaints = {name: "" for name in chips}, []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda batch: compiled(chips[batch[0]], batch[1]), batches)
        for (name, batch), (status, output) in zip(batches, results):
            spilling = [f"{name}: {line}" for line in output.splitlines() if line.endswith("SPILLS")]
            finished = f" of {len(batch)} compile without spills" in output and status == bool(spilling)
            complaints += spilling + ([] if finished else [f"{name}: did not finish: {output[-2000:]}"])
            printed[name] += output
            told = printed[name].count(".spv ")
            print(f"{name}: {told} of {len(sources)} modules, {len(complaints)} complaints", file=sys.stderr, flush=True)
    for name, text in printed.items():
        (WORK / f"{name}.statistics").write_text(text)
    return len(sources) * len(chips), complaints


def by_this_mesa(chip, files):
    environment = {**chip, "VK_DRIVER_FILES": str(ICDS / "radeon_icd.x86_64.json"), "MESA_SHADER_CACHE_DISABLE": "true"}
    return run([python_vulkan(), HERE / "pipeline_stats.py", *files], **environment)


def check_radv():
    older = spills({chip: {"RADV_FORCE_FAMILY": chip} for chip in AMD_CHIPS}, by_this_mesa)
    newer = spills({chip: vendors.amd(chip) for chip in NEW_AMD_CHIPS}, vendors.statistics)
    return older[0] + newer[0], older[1] + newer[1]


def check_vendors():
    intel = {chip: vendors.intel(chip) for chip in INTEL_CHIPS}
    nvidia = {name: vendors.nvidia(chipset) for name, chipset in NVIDIA_CHIPS.items()}
    return spills({**intel, **nvidia}, vendors.statistics)
