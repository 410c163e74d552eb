#!/usr/bin/env python3
"""Holds every kernel against compilers and drivers that this machine does not have, and prints a table.

Nothing is installed: the tools come from the Debian, PyPI and npm registries into target/portability/tools.
Needs a Debian or Ubuntu machine with apt-get, dpkg, cargo, node, npm, Python 3.9 and Mesa's Vulkan drivers
(scripts/setup.sh), and no GPU. Root makes a Debian 13 in a folder for what runs in wine, and for `newest` (dxc, fxc,
windows, newest, units: 4 GB), and another for compilers of other GPUs (radv, vendors, matrices: 1.2
GB). Status 1 if anything complains.

usage: run.py [CHECK...]    every check, or those named; `run.py list` names them
"""

import sys

import compilers
import drivers
from tools import LAVAPIPE, newer_lavapipe, swiftshader

CHECKS = {
    "modules": ("naga to SPIR-V, MSL and HLSL of shader models 6.0 and 5.1", compilers.check_modules),
    "spirv": ("spirv-val on naga's SPIR-V", compilers.check_spirv),
    "matrices": ("naga to SPIR-V and MSL of what matrix units run; Debian 13's spirv-val on the former", compilers.check_matrices),
    "tint": ("Tint's strict check of the WGSL", compilers.check_tint),
    "pages": ("exported pages in Dawn, on lavapipe of Debian's backports", drivers.check_pages),
    "dxc": ("Microsoft's DXC, 1.7 and 1.10, on naga's HLSL", compilers.check_dxc),
    "fxc": ("Microsoft's FXC on naga's HLSL (what GPUs run)", compilers.check_fxc),
    "windows": ("the doctor on Windows, which wine stands in for: DX12 with FXC, and Vulkan", drivers.check_windows),
    "radv": (f"RADV for {', '.join(compilers.AMD_CHIPS + compilers.NEW_AMD_CHIPS)}: compiles without spills", compilers.check_radv),
    "vendors": (f"Mesa's compilers for {', '.join([*compilers.INTEL_CHIPS, *compilers.NVIDIA_CHIPS])} (Intel, NVIDIA): the same",
                compilers.check_vendors),
    "swiftshader": ("the kernels' tests on SwiftShader", drivers.check_swiftshader),
    "races": ("the doctor under the validation layer: data races, accesses out of bounds", drivers.check_races),
    "lost": ("runs whose driver loses the device, at every seventh wait for it", drivers.check_lost),
    "lavapipe": ("doctor --thorough and golden files on lavapipe", lambda: drivers.check_suite(False, LAVAPIPE)),
    "limits": ("the same with WebGPU's default limits", lambda: drivers.check_suite(False, LAVAPIPE, "--default-limits")),
    "bindings": ("the same with bindings of 16 MiB, but for the tutorial's own size", lambda: drivers.check_suite(True, LAVAPIPE, "--max-binding-mib", "16")),
    "newer": ("the same on lavapipe of Debian's backports", lambda: drivers.check_suite(False, newer_lavapipe())),
    "newest": ("the same on lavapipe of Debian 13's backports", drivers.check_newest),
    "small": ("the same on SwiftShader, but for the tutorial's own size", lambda: drivers.check_suite(True, swiftshader())),
    "units": ("matrix units on lavapipe of Debian 13's backports: the doctor, tests and mutants", drivers.check_units),
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
