"""A Windows in a folder: wine, Mesa's software driver, and what builds programs for Windows, in a Debian 13 of their own.

Only root can make such a folder and work in it.
"""

import os
import re
import sys

from folders import CARGO, RELEASE, bootstrap, enter, must_enter
from tools import DEBIAN, HERE, ROOT, WORK, must, tool, webgpu

TARGET = "x86_64-pc-windows-gnu"
PACKAGES = ["wine", "wine64", "libwine", "xvfb", "mesa-vulkan-drivers", "libvulkan1", "gcc", "libc6-dev",
            "gcc-mingw-w64-x86-64-win32", "cargo", "rustc", "rust-src"]
LINKER = "x86_64-w64-mingw32-gcc"
# In Debian's folder.
SYSROOT, WINE = "/usr/lib/rustlib", "/usr/lib/wine/wine64"
LAVAPIPE = {"VK_DRIVER_FILES": "/usr/share/vulkan/icd.d/lvp_icd.json"}
PREFIX = WORK / "wine"
MEMORY_KIB = 14 << 20  # wine may reserve no more
DISPLAY = ":99"  # without one, wine's Vulkan makes no instance
AT_ONCE = 10  # modules that one process compiles
BATCH = 200  # modules after which the progress is told
SECONDS = 120  # for a module; FXC's longest takes ten of processor time
TRIES = 3  # now and then wine loses its own server


def debian13():
    """The folder. Debian has no `std` for Windows, but its source, and a compiler that can build it."""

    def fetch(folder):
        bootstrap(folder, f"deb {DEBIAN} {RELEASE}-backports main", PACKAGES, f"{RELEASE}-backports")
        # What cargo's build of `std` leaves out.
        libraries = f"{SYSROOT}/{TARGET}/lib"
        must_enter(folder, f"mkdir -p {libraries}; for name in rsbegin rsend; do rustc --edition=2024 --target {TARGET} -A warnings "
                           f"--emit=obj -o {libraries}/$name.o {SYSROOT}/src/rust/library/rtstartup/$name.rs; done", RUSTC_BOOTSTRAP="1")

    return tool("debian13", fetch)


def wine(script, **environment):
    """Status and output of a shell script in which $WINE runs programs for Windows."""
    settings = {"WINE": WINE, "WINEPREFIX": PREFIX, "WINEDEBUG": "-all", "DISPLAY": DISPLAY,
                "WINEDLLOVERRIDES": "d3dcompiler_47=n;mscoree=;mshtml=;winemenubuilder.exe=",
                **LAVAPIPE, **environment}
    begin = f"rm -f /tmp/.X*-lock; Xvfb {DISPLAY} -nolisten tcp -nolisten local >/dev/null 2>&1 & sleep 2; ulimit -v {MEMORY_KIB}; "
    return enter(debian13(), f"{begin} [ -e {PREFIX}/system.reg ] || wineboot -i >/dev/null 2>&1; {script}", **settings)


def microsoft(name):
    """One of Microsoft's libraries."""
    return webgpu() / "webgpu" / "dist" / "win32-x64" / name


def compile_hlsl(compiler, library, sources):
    """What one of Microsoft's compilers, `fxc` or `dxc`, complains of."""
    program, listing = WORK / "hlsl.exe", WORK / f"{compiler}.txt"
    must_enter(debian13(), f"{LINKER} -O1 -o {program} {HERE / 'hlsl.c'}")
    verdicts, output = {}, ""
    for at_once in [AT_ONCE, *[1] * (TRIES - 1)]:
        left = [str(source) for source in sources if str(source) not in verdicts]
        for begin in range(0, len(left), BATCH):
            listing.write_text("\n".join(left[begin:begin + BATCH]))
            command = f"timeout {at_once * SECONDS} $WINE {program} {compiler} {microsoft(library)}"
            _, output = wine(f"cd {WORK}; xargs -r -a {listing} -P {os.cpu_count()} -n {at_once} {command} 2>/dev/null")
            verdicts |= dict(re.findall(r"^(.*?): (accepted|refused: .*)$", output.replace("\r", ""), re.MULTILINE))
            refused = sum(verdict != "accepted" for verdict in verdicts.values())
            print(f"{compiler}: {len(verdicts)} of {len(sources)} texts, {refused} refused", file=sys.stderr, flush=True)
    missing = {str(source): f"no verdict: {output[-500:]}" for source in sources if str(source) not in verdicts}
    return [f"{source}: {verdict}" for source, verdict in {**verdicts, **missing}.items() if verdict != "accepted"]


def program():
    """The program for Windows, with Microsoft's FXC beside it, as it is found on any Windows."""
    out = WORK / "windows"
    must(["cargo", "fetch", "--locked"])
    must_enter(debian13(), f"cd {ROOT}; cargo build --locked --release -Z build-std=std,panic_unwind --target {TARGET}",
               RUSTC_BOOTSTRAP="1", CARGO_HOME=CARGO, CARGO_TARGET_DIR=out, CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=LINKER)
    folder = out / TARGET / "release"
    must(["cp", microsoft("d3dcompiler_47.dll"), folder])
    return folder / "ocellus.exe"
