#!/usr/bin/env bash
# Runs Schemathesis (path in $1) over the server's own OpenAPI document with a fixed seed and budget: no 5xx, no reply
# outside the document. Each operation counts as a test.
set -uo pipefail
cd "$(dirname "$0")/.."
schemathesis=$1
seed=${SEED:-20260101}
export PATH="$PWD/node_modules/.bin:$PATH"
work=$(mktemp -d)
port=${PORT:-13918}
HOLDFAST_DATA_DIR=$work/store HOLDFAST_LISTEN=127.0.0.1:$port HOLDFAST_LOG_LEVEL=warn HOLDFAST_FETCH_ATTEMPTS=1 \
  node packages/server/src/main.js >"$work/output" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 600); do
  kill -0 $server 2>/dev/null || break
  curl -sf "http://127.0.0.1:$port/readyz" >/dev/null && break
  sleep 0.1
done
token=$(node -e '
  const { namespace, key, apiurl } = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
  fetch(apiurl + "/auth", { method: "POST", body: JSON.stringify({ namespace, key }) })
    .then((reply) => reply.json()).then((json) => console.log(json.access_token))' "$work/store/client.json")
api=http://127.0.0.1:$port
call() { curl -sf -H "Authorization: Bearer $token" "$@"; }
upload=$(call -X POST "$api/upload" | grep -oE '"uuid": ?"[^"]+"' | cut -d'"' -f4)
call --data-binary 'something to look at' "$api/upload/$upload" >/dev/null
blob=$(call "$api/artifacts/upload/fuzzed" -d "{\"upload_uuid\": \"$upload\"}" | grep -oE '"blob_uuid": ?"[^"]+"' | cut -d'"' -f4)
call "$api/label/fuzzed-label" -d "{\"blob_uuid\": \"$blob\"}" >/dev/null
open_upload=$(call -X POST "$api/upload" | grep -oE '"uuid": ?"[^"]+"' | cut -d'"' -f4)

# run NAME OPTIONS...: POST /artifacts makes the server fetch from elsewhere, so tests that stay on loopback cover it.
run() {
  local name=$1
  shift
  (cd "$work" && "$schemathesis" run "$api/openapi.json" --header "Authorization: Bearer $token" \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
    --max-examples "${EXAMPLES:-10}" --seed "$seed" --continue-on-failure --exclude-operation-id fetchArtifact \
    --suppress-health-check all --warnings off --request-timeout 10 --no-color \
    --report junit --report-junit-path "$work/$name.xml" "$@")
}
status=0
# First with objects that exist, then with whatever it makes up (which deletes what it finds).
cat > "$work/schemathesis.toml" <<TOML
[parameters]
"path.artifact_ref" = "fuzzed"
"path.blob_uuid" = "$blob"
"path.upload_uuid" = "$open_upload"
"path.name" = "fuzzed-label"
"path.namespace" = "system"
TOML
run existing --phases fuzzing --exclude-method DELETE || status=1
rm "$work/schemathesis.toml"
run made-up --phases coverage,fuzzing || status=1
grep -E '"level":(50|60)' "$work/output" && status=1
node -e '
  const { readFileSync } = require("fs")
  let tests = 0, bad = 0
  for (const file of process.argv.slice(2))
    for (const [suite] of readFileSync(file, "utf8").matchAll(/<testsuite [^>]*>/g)) {
      const count = (name) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(suite)?.[1] ?? 0)
      tests += count("tests")
      bad += count("failures") + count("errors")
    }
  console.log(`seed ${process.argv[1]}\n${tests - bad} passed, ${bad} failed`)
' "$seed" "$work/existing.xml" "$work/made-up.xml" || status=1
exit "$status"
