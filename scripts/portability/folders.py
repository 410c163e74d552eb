"""A Debian 13 in a folder, for what this machine's release does not have.

Only root can make such a folder and work in it. Nothing that runs or is mounted there outlives a command.
"""

import os
import shlex
import sys
from pathlib import Path

from tools import DEBIAN, ROOT, debian, must, run

RELEASE = "trixie"
# The project and the sources of its crates are at the paths that they have outside; the network is the machine's.
CARGO = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
SHARED, READ_ONLY = [ROOT, CARGO / "registry"], [Path("/etc/resolv.conf"), Path("/etc/ssl/certs")]


def bootstrap(folder, source, packages, release=RELEASE):
    """Makes a Debian 13 with one more source of packages, and with packages of a release of it."""
    if os.geteuid():
        sys.exit("only root can make a Debian in a folder and enter it")
    debootstrap = debian("debootstrap")
    must([debootstrap / "usr/sbin/debootstrap", "--variant=minbase", "--include=ca-certificates", RELEASE, folder, DEBIAN],
         DEBOOTSTRAP_DIR=str(debootstrap / "usr/share/debootstrap"))
    (folder / "etc/apt/sources.list.d/more.list").write_text(f"{source}\n")
    names = " ".join(packages)
    must_enter(folder, f"apt-get update; apt-get install -y --no-install-recommends -t {release} {names}")


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
