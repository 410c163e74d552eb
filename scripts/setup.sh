#!/bin/sh
# A Vulkan driver where a Linux machine has none: Mesa's software driver, from the system's packages.
# Where there is a driver, and on other systems, it does nothing and says so.
set -eu

if [ "$(uname -s)" != Linux ]; then
    echo "setup: $(uname -s) brings its own GPU drivers; nothing to do"
    exit 0
fi

for file in ${VK_DRIVER_FILES:-} ${VK_ICD_FILENAMES:-} /usr/share/vulkan/icd.d/*.json /usr/local/share/vulkan/icd.d/*.json \
    /etc/vulkan/icd.d/*.json "${XDG_DATA_HOME:-$HOME/.local/share}"/vulkan/icd.d/*.json; do
    if [ -f "$file" ]; then
        echo "setup: there is a Vulkan driver ($file); nothing to do"
        exit 0
    fi
done

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "setup: no Vulkan driver, and neither root nor sudo to install one; as root run: $*" >&2
        exit 1
    fi
}

echo "setup: no Vulkan driver found; installing Mesa's software driver"
if command -v apt-get >/dev/null; then
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mesa-vulkan-drivers libvulkan1
elif command -v dnf >/dev/null; then
    as_root dnf install -y -q mesa-vulkan-drivers vulkan-loader
elif command -v pacman >/dev/null; then
    as_root pacman -S --noconfirm --needed vulkan-swrast vulkan-icd-loader
elif command -v zypper >/dev/null; then
    as_root zypper --non-interactive install libvulkan_lvp libvulkan1
elif command -v apk >/dev/null; then
    as_root apk add mesa-vulkan-swrast vulkan-loader
else
    echo "setup: unknown package manager; install a Vulkan driver (Mesa's lavapipe for a machine without a GPU)" >&2
    exit 1
fi
