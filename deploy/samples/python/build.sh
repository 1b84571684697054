#!/bin/sh
# Builds app.wasm, about 18 MB, from nothing but Python 3.10 or newer and PyPI. The toolchain, Python itself compiled
# to WebAssembly, stays in target/.
set -eu
cd "$(dirname "$0")"

venv=target/venv
[ -x $venv/bin/pip ] || python3 -m venv $venv
$venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.txt
# Without its stubs, Python imports files, sockets and clocks of `wasi:`, which no edge offers.
$venv/bin/componentize-py --quiet --wit-path ../../../schemas/wit --wit-path world.wit --world samples:energy/meter \
    componentize --stub-wasi --output app.wasm app
