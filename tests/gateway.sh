#!/usr/bin/env bash
# Measures what a gateway takes: the size of its program, and its resident memory while it runs one app, by profile:
# `tests/gateway.sh`, after `deploy/release.sh gateway x86_64` and `cargo build --release`. The broker, the center and
# the publisher are real and on loopback; the app is the sample's air conditioner, by its script or, without scripts, by
# its own operation, twice a second.
set -euo pipefail
cd "$(dirname "$0")/.."

flotilla=${CARGO_TARGET_DIR:-target}/release/flotilla
runs=20 # before memory is read

full=$(echo dist/edge-agent-[0-9]*-x86_64-linux) small=$(echo dist/edge-agent-small-*-x86_64-linux)
for program in "$flotilla" "$full" "$small"; do
    [ -x "$program" ] || { echo "$program is not there; see what this needs in $0" >&2; exit 2; }
done
work=$(mktemp -d) pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$work"' EXIT
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
broker=$(port) api=$(port)
export FLOTILLA_BROKER=mqtt://127.0.0.1:$broker FLOTILLA_API=http://127.0.0.1:$api
export FLOTILLA_TOKEN_FILE=$work/center/api.token

start() { "$@" 2>>"$work/log" & pids+=($!); }
until_done() {
    for _ in $(seq 300); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.2
    done
    echo "not in time: $*" >&2
    tail "$work/log" >&2
    exit 1
}

"$flotilla" fleet init "$work/fleet" >/dev/null
fleet=$work/fleet/fleet.json
start "$flotilla" broker --open --tcp "127.0.0.1:$broker" --data "$work/broker"
start "$flotilla" center --id c1 --fleet "$fleet" --key "$work/fleet/center-c1.key" --data "$work/center" \
    --api "127.0.0.1:$api"
for app in aircon-south aircon-north; do
    until_done "$flotilla" app publish "deploy/samples/apps/$app" --key "$work/fleet/publisher.key"
done
"$flotilla" script publish deploy/samples/scripts/air-conditioner --key "$work/fleet/publisher.key" \
    >>"$work/log" 2>&1
by_script=(air-conditioner --events aircon-large) by_itself=(room --app aircon-north)

has_run() { [ "$("$flotilla" events "$1" --json | grep -c '"celsius"')" -ge "$runs" ]; }

# measure SERVICE WHAT PROGRAM [ARGUMENT...]
measure() {
    local -n service=$1
    local what=$2 program=$3 edge=e${#pids[@]} resident
    start "$program" --id "$edge" --fleet "$fleet" --data "$work/$edge" --equipment deploy/samples/equipment/e1.toml \
        "${@:4}"
    until_done "$flotilla" service start "${service[@]}" --on "$edge" --every 500ms
    until_done has_run "$edge"
    resident=$(sed -n 's/^VmRSS:\s*\([0-9]*\) kB/\1/p' "/proc/${pids[-1]}/status")
    awk -v what="$what" -v size="$(stat -c %s "$program")" -v resident="$resident" \
        'BEGIN { printf "%-42s %6.2f MB %6.2f MiB\n", what, size / 1e6, resident / 1024 }'
}

printf '%-42s %9s %10s\n' profile program resident
measure by_script full "$full"
measure by_script 'full, --without reliability' "$full" --without reliability
measure by_itself 'full, --without scripts' "$full" --without scripts
measure by_script 'full, --without disk' "$full" --without disk
measure by_itself 'full, --without scripts,reliability,disk' "$full" --without scripts,reliability,disk
measure by_itself small "$small"
