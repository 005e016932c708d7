#!/usr/bin/env bash
# An aarch64 Linux to run programs in under qemu, without root and without Arm: sysroot.sh FOLDER
# Debian's packages are unpacked, not installed; wheels are those of the pinned versions.
set -euo pipefail
root=$1/root
[ -e "$1/done" ] && exit
mkdir -p "$root" "$1"/apt/{state/lists/partial,cache/archives/partial} "$1/deb" "$1/wheels"
apt=(-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$1/apt/state"
     -o Dir::State::status=/dev/null -o Dir::Cache="$1/apt/cache" -o APT::Sandbox::User=root)
apt-get "${apt[@]}" -qq update
(cd "$1/deb" && apt-get "${apt[@]}" -qq download libc6 libstdc++6 libgcc-s1 gcc-12-base zlib1g \
    libpython3.11-minimal libpython3.11-stdlib python3.11-minimal libexpat1 libssl3 libffi8 \
    libbz2-1.0 liblzma5 libuuid1 libsqlite3-0 libreadline8 libtinfo6 libncursesw6 libdb5.3 libcrypt1)
for package in "$1"/deb/*.deb; do dpkg-deb -x "$package" "$root"; done
pins=$(grep -E '^(onnxruntime|numpy|flatbuffers|protobuf|packaging)==' constraints.txt)
# shellcheck disable=SC2086
.venv/bin/python -m pip download -q --only-binary=:all: --no-deps --python-version 3.11 \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
    --platform manylinux2014_aarch64 --platform manylinux_2_17_aarch64 --platform any \
    -d "$1/wheels" $pins
mkdir -p "$root/site" "$root/proc"
for wheel in "$1"/wheels/*.whl; do .venv/bin/python -m zipfile -e "$wheel" "$root/site"; done
# onnxruntime looks its processor up there, and crashes under qemu without it.
printf 'processor\t: 0\nBogoMIPS\t: 100.00\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd03\nCPU revision\t: 4\n' \
    > "$root/proc/cpuinfo"
touch "$1/done"
