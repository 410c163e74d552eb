"""A Windows in a folder: wine, Mesa's software driver, and what builds programs for Windows, in a Debian 13 of their own.

Only root can make such a folder and work in it. Nothing that runs or is mounted there outlives a command.
"""

import os
import re
import shlex
import sys
from pathlib import Path

from tools import DEBIAN, HERE, ROOT, WORK, debian, must, run, tool, webgpu

RELEASE, TARGET = "trixie", "x86_64-pc-windows-gnu"
PACKAGES = ["wine", "wine64", "libwine", "xvfb", "mesa-vulkan-drivers", "libvulkan1", "gcc", "libc6-dev",
            "gcc-mingw-w64-x86-64-win32", "cargo", "rustc", "rust-src"]
LINKER = "x86_64-w64-mingw32-gcc"
# In Debian's folder.
SYSROOT, WINE = "/usr/lib/rustlib", "/usr/lib/wine/wine64"
# The project and the sources of its crates are at the paths that they have outside; the network is the machine's.
CARGO = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
SHARED, READ_ONLY = [ROOT, CARGO / "registry"], [Path("/etc/resolv.conf"), Path("/etc/ssl/certs")]
PREFIX = WORK / "wine"
MEMORY_KIB = 14 << 20  # wine may reserve no more
DISPLAY = ":99"  # without one, wine's Vulkan makes no instance
AT_ONCE = 10  # modules that one process compiles
BATCH = 200  # modules after which the progress is told
SECONDS = 120  # for a module; FXC's longest takes ten of processor time
TRIES = 3  # now and then wine loses its own server


def enter(folder, script, **environment):
    """Status and output of a shell script that has a folder as its root. Its end is the end of all that it started."""
    mounts = [f"mount -t proc proc {folder}/proc", f"mount --rbind /dev {folder}/dev", f"mount --rbind /sys {folder}/sys"]
    for path in filter(Path.exists, SHARED + READ_ONLY):
        inside = Path(f"{folder}{path}")
        (inside if path.is_dir() else inside.parent).mkdir(parents=True, exist_ok=True)
        mounts += [] if path.is_dir() else [f"touch {inside}"]
        mounts.append(f"mount --bind {path} {inside}")
        mounts += [f"mount -o remount,bind,ro {inside}"] if path in READ_ONLY else []
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", "LANG": "C.UTF-8", "XDG_RUNTIME_DIR": "/tmp",
                   "DEBIAN_FRONTEND": "noninteractive", **environment}
    words = ["chroot", folder, "/usr/bin/env", "-i", *(f"{name}={value}" for name, value in environment.items()), "sh", "-ec", script]
    command = " && ".join([*mounts, "exec " + shlex.join(map(str, words))])
    return run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", command])


def must_enter(folder, script, **environment):
    status, output = enter(folder, script, **environment)
    if status:
        sys.exit(f"{script}: status {status}\n{output}")


def debian13():
    """The folder. Debian has no `std` for Windows, but its source, and a compiler that can build it."""

    def fetch(folder):
        if os.geteuid():
            sys.exit("wine's Debian is a folder that only root can make and enter")
        bootstrap = debian("debootstrap")
        must([bootstrap / "usr/sbin/debootstrap", "--variant=minbase", "--include=ca-certificates", RELEASE, folder, DEBIAN],
             DEBOOTSTRAP_DIR=str(bootstrap / "usr/share/debootstrap"))
        (folder / "etc/apt/sources.list.d/backports.list").write_text(f"deb {DEBIAN} {RELEASE}-backports main\n")
        packages = " ".join(PACKAGES)
        must_enter(folder, f"apt-get update; apt-get install -y --no-install-recommends -t {RELEASE}-backports {packages}")
        # What cargo's build of `std` leaves out.
        libraries = f"{SYSROOT}/{TARGET}/lib"
        must_enter(folder, f"mkdir -p {libraries}; for name in rsbegin rsend; do rustc --edition=2024 --target {TARGET} -A warnings "
                           f"--emit=obj -o {libraries}/$name.o {SYSROOT}/src/rust/library/rtstartup/$name.rs; done", RUSTC_BOOTSTRAP="1")

    return tool("debian13", fetch)


def wine(script, **environment):
    """Status and output of a shell script in which $WINE runs programs for Windows."""
    settings = {"WINE": WINE, "WINEPREFIX": PREFIX, "WINEDEBUG": "-all", "DISPLAY": DISPLAY,
                "WINEDLLOVERRIDES": "d3dcompiler_47=n;mscoree=;mshtml=;winemenubuilder.exe=",
                "VK_DRIVER_FILES": "/usr/share/vulkan/icd.d/lvp_icd.json", **environment}
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
