#!/usr/bin/env bash
# The main job as the README shows it: start a store, put files in, list, show, get them back, compare byte for byte.
# Usage: scripts/main-job.sh FILE...   Each file counts as one test.
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/node_modules/.bin:$PATH"
work=$(mktemp -d)
export HOLDFAST_DATA_DIR=$work/store HOLDFAST_LISTEN=127.0.0.1:${PORT:-13917} HOLDFAST_LOG_LEVEL=warn
npm start >"$work/output" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null; rm -rf "$work"' EXIT
# However long a busy machine takes to start it, but not longer than it lives.
for _ in $(seq 600); do
  kill -0 $server 2>/dev/null || break
  [ -e "$work/store/client.json" ] && curl -sf "http://$HOLDFAST_LISTEN/readyz" >/dev/null && break
  sleep 0.1
done
holdfast() { npx --no-install holdfast --config "$work/store/client.json" "$@"; }

passed=0
failed=0
for file in "$@"; do
  name=$(basename "$file")
  if holdfast artifact upload "$name" "$file" &&
    holdfast artifact list | grep -F "$name" &&
    holdfast artifact show "$name" &&
    holdfast artifact download "$name" "$work/back-$name" &&
    cmp "$file" "$work/back-$name"; then
    passed=$((passed + 1))
    echo "$name: the same bytes came back"
  else
    failed=$((failed + 1))
    cat "$work/output"
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
