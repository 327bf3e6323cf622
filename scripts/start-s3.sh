#!/usr/bin/env bash
# Starts a throw-away S3-compatible server for tests, one of two real ones (docs/decisions/0040-two-s3-servers.md):
#
#   start-s3.sh versitygw DIR PORT   Versity S3 Gateway over a directory; Go builds it when there is none yet
#   start-s3.sh swift DIR PORT       OpenStack Swift: apt-get install --no-install-recommends swift-proxy \
#                                    swift-account swift-container swift-object memcached
#   start-s3.sh stop DIR [SIGNAL]    stops what was started in DIR: TERM, or another signal; removing DIR is left to you
#
# Listens on 127.0.0.1:PORT and keeps its data in DIR; Swift takes PORT+1 to PORT+4 as well. Made anew it has one empty
# bucket, holdfast; started again with the same DIR it has what it had. Prints its URL when it answers. The access
# key is test:tester, the secret testing.
set -euo pipefail
usage() { sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# -ge 2 ] || usage
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$2"
dir=$(cd "$2" && pwd)
bucket=holdfast

# start NAME COMMAND...: in the background, its process id and its output kept in DIR.
start() {
  local name=$1
  shift
  "$@" >>"$dir/$name.log" 2>&1 </dev/null &
  echo $! >"$dir/$name.pid"
}

is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

wait_for_ports() {
  local port
  for port in "$@"; do
    for left in $(seq 300 -1 0); do
      is_open "$port" && break
      [ "$left" -gt 0 ] || { tail -n 20 "$dir"/*.log >&2; exit 1; }
      sleep 0.1
    done
  done
}

start_versitygw() {
  local port=$1 program
  program=$(node "$here/../test/support/versitygw-program.ts")
  mkdir -p "$dir/data/$bucket"
  ROOT_ACCESS_KEY=test:tester ROOT_SECRET_KEY=testing \
    start versitygw "$program" --port "127.0.0.1:$port" --quiet --keep-alive --virtual-domain localhost \
    posix "$dir/data"
  wait_for_ports "$port"
}

# One device, one replica, one process of each kind. Nothing but these processes reads the configuration in DIR.
start_swift() {
  local port=$1 account=$(($1 + 1)) container=$(($1 + 2)) object=$(($1 + 3)) memcached=$(($1 + 4)) kind
  command -v swift-proxy-server memcached >/dev/null ||
    { echo 'Swift is not installed: see the head of this script' >&2; exit 1; }
  mkdir -p "$dir/devices/d1" "$dir/cache"
  export SWIFT_CONF_DIR=$dir
  if [ ! -e "$dir/object.ring.gz" ]; then
    printf '[swift-hash]\nswift_hash_path_suffix = tests\nswift_hash_path_prefix = tests\n' >"$dir/swift.conf"
    for kind in account container object; do
      (cd "$dir" && swift-ring-builder "$kind.builder" create 4 1 0 &&
        swift-ring-builder "$kind.builder" add "r1z1-127.0.0.1:${!kind}/d1" 1 &&
        swift-ring-builder "$kind.builder" rebalance) >>"$dir/rings.log"
      swift_server "$kind" "${!kind}" >"$dir/$kind-server.conf"
    done
    swift_proxy "$port" "$memcached" >"$dir/proxy-server.conf"
  fi
  start memcached memcached -u "$(id -un)" -l 127.0.0.1 -p "$memcached" -m 16
  for kind in account container object; do start "$kind" "swift-$kind-server" "$dir/$kind-server.conf" -v; done
  start proxy swift-proxy-server "$dir/proxy-server.conf" -v
  wait_for_ports "$memcached" "$account" "$container" "$object" "$port"
}

# What all of them have in common. Without log_address they would want the system's logger.
swift_default() {
  printf '[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = %s\nuser = %s\nworkers = 0\nswift_dir = %s\n' "$1" "$(id -un)" "$dir"
  printf 'devices = %s/devices\nmount_check = false\nlog_address = %s/no-logger\nlog_level = WARNING\n' "$dir" "$dir"
  printf 'recon_cache_path = %s/cache\nfallocate_reserve = 0\n' "$dir"
}

swift_server() {
  swift_default "$2"
  printf '[pipeline:main]\npipeline = %s-server\n[app:%s-server]\nuse = egg:swift#%s\n' "$1" "$1" "$1"
}

swift_proxy() {
  swift_default "$1"
  # Its half a second for a connection is short on a busy machine, and after ten failures it would not ask the only
  # replica for a minute.
  cat <<END
[pipeline:main]
pipeline = catch_errors cache s3api tempauth bulk slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
conn_timeout = 10
error_suppression_limit = 1000000
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$2
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
max_upload_part_num = 10000
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
max_manifest_segments = 10000
END
}

stop() {
  local signal=$1 file
  for file in "$dir"/*.pid; do
    [ -e "$file" ] || continue
    kill -s "$signal" "$(cat "$file")" 2>/dev/null || true
  done
  for file in "$dir"/*.pid; do
    [ -e "$file" ] || continue
    for _ in $(seq 100); do kill -0 "$(cat "$file")" 2>/dev/null || break; sleep 0.1; done
    rm -f "$file"
  done
}

case $1 in
  stop) stop "${3:-TERM}" ;;
  versitygw | swift)
    [ $# -eq 3 ] || usage
    "start_$1" "$3"
    [ "$1" = versitygw ] || AWS_ACCESS_KEY_ID=test:tester AWS_SECRET_ACCESS_KEY=testing \
      node "$here/../test/support/make-bucket.ts" "http://127.0.0.1:$3" "$bucket"
    echo "http://127.0.0.1:$3"
    ;;
  *) usage ;;
esac
