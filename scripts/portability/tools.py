"""Commands, and the tools of the checks, each fetched once from the Debian, PyPI or npm registry."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "portability"
TOOLS = WORK / "tools"
DEBIAN = "http://deb.debian.org/debian"
PROGRAM = ROOT / "target" / "release" / "ocellus"
ICDS = Path("/usr/share/vulkan/icd.d")
FETCHING = threading.RLock()  # one thread fetches, and a tool may need another
LAVAPIPE = {"VK_DRIVER_FILES": str(ICDS / "lvp_icd.x86_64.json")}


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
    with FETCHING:
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
                                             f"{DEBIAN} {codename}-backports main\n")
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
