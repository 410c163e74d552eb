"""The program on drivers that need no GPU, and in the hands of layers that watch it or fail on purpose."""

import json
import re
import shlex
import shutil

import windows
from compilers import check_in_one
from folders import enter
from tools import HERE, LAVAPIPE, PROGRAM, ROOT, WORK, chromium_vulkan, must, newer_lavapipe, own_layer, run, swiftshader, webgpu

# Small enough for SwiftShader, which is four times as slow as lavapipe, and for the validation layer.
KERNEL_TESTS = ["adam", "augment", "batch_norm", "bias", "conv2d", "dense", "global_average_pool", "guard", "max_pool",
                "peak", "receipt", "relu", "softmax_cross_entropy", "sum", "winograd"]
# naga gives arrays in workgroup memory a stride, which SPIR-V since 1.6 has no use for; wgpu silences this one too.
NAGAS_STRIDES = "VUID-StandaloneSpirv-None-10684"
MOST_WAITS, STRIDE = 1000, 7  # of a run of a few steps, about 350 waits


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


def findings(status, output):
    """Comparisons that a doctor made, what it found, and all that it printed."""
    # Layers print between its lines, but not within.
    report = re.search(r"^\[\n.*^\]$", output, re.MULTILINE | re.DOTALL)
    rows = [row for part in json.loads(report[0]) for row in part["rows"]] if report else []
    faults = [fault for row in rows for fault in row["faults"]]
    if status not in (0, 1) or not rows:
        faults.append(f"did not finish: {output[-2000:]}")
    return sum(row["comparisons"] for row in rows), faults, output


def doctor(*options, run=run, **environment):
    must(["cargo", "build", "--release"])
    return findings(*run([PROGRAM, "doctor", "--json", *options], **environment))


def check_windows():
    """The doctor by each of the interfaces to GPUs that Windows has."""
    program, total, complaints = windows.program(), 0, []
    for backend in ["dx12", "vulkan"]:
        status, output = windows.wine(f"cd {program.parent}; $WINE {program.name} doctor --json --device {backend}")
        comparisons, faults, _ = findings(status, output.replace("\r", ""))
        total += comparisons
        complaints += [f"{backend}: {fault}" for fault in faults]
    return total, complaints


def check_pages():
    """Pages for browsers, run by Dawn: the residual network on an image that is not square, too."""
    folder, pages = WORK / "pages", []
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    must(["cargo", "build", "--release"])
    must([PROGRAM, "synth", folder / "data", "--images", "48", "--size", "32"])
    for network in ["tutorial", "residual"]:
        run_folder = folder / network
        must([PROGRAM, "train", "--data", folder / "data", "--out", run_folder, "--network", network, "--epochs", "1",
              "--image-size", "40x32", "--width", "0.125", "--batch", "6"], **LAVAPIPE)
        pages.append(folder / f"{network}.html")
        must([PROGRAM, "export", run_folder, "--format", "web", "--out", pages[-1]], **LAVAPIPE)
    return check_in_one(["node", HERE / "page.mjs", webgpu()], pages, **newer_lavapipe())


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


def check_suite(small, environment, *options, run=run):
    """All of the doctor's cases and all golden files; of the latter not the tutorial's own size where it takes too long, or
    where the largest of its weights, of 36 MiB, does not bind."""
    golden = WORK / "golden"
    shutil.rmtree(golden, ignore_errors=True)
    shutil.copytree(GOLDEN, golden, ignore=shutil.ignore_patterns(*["full.*"] * small))
    runs = [doctor(*each, *options, run=run, **environment) for each in [("--thorough",), ("--golden", golden)]]
    return sum(total for total, _, _ in runs), [fault for _, faults, _ in runs for fault in faults]


def inside(command, **environment):
    """Status and output of a command in the release that `windows` runs in."""
    return enter(windows.debian13(), shlex.join(map(str, command)), **environment)


def check_newest():
    """The suite on Mesa's software driver as Debian's backports have it for that release."""
    return check_suite(False, windows.LAVAPIPE, run=inside)


# Tests that know of matrix units; of the mutants, those of their library.
UNITS_TESTS = ["matrix_units::", "conv2d::", "mutants::no_mutant_survives"]
UNITS_LIBRARY = "lib/gemm_cooperative"


def check_units():
    """The doctor with matrix units, which that driver has, and the tests that need them."""
    total, faults, _ = doctor("--matrix-units", "--thorough", run=inside, **windows.LAVAPIPE)
    built = must(["cargo", "test", "--release", "--test", "main", "--no-run"])
    [program] = re.findall(r"Executable tests/main.rs \((.*)\)", built)
    environment = {"OCELLUS_TEST_MATRIX_UNITS": "1", "OCELLUS_MUTANTS": UNITS_LIBRARY, **windows.LAVAPIPE}
    _, output = inside([ROOT / program, "--nocapture", *UNITS_TESTS], **environment)
    results = re.findall(r"^test result: .*?(\d+) passed; (\d+) failed", output, re.MULTILINE)
    skipped = re.findall(r"^.*not run.*$", output, re.MULTILINE)
    caught = re.findall(r"^(\d+) mutants caught", output, re.MULTILINE)
    if [int(failed) for _, failed in results] != [0] or skipped or not caught:
        faults.append(f"tests: {skipped}\n{output[-4000:]}")
    return total + sum(map(int, caught)) + sum(int(passed) for passed, _ in results), faults
