#!/bin/sh
# Trains on the sample, indexes it, serves it on a free port, and runs the browser's tests against that.
#   web/test-browser.sh BINARY
set -eu

binary=$(realpath "$1")
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
server=
stop() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$folder"
}
trap stop EXIT INT TERM

# A shorter run than the demo's: what the page shows must hold, not please.
"$binary" demo --no-serve --out "$folder/runs/demo" --set train.rows=200000
"$binary" serve "$folder/runs" --port 0 --port-file "$folder/port" --web web/dist &
server=$!
tries=0
until [ -s "$folder/port" ]; do
    tries=$((tries + 1))
    [ "$tries" -le 100 ] || { echo "the server does not start"; exit 1; }
    sleep 0.1
done
cd web
SAE_URL="http://127.0.0.1:$(cat "$folder/port")" npm run test:browser
