#!/usr/bin/env bash
# Every suite, the ones that need real services, browsers and Python included. Installs what they need by itself
# (Debian and Python packages; run as root). Ends with one line `N passed, N failed` over all suites, and fails when
# any test failed or any suite could not run.
#
# A suite is a command of which the last line that matches `N passed[, N failed]` is its count. Many wait more than they
# compute, so they run in two lanes side by side; those that measure run alone, at the end.
set -uo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
export PATH="$root/node_modules/.bin:$PATH"

# suite NAME COMMAND...: runs it, shows its output when it has ended, notes its counts. A suite without a count has failed.
suite() {
  local name=$1 log began=$SECONDS status p f
  log=$(mktemp "$work/suite.XXXXXX")
  shift
  "$@" >"$log" 2>&1
  status=$?
  sed -i 's/\x1b\[[0-9;]*m//g' "$log"
  p=$(grep -oE '[0-9]+ passed' "$log" | tail -n 1 | cut -d' ' -f1)
  f=$(grep -oE '[0-9]+ (failed|errors?)' "$log" | tail -n 1 | cut -d' ' -f1)
  if grep -qE '[0-9]+ (skipped|todo)|No test files found' "$log"; then
    echo "$name skipped tests: that counts as a failure" >>"$log"
    f=$((${f:-0} + 1))
  fi
  if [ "$status" -ne 0 ] && [ "${f:-0}" -eq 0 ]; then f=1; fi
  if [ -z "$p" ]; then
    p=0
    f=$((${f:-0} > 0 ? f : 1))
  fi
  {
    flock 9
    printf '\n=== %s\n' "$name"
    cat "$log"
    printf '%s\t%d\t%d\t%d\n' "$name" "$p" "${f:-0}" $((SECONDS - began)) >>"$work/results"
    [ "${f:-0}" -eq 0 ] || { printf '\n=== %s failed\n' "$name"; complaints "$log"; } >>"$work/failures"
  } 9>"$work/lock"
}

# complaints LOG: what a log says went wrong, as every suite's runner says it, and how it ended. Told again at the very
# end, and short, because often only the end of a long output is kept.
complaints() {
  grep -nE -A 3 '^ *(VIOLATION|violation|FAIL|FAILED|not ok|E  )|(Error|error):|^ *[×✗]' "$1" | cut -c1-200 | head -n 10
  echo '...'
  tail -n 3 "$1" | cut -c1-200
}

# counted COMMAND...: for a command that is one check.
counted() { if "$@"; then echo '1 passed, 0 failed'; else echo '0 passed, 1 failed'; return 1; fi; }

prepare() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq &&
    apt-get install -y -qq python3-venv qemu-utils debian-installer-12-netboot-amd64 grub-pc-bin grub-common xorriso mtools \
      file zsh fish postgresql nginx-light caddy openssl iproute2 wrk >/dev/null &&
    apt-get install -y -qq --no-install-recommends swift-proxy swift-account swift-container swift-object memcached >/dev/null &&
    apt-get install -y -qq --no-install-recommends chromium >/dev/null || return 1
  command -v go >/dev/null || apt-get install -y -qq --no-install-recommends golang-go >/dev/null || return 1
  python3 -m venv "$work/python" &&
    "$work/python/bin/pip" install -q --disable-pip-version-check -r test/interop/requirements.txt || return 1
  scripts/make-test-images.sh "$work/images" || return 1
  node test/bench/peers/tusd-program.ts && node test/support/versitygw-program.ts
}

faults() { for fault in "$@"; do suite "faults: $fault" node "test/faults/$fault.ts"; done; }

# What needs nothing but Node, while everything else is installed and built.
lane_without_services() {
  suite 'readme test command' npm test
  suite 'restarts' npx vitest run --project restarts
  faults kill power-loss faulty-disk model isolation fuzz disk-full
}

python=$work/python/bin/python
official_client() { "$python" -m pytest -q -p no:cacheprovider --timeout 300 "$@"; }

lane_embedded() {
  suite 'main job' bash scripts/main-job.sh "$work/images/netboot.iso" "$work/images/netboot.qcow2"
  suite 'official client' official_client test/interop
  suite 'schemathesis' bash scripts/run-schemathesis.sh "$work/python/bin/schemathesis"
  suite 'behind proxies' npx vitest run --project proxy
  suite 'browser' node test/browser/upload.ts
  suite 'browser: page' node test/browser/web.ts
  faults client client-memory postgres s3 rolling-restart
}

# Metadata and blobs in every other combination, and several nodes. What our command line has in common with the official one
# (test_cli_parity.py) does not depend on it.
lane_scale_out() {
  local postgres_url s3_url
  postgres_url=$(scripts/start-postgres.sh "$work/postgres" 5439 fsync=off)
  over_postgres() { [ -n "$postgres_url" ] && TEST_POSTGRES_URL=$postgres_url "$@"; }
  over_s3() { [ -n "$s3_url" ] && TEST_S3_URL=$s3_url "$@"; }
  over_both() { over_postgres over_s3 "$@"; }
  over_nodes() { TEST_NODES=3 over_both "$@"; }
  configuration() {
    suite "$1: acceptance" "$2" npx vitest run --project main test/acceptance
    suite "$1: official client" "$2" official_client test/interop/test_{apiclient,commands,large}.py
    suite "$1: model" "$2" node test/faults/model.ts --runs 60
  }
  suite 'postgres: database' over_postgres npx vitest run --project main packages/server/src/db packages/server/src/domain
  configuration 'postgres' over_postgres
  s3_url=$(scripts/start-s3.sh swift "$work/swift" 7490)
  suite 's3: store over swift' over_s3 npx vitest run --project s3
  scripts/start-s3.sh stop "$work/swift" KILL
  s3_url=$(scripts/start-s3.sh versitygw "$work/versitygw" 7480)
  suite 's3: store over versitygw' over_s3 npx vitest run --project s3
  configuration 's3' over_s3
  suite 'migrate' over_both npx vitest run --project migrate
  suite 'postgres and s3: acceptance' over_both npx vitest run --project main test/acceptance
  suite 'postgres and s3: model' over_both node test/faults/model.ts --runs 15
  suite 'several nodes' over_both npx vitest run --project nodes
  suite 'three nodes: acceptance' over_nodes npx vitest run --project main test/acceptance
  suite 'three nodes: model' over_nodes node test/faults/model.ts --runs 15
  suite 'three nodes: official client' over_nodes official_client test/interop/test_{apiclient,commands,large}.py
  suite 'postgres and s3: official client' over_both official_client test/interop/test_{apiclient,commands,large}.py
  scripts/start-s3.sh stop "$work/versitygw" KILL
  [ -z "$postgres_url" ] || scripts/start-postgres.sh "$work/postgres" stop immediate
}

# What measures something, and wants the machine for itself.
alone() {
  suite 'browser: 1 GiB' node test/browser/large-upload.ts --rounds 1
  suite 'bench' node test/bench/main.ts --short --json "$work/bench.json"
  # Its bounds are those of requests at nodes that are frozen and cut off, so nothing else may freeze them.
  faults load nodes
}

export TEST_IMAGES=$work/images TEST_PYTHON=$python
{
  renice -n 10 "$BASHPID" >/dev/null
  suite 'preparation' counted prepare
} &
lane_without_services
wait
lane_embedded &
lane_scale_out &
wait
alone

printf '\n'
awk -F '\t' '{ printf "%-32s %6d passed %6d failed %6d s\n", $1, $2, $3, $4 }' "$work/results"
[ ! -e "$work/failures" ] || cat "$work/failures"
awk -F '\t' '{ passed += $2; failed += $3 } END { printf "\n%d passed, %d failed\n", passed, failed; exit failed > 0 }' \
  "$work/results"
