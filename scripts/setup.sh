#!/bin/sh
# From a Linux machine's packages, where it has none: nasm, with which JPEG decoding is compiled two to three times as
# fast (x86 alone; without it all works), and a Vulkan driver, Mesa's software one. With --mpi also what the feature `mpi`
# is built with: OpenMPI, unless there is an MPI library, and libclang. On other systems it does nothing.
set -eu

case "${1:-}" in
    "") mpi= ;;
    --mpi) mpi=yes ;;
    *)
        echo "setup: usage: $0 [--mpi]" >&2
        exit 2
        ;;
esac

if [ "$(uname -s)" != Linux ]; then
    echo "setup: $(uname -s) brings its own GPU drivers; nothing to do"
    exit 0
fi

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "setup: neither root nor sudo; as root run: $*" >&2
        return 1
    fi
}

# Installs packages by their names on this system.
install() {
    if command -v apt-get >/dev/null; then
        as_root apt-get update -qq &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
    elif command -v dnf >/dev/null; then
        as_root dnf install -y -q "$@"
    elif command -v pacman >/dev/null; then
        as_root pacman -S --noconfirm --needed "$@"
    elif command -v zypper >/dev/null; then
        as_root zypper --non-interactive install "$@"
    elif command -v apk >/dev/null; then
        as_root apk add "$@"
    else
        echo "setup: unknown package manager" >&2
        return 1
    fi
}

case "$(uname -m)" in
    x86_64 | i?86)
        if ! command -v nasm >/dev/null; then
            echo "setup: installing nasm"
            install nasm || echo "setup: without nasm JPEG photographs are decoded more slowly; nothing else changes"
        fi
        ;;
esac

if [ -n "$mpi" ]; then
    echo "setup: installing what the feature mpi needs"
    library=
    if command -v apt-get >/dev/null; then
        command -v mpicc >/dev/null || library="libopenmpi-dev openmpi-bin"
        install $library libclang-dev
    elif command -v dnf >/dev/null; then
        command -v mpicc >/dev/null || library=openmpi-devel
        install $library clang-devel
    elif command -v pacman >/dev/null; then
        command -v mpicc >/dev/null || library=openmpi
        install $library clang
    elif command -v zypper >/dev/null; then
        command -v mpicc >/dev/null || library=openmpi-devel
        install $library clang-devel
    elif command -v apk >/dev/null; then
        command -v mpicc >/dev/null || library=openmpi-dev
        install $library clang-dev
    else
        echo "setup: unknown package manager; install an MPI library with its headers, and libclang" >&2
        exit 1
    fi
fi

for file in ${VK_DRIVER_FILES:-} ${VK_ICD_FILENAMES:-} /usr/share/vulkan/icd.d/*.json /usr/local/share/vulkan/icd.d/*.json \
    /etc/vulkan/icd.d/*.json "${XDG_DATA_HOME:-$HOME/.local/share}"/vulkan/icd.d/*.json; do
    if [ -f "$file" ]; then
        echo "setup: there is a Vulkan driver ($file); nothing to do"
        exit 0
    fi
done

echo "setup: no Vulkan driver found; installing Mesa's software driver"
if command -v apt-get >/dev/null; then
    install mesa-vulkan-drivers libvulkan1
elif command -v dnf >/dev/null; then
    install mesa-vulkan-drivers vulkan-loader
elif command -v pacman >/dev/null; then
    install vulkan-swrast vulkan-icd-loader
elif command -v zypper >/dev/null; then
    install libvulkan_lvp libvulkan1
elif command -v apk >/dev/null; then
    install mesa-vulkan-swrast vulkan-loader
else
    echo "setup: unknown package manager; install a Vulkan driver (Mesa's lavapipe for a machine without a GPU)" >&2
    exit 1
fi
