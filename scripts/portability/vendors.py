"""Mesa's compilers for GPUs that are not here, in a Debian 13 of their own: RADV knows newer chips of AMD than this
machine's Mesa, and beneath ANV and NVK lie shims that answer for the kernels of Intel's and NVIDIA's drivers.
"""

import shlex
import sys

from folders import bootstrap, enter, must_enter
from tools import DEBIAN, HERE, must, tool

MESA = "25.0.7"  # of Debian 13; 26.1 has no RADV_FORCE_FAMILY
DRIVERS = ["mesa-vulkan-drivers", "libvulkan1", "python3-cffi", "python3-pkg-resources"]
BUILD = ["gcc", "g++", "pkg-config", "meson", "ninja-build", "bison", "flex", "xz-utils", "python3-mako", "python3-yaml",
         "python3-packaging", "glslang-tools", "libdrm-dev", "libexpat1-dev", "zlib1g-dev", "libzstd-dev"]
# In the folder.
SHIMS, PYTHON, MANIFESTS = "/opt/shims", "/opt/python", "/usr/share/vulkan/icd.d"
# Mesa builds Intel's shim with all of Intel's tools only, and NVIDIA's beside a driver in Rust only. Mesa looks for the
# three programs, which Debian does not have, but no shim needs what they make.
BUILD_SHIMS = f"""
cd /opt
apt-get source --download-only mesa
mkdir -p mesa programs {SHIMS}
tar xJf mesa_{MESA}.orig.tar.xz -C mesa --strip-components=1
for name in mesa_clc vtn_bindgen vtn_bindgen2; do
  printf '#!/bin/sh\\necho {MESA}\\n' > programs/$name
  chmod +x programs/$name
done
cd mesa
sed -i 's/^with_any_nouveau = .*/with_any_nouveau = true/' meson.build
echo "shared_library('intel_noop_drm_shim', ['tools/intel_noop_drm_shim.c', intel_dev_serialize_src],
  include_directories: [inc_include, inc_src, inc_intel], gnu_symbol_visibility: 'hidden',
  dependencies: [dep_libdrm, dep_drm_shim, idep_mesautil, idep_libintel_common, idep_intel_dev, idep_parson])
" >> src/intel/meson.build
PATH=/opt/programs:$PATH meson setup ../build -Dtools=drm-shim -Dvulkan-drivers=intel -Dgallium-drivers= -Dplatforms= \\
  -Dmesa-clc=system -Dprecomp-compiler=system -Dglx=disabled -Degl=disabled -Dgbm=disabled -Dopengl=false \\
  -Dgles1=disabled -Dgles2=disabled -Dllvm=disabled -Dvalgrind=disabled -Dlibunwind=disabled -Dbuildtype=release
cd ../build
ninja src/nouveau/drm-shim/libnouveau_noop_drm_shim.so src/intel/libintel_noop_drm_shim.so
cp src/nouveau/drm-shim/*.so src/intel/*.so {SHIMS}
cd ..
rm -r mesa build programs mesa_*
"""


def folder():
    """A Debian 13 with the drivers, the shims and the package `vulkan`."""

    def fetch(folder):
        bootstrap(folder, f"deb-src {DEBIAN} trixie main", DRIVERS + BUILD)
        must([sys.executable, "-m", "pip", "install", "--no-deps", "--target", f"{folder}{PYTHON}", "vulkan==1.3.275.1"])
        must_enter(folder, BUILD_SHIMS)

    return tool("mesa", fetch)


# What makes a driver take a chip for present.


def amd(family):
    return {"VK_DRIVER_FILES": f"{MANIFESTS}/radeon_icd.json", "RADV_FORCE_FAMILY": family}


def intel(platform):
    return {"VK_DRIVER_FILES": f"{MANIFESTS}/intel_icd.json", "LD_PRELOAD": f"{SHIMS}/libintel_noop_drm_shim.so",
            "INTEL_STUB_GPU_PLATFORM": platform}


def nvidia(chipset):
    return {"VK_DRIVER_FILES": f"{MANIFESTS}/nouveau_icd.json", "LD_PRELOAD": f"{SHIMS}/libnouveau_noop_drm_shim.so",
            "NOUVEAU_CHIPSET": chipset, "NVK_I_WANT_A_BROKEN_VULKAN_DRIVER": "1"}


def statistics(chip, files):
    """Status and output of pipeline_stats.py for a chip."""
    command = shlex.join(map(str, ["python3", HERE / "pipeline_stats.py", *files]))
    return enter(folder(), command, PYTHONPATH=PYTHON, MESA_SHADER_CACHE_DISABLE="true", **chip)
