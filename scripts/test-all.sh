#!/usr/bin/env bash
# Every suite, the ones that need real services, browsers and Python included. Installs what they need by itself
# (Debian and Python packages; run as root). Ends with one line `N passed, N failed` over all suites, and fails when
# any test failed or any suite could not run.
#
# A suite is a command of which the last line that matches `N passed[, N failed]` is its count.
set -uo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PATH="$root/node_modules/.bin:$PATH"
passed=0
failed=0
summary=()

# suite NAME COMMAND...: runs it, shows its output, adds its counts. A suite without a count has failed.
suite() {
  local name=$1 log="$work/$1.log" began=$SECONDS status p f
  shift
  printf '\n=== %s\n' "$name"
  "$@" > >(tee "$log") 2>&1
  status=$?
  p=$(sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -oE '[0-9]+ passed' | tail -n 1 | cut -d' ' -f1)
  f=$(sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -oE '[0-9]+ (failed|errors?)' | tail -n 1 | cut -d' ' -f1)
  if sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -qE '[0-9]+ (skipped|todo)|No test files found'; then
    echo "$name skipped tests: that counts as a failure"
    f=$((${f:-0} + 1))
  fi
  if [ "$status" -ne 0 ] && [ "${f:-0}" -eq 0 ]; then f=1; fi
  if [ -z "$p" ]; then
    p=0
    f=$((${f:-0} > 0 ? f : 1))
  fi
  passed=$((passed + p))
  failed=$((failed + ${f:-0}))
  summary+=("$(printf '%-24s %6d passed %6d failed %6d s' "$name" "$p" "${f:-0}" $((SECONDS - began)))")
}

# counted COMMAND...: for a command that is one check.
counted() { if "$@"; then echo '1 passed, 0 failed'; else echo '0 passed, 1 failed'; return 1; fi; }

prepare() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq &&
    apt-get install -y -qq python3-venv qemu-utils debian-installer-12-netboot-amd64 grub-pc-bin grub-common xorriso mtools \
      file zsh fish postgresql nginx-light wrk >/dev/null &&
    apt-get install -y -qq --no-install-recommends swift-proxy swift-account swift-container swift-object memcached >/dev/null &&
    apt-get install -y -qq --no-install-recommends chromium >/dev/null || return 1
  command -v go >/dev/null || apt-get install -y -qq --no-install-recommends golang-go >/dev/null || return 1
  python3 -m venv "$work/python" &&
    "$work/python/bin/pip" install -q --disable-pip-version-check -r test/interop/requirements.txt || return 1
  scripts/make-test-images.sh "$work/images" || return 1
  TEST_TUSD_DIR=$work/go node test/bench/peers/tusd-program.ts &&
    TEST_S3_DIR=$work/go node test/support/versitygw-program.ts
}

suite 'readme test command' npm test
suite 'restarts' npx vitest run --project restarts
suite 'preparation' counted prepare
export TEST_IMAGES=$work/images TEST_S3_DIR=$work/go TEST_PYTHON=$work/python/bin/python TEST_TUSD_DIR=$work/go
python=$work/python/bin/python
suite 'main job' bash scripts/main-job.sh "$work/images/netboot.iso" "$work/images/netboot.qcow2"
suite 'official client' "$python" -m pytest -q -p no:cacheprovider --timeout 300 test/interop
suite 'schemathesis' bash scripts/run-schemathesis.sh "$work/python/bin/schemathesis"
suite 'behind proxies' npx vitest run --project proxy
suite 'browser' node test/browser/upload.ts
suite 'browser: page' node test/browser/web.ts
suite 'browser: 1 GiB' node test/browser/large-upload.ts --rounds 1
suite 'bench' node test/bench/main.ts --short --json "$work/bench.json"
for fault in kill power-loss faulty-disk model isolation fuzz load disk-full client client-memory; do
  suite "faults: $fault" node "test/faults/$fault.ts"
done

# The same over PostgreSQL: a throw-away server whose data need not survive a power failure.
postgres_url=$(chmod 755 "$work" && scripts/start-postgres.sh "$work/postgres" 5439 fsync=off)
over_postgres() { [ -n "$postgres_url" ] && TEST_POSTGRES_URL=$postgres_url "$@"; }
suite 'postgres: database' over_postgres npx vitest run --project main packages/server/src/db packages/server/src/domain
suite 'postgres: acceptance' over_postgres npx vitest run --project main test/acceptance
suite 'postgres: official client' over_postgres "$python" -m pytest -q -p no:cacheprovider --timeout 300 test/interop
suite 'postgres: model' over_postgres node test/faults/model.ts
[ -z "$postgres_url" ] || scripts/start-postgres.sh "$work/postgres" stop immediate
suite 'faults: postgres' node test/faults/postgres.ts

# Blobs in S3, over two different servers.
for kind in versitygw swift; do
  s3_url=$(scripts/start-s3.sh "$kind" "$work/$kind" 7480)
  over_s3() { [ -n "$s3_url" ] && TEST_S3_URL=$s3_url "$@"; }
  suite "s3: store over $kind" over_s3 npx vitest run --project s3
  suite "s3: acceptance over $kind" over_s3 npx vitest run --project main test/acceptance
  scripts/start-s3.sh stop "$work/$kind" KILL
done
suite 'faults: s3' node test/faults/s3.ts

printf '\n'
printf '%s\n' "${summary[@]}"
printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
