#!/bin/sh
# Builds the sample apps and puts the components into apps/, where they are kept so that nobody needs a WebAssembly
# target to publish them. With --check it changes nothing and fails if a component is not what its source makes.
# The bytes do not depend on where this runs: paths are mapped away, versions are in Cargo.lock, and the toolchain is
# the one that the repository pins.
set -eu
cd "$(dirname "$0")"

check=
case "${1-}" in
    '') ;;
    --check) check=yes ;;
    *) echo "usage: build.sh [--check]" >&2; exit 2 ;;
esac

sources=${CARGO_HOME:-$HOME/.cargo}/registry/src
target=${CARGO_TARGET_DIR:-target}
here=$(pwd -P)
rust=$(rustc -vV | sed -n 's/^commit-hash: //p')
RUSTFLAGS="--remap-path-prefix=$here=samples"
RUSTFLAGS="$RUSTFLAGS --remap-path-prefix=$(rustc --print sysroot)/lib/rustlib/src/rust=/rustc/$rust"
cargo fetch --locked --quiet
for registry in "$sources"/*; do
    RUSTFLAGS="$RUSTFLAGS --remap-path-prefix=$registry=registry"
done
export RUSTFLAGS
cargo build --quiet --locked --release --target wasm32-unknown-unknown --target-dir "$target"

differ=
for folder in apps/*/; do
    app=$(basename "$folder")
    built=$target/wasm32-unknown-unknown/release/$(echo "$app" | tr - _).wasm
    if [ -z "$check" ]; then
        cp "$built" "$folder/app.wasm"
    elif ! cmp -s "$built" "$folder/app.wasm"; then
        differ="$differ $folder"
    fi
done
if [ -n "$differ" ]; then
    echo "app.wasm is not what its source makes in:$differ; run deploy/samples/build.sh" >&2
    exit 1
fi
