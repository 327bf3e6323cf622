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
  node packages/server/src/main.ts >"$work/output" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 100); do
  curl -sf "http://127.0.0.1:$port/readyz" >/dev/null && break
  sleep 0.1
done
token=$(node -e '
  const { namespace, key, apiurl } = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
  fetch(apiurl + "/auth", { method: "POST", body: JSON.stringify({ namespace, key }) })
    .then((reply) => reply.json()).then((json) => console.log(json.access_token))' "$work/store/client.json")
# POST /artifacts makes the server fetch from elsewhere: it is covered by tests that stay on loopback. Deleting the
# namespace of the token would end the run.
(cd "$work" && "$schemathesis" run "http://127.0.0.1:$port/openapi.json" \
  --header "Authorization: Bearer $token" \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
  --phases examples,coverage,fuzzing --max-examples "${EXAMPLES:-15}" --seed "$seed" --continue-on-failure \
  --exclude-operation-id fetchArtifact --suppress-health-check all --request-timeout 10 --no-color \
  --report junit --report-junit-path "$work/junit.xml")
status=$?
grep -E '"level":(50|60)' "$work/output" && status=1
if [ -s "$work/junit.xml" ]; then
  node -e '
    const xml = require("fs").readFileSync(process.argv[1], "utf8");
    const total = (name) => [...xml.matchAll(new RegExp("<testsuite [^>]*\\b" + name + "=\"(\\d+)\"", "g"))].reduce((sum, m) => sum + Number(m[1]), 0);
    const bad = total("failures") + total("errors");
    console.log(`seed ${process.argv[2]}\n${total("tests") - bad} passed, ${bad} failed`)' "$work/junit.xml" "$seed"
fi
exit "$status"
