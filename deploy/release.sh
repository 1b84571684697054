#!/bin/sh
# Builds what is released into dist/, which holds nothing else afterwards: the gateway for each target, full and small;
# the desk's one binary; for each of the three a CycloneDX list of all that is in it; and the checksums. Every binary is
# static and depends on no system.
#
#   deploy/release.sh                    all of it
#   deploy/release.sh gateway TARGET...  the gateways of these targets alone: x86_64, aarch64
#   deploy/release.sh desk               the desk's binary alone
set -eu
cd "$(dirname "$0")/.."

usage() { sed -n 's/^#   //p' deploy/release.sh >&2; exit 2; }

targets='x86_64 aarch64' desk=x86_64
case "${1-all}" in
    all) ;;
    gateway) shift; targets=$* desk=; [ -n "$targets" ] || usage ;;
    desk) targets= ;;
    *) usage ;;
esac

cyclonedx=0.5.9
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
built=${CARGO_TARGET_DIR:-target}
dist=dist
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
# gcc compiles the little C there is; the linker that comes with Rust joins it to the C library that comes with Rust.
export CC_aarch64_unknown_linux_musl=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld

step() { printf '\n== %s\n' "$1"; }
triple() { printf '%s-unknown-linux-musl' "$1"; }

# Everything that is missing is named at once, with what to install.
check() {
    missing=
    need() { command -v "$1" >/dev/null || missing="$missing
  $1: $2"; }
    need rustup 'see https://rustup.rs'
    need git 'apt-get install git'
    need jq 'apt-get install jq'
    for target in $targets $desk; do
        case $target in
            x86_64) need musl-gcc 'apt-get install musl-tools' ;;
            aarch64)
                need aarch64-linux-gnu-gcc 'apt-get install gcc-aarch64-linux-gnu'
                [ -e /usr/aarch64-linux-gnu/include/stdint.h ] || missing="$missing
  stdint.h for aarch64: apt-get install libc6-dev-arm64-cross"
                ;;
            *) echo "release.sh: no gateway is made for $target" >&2; usage ;;
        esac
    done
    [ -z "$missing" ] || { echo "release.sh: to build this, install$missing" >&2; exit 1; }
    for target in $targets $desk; do rustup --quiet target add "$(triple "$target")"; done
    cargo cyclonedx --version 2>/dev/null | grep -q " $cyclonedx\$" ||
        cargo install cargo-cyclonedx --version "$cyclonedx" --locked
}

# binary NAME TARGET PACKAGE PROFILE [CARGO-ARGUMENT...]
binary() {
    name=$1 target=$2 package=$3 profile=$4
    shift 4
    step "$name for $target"
    cargo build --locked --profile "$profile" -p "$package" --target "$(triple "$target")" "$@"
    cp "$built/$(triple "$target")/$profile/$package" "$dist/$name-$version-$target-linux"
}

# bill NAME PACKAGE FOLDER [FEATURE-ARGUMENT...]: what is in it, on whatever target. The tool writes one list beside each
# package, with the features that the whole workspace needs, a time and this machine's paths: of the one that is wanted,
# what this build takes is kept.
bill() {
    name=$1 package=$2 folder=$3
    shift 3
    step "what is in $name"
    cargo cyclonedx --quiet --manifest-path "$folder/Cargo.toml" --format json --target all \
        --override-filename release.cdx
    cargo tree --quiet --locked -p "$package" --edges no-dev --target all --prefix none --no-dedupe --format '{p}' "$@" |
        awk '{ print $1 " " $2 }' | sort -u >"$dist/tree"
    jq --rawfile tree "$dist/tree" --arg root "file://$PWD" '
        ($tree | split("\n")) as $taken
        | .components |= map(select(.name + " v" + .version | IN($taken[])))
        | ([.components[]."bom-ref"] + [.metadata.component."bom-ref"]) as $refs
        | .dependencies |= map(select(.ref | IN($refs[])) | .dependsOn //= [] | .dependsOn |= map(select(IN($refs[]))))
        | del(.serialNumber, .metadata.timestamp)
        | walk(if type == "string" then split($root) | join("file://.") else . end)
    ' "$folder/release.cdx.json" >"$dist/$name-$version.cdx.json"
}

# What the tools leave, however this ends.
clean() {
    rm -f "$dist/tree"
    git ls-files -- '*Cargo.toml' | while read -r manifest; do rm -f "$(dirname "$manifest")/release.cdx.json"; done
}

check
rm -rf "$dist"
mkdir "$dist"
trap clean EXIT
trap 'exit 1' INT TERM
for target in $targets; do
    binary edge-agent "$target" edge-agent gateway
    binary edge-agent-small "$target" edge-agent gateway --no-default-features
done
if [ -n "$targets" ]; then
    bill edge-agent edge-agent edge-agent
    bill edge-agent-small edge-agent edge-agent --no-default-features
fi
if [ -n "$desk" ]; then
    binary flotilla "$desk" flotilla release
    bill flotilla flotilla center-agent/cli
fi
step "$dist"
(cd "$dist" && LC_ALL=C && export LC_ALL && sha256sum -- *-"$version"* >SHA256SUMS && cat SHA256SUMS)
