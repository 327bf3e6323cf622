#!/usr/bin/env bash
# Starts a throw-away PostgreSQL for tests: `start-postgres.sh DIR PORT [SETTING=VALUE...]`. The cluster is made in DIR
# when there is none, listens on 127.0.0.1:PORT and a socket in DIR, and lets everybody in as `postgres` without a
# password. Prints its URL. `start-postgres.sh DIR stop [fast|immediate]` stops it; removing DIR is left to the caller.
#
# PostgreSQL refuses to run as root; then it runs as the user `postgres`, who must be able to reach DIR.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: $0 DIR PORT [SETTING=VALUE...] | $0 DIR stop [MODE]" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
bin=${POSTGRES_BIN:-$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)}
[ -n "$bin" ] || { echo 'PostgreSQL is not installed: apt-get install postgresql' >&2; exit 1; }

as_owner() {
  if [ "$(id -u)" -eq 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

if [ "$2" = stop ]; then
  as_owner "$bin/pg_ctl" -D "$dir/data" -m "${3:-fast}" -w stop >/dev/null
  exit
fi

port=$2
shift 2
options="-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$dir -c max_connections=200"
for setting in "$@"; do options+=" -c $setting"; done
if [ ! -f "$dir/data/PG_VERSION" ]; then
  if [ "$(id -u)" -eq 0 ]; then chown postgres "$dir"; fi
  as_owner "$bin/initdb" -D "$dir/data" -U postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync >/dev/null
  # For callers who let it listen elsewhere, in a network namespace: listen_addresses=ADDRESS.
  echo 'host all all samenet trust' >>"$dir/data/pg_hba.conf"
fi
as_owner "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -o "$options" -w -t 60 start >/dev/null ||
  { tail -n 20 "$dir/log" >&2; exit 1; }
echo "postgres://postgres@127.0.0.1:$port/postgres"
