# shellcheck shell=bash
# Read by up.sh, roll.sh, down.sh and smoke.sh: the settings, the instances and where each listens.
# An instance is a process of this machine; with REDRAFT_NAMESPACES=1 each has a network of its own.
set -euo pipefail

DEPLOY=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname "$DEPLOY")
STATE=${REDRAFT_STATE:-$ROOT/build/deploy}

# What up.sh was told, for the scripts that come after it.
# shellcheck source=/dev/null
if [ -f "$STATE/settings" ] && [ "${REDRAFT_FRESH:-}" != 1 ]; then . "$STATE/settings"; fi
GATEWAYS=${REDRAFT_GATEWAYS:-2}
NODES=${REDRAFT_NODES_COUNT:-2}
PORT=${REDRAFT_PORT:-8000}
NAMESPACES=${REDRAFT_NAMESPACES:-}
THREADS=${REDRAFT_THREADS:-}
NODE_FLAGS=${REDRAFT_NODE_FLAGS:-}
DRAIN_S=${REDRAFT_DRAIN_S:-30}
READY_S=${REDRAFT_READY_S:-120}
STORE=${REDRAFT_STORE:-}
# shellcheck disable=SC2034 # up.sh, rotate.sh and down.sh use them.
KEYS=${REDRAFT_KEYS:-}
SUBNET=${REDRAFT_SUBNET:-10.231.0}
# Several may stand side by side on one machine, each with a tag and a subnet.
TAG=${REDRAFT_TAG:-}
# shellcheck disable=SC2034 # up.sh and down.sh use it.
BRIDGE=redraft$TAG-0

say() { echo "deploy: $*" >&2; }
die() { say "$*"; exit 1; }

need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || die "Cannot find $program: install it (Debian: $program)"
  done
}

find_deno() {
  [ -n "${DENO:-}" ] && return
  if command -v deno >/dev/null; then DENO=$(command -v deno); return; fi
  need npx
  DENO=$(cd "$ROOT" &&
    NO_COLOR=1 npx -y deno@2.9.6 eval "console.log(Deno.execPath())" 2>/dev/null) ||
    die "Cannot fetch deno@2.9.6 with npx: install Deno, or name one in DENO"
}

# Builds the engine, fetches model and packages.
prepare() {
  local prepared
  prepared=$(cd "$ROOT" && "$DENO" run -A deploy/prepare.ts) || die "Cannot prepare the node"
  # From here on nothing is fetched: instances start from what is cached.
  (cd "$ROOT" &&
    "$DENO" cache -q --frozen gateway/main.ts gpu-node/main.ts deploy/check_store.ts mod.ts) ||
    die "Cannot fetch the packages of deno.json"
  mkdir -p "$STATE"
  { echo "DENO=$(printf %q "$DENO")"; echo "$prepared"; } >"$STATE/programs"
  # shellcheck source=/dev/null
  . "$STATE/programs"
}

secret() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }

netns_of() { echo "redraft$TAG-$1"; }
link_of() { echo "rd$TAG-$1"; }

counted() { # PREFIX COUNT
  local i
  for ((i = 1; i <= $2; i++)); do echo "$1$i"; done
}

nodes() { counted node "$NODES"; }
gateways() { counted gateway "$GATEWAYS"; }
instances() { [ -n "$STORE" ] || echo redis; nodes; gateways; echo front; }

host_of() {
  [ -n "$NAMESPACES" ] || { echo 127.0.0.1; return; }
  case $1 in
    front) echo "$SUBNET.10" ;;
    gateway*) echo "$SUBNET.$((20 + ${1#gateway}))" ;;
    node*) echo "$SUBNET.$((40 + ${1#node}))" ;;
    redis) echo "$SUBNET.60" ;;
  esac
}

port_of() {
  case $1 in
    front) echo "$PORT" ;;
    gateway*) echo "$((PORT + ${1#gateway}))" ;;
    node*) echo "$((PORT + 100 + ${1#node}))" ;;
    redis) echo "$((PORT + 200))" ;;
  esac
}

address() { echo "$(host_of "$1"):$(port_of "$1")"; }
url_of() { echo "http://$(address "$1")"; }
front_url() { url_of front; }

is_open() { (exec 3<>"/dev/tcp/$(host_of "$1")/$(port_of "$1")") 2>/dev/null; }

pid_of() { cat "$STATE/$1.pid" 2>/dev/null || true; }

# A pid may be someone else's by now: it is ours only if it started when our file says.
is_alive() {
  local pid
  pid=$(pid_of "$1")
  [ -n "$pid" ] && [ "$(started_at "$pid")" = "$(cat "$STATE/$1.started" 2>/dev/null)" ]
}

started_at() { # Field 22 of stat, counted behind the name, which may hold blanks.
  local line
  line=$(cat "/proc/$1/stat" 2>/dev/null) || { echo gone; return; }
  case ${line##*) } in Z*) echo gone ;; *) echo "${line##*) }" | cut -d' ' -f20 ;; esac
}

send() { # SIGNAL NAME
  is_alive "$2" && kill "-$1" "$(pid_of "$2")"
}

await() { # SECONDS WORDS COMMAND..
  local end=$(($(date +%s) + $1)) words=$2
  shift 2
  until "$@"; do
    [ "$(date +%s)" -lt "$end" ] || { say "Waited too long: $words"; return 1; }
    sleep 0.1
  done
}

is_gone() { ! is_alive "$1"; }
is_ready() { curl -fsS -o /dev/null --max-time 2 "$(url_of "$1")/readyz" 2>/dev/null; }

# Whether a gateway reaches every node, and Redis.
sees_all() {
  local body
  body=$(curl -fsS --max-time 2 "$(url_of "$1")/readyz" 2>/dev/null) || return 1
  [[ $body == *"\"nodes_ready\":$NODES,"* && $body == *'"store":"ready"'* ]]
}

write_upstream() { # NAME of a gateway that shall get nothing new, or nothing.
  local name
  {
    echo "upstream gateways {"
    echo "  zone gateways 64k;"
    echo "  least_conn;"
    for name in $(gateways); do
      if [ "$name" = "${1:-}" ]; then
        echo "  server $(address "$name") down;"
      else
        echo "  server $(address "$name") max_fails=3 fail_timeout=2s;"
      fi
    done
    echo "  keepalive 64;"
    echo "}"
  } >"$STATE/front/upstream.conf.new"
  mv "$STATE/front/upstream.conf.new" "$STATE/front/upstream.conf"
}

# Sets the array COMMAND: what runs the instance, with the permissions that it needs and no more.
command_of() {
  local name=$1 flag
  case $name in
    redis)
      COMMAND=(redis-server "$STATE/redis/redis.conf")
      ;;
    front)
      COMMAND=(nginx -p "$STATE/front/" -c "$STATE/front/nginx.conf" -g "daemon off;")
      ;;
    node*)
      COMMAND=("$DENO" run --cached-only --no-prompt "--allow-ffi=$LIBRARY" --allow-net --allow-env
        "--allow-read=$LIBRARY,$MODEL${HEAD:+,$HEAD},/proc/self" "$ROOT/gpu-node/main.ts"
        "--library=$LIBRARY" "--model=$MODEL" "--host=$(host_of "$name")"
        "--port=$(port_of "$name")" "--id=$name" "--drain-ms=${DRAIN_S}000")
      [ -z "$HEAD" ] || COMMAND+=("--head=$HEAD")
      [ -z "$THREADS" ] || COMMAND+=("--threads=$THREADS")
      for flag in $NODE_FLAGS; do COMMAND+=("$flag"); done
      ;;
    gateway*)
      COMMAND=("$DENO" run --cached-only --no-prompt --v8-flags=--max-semi-space-size=4
        --allow-net --allow-env "--allow-read=$STATE/gateway.yaml"
        "$ROOT/gateway/main.ts" "--config=$STATE/gateway.yaml"
        "--host=$(host_of "$name")" "--port=$(port_of "$name")" "--drain-deadline-s=$DRAIN_S")
      ;;
  esac
}

start() {
  local name=$1
  # shellcheck source=/dev/null
  . "$STATE/secrets"
  # shellcheck source=/dev/null
  . "$STATE/programs"
  command_of "$name"
  [ -z "$NAMESPACES" ] || COMMAND=(ip netns exec "$(netns_of "$name")" "${COMMAND[@]}")
  REDRAFT_NODE_TOKEN=$NODE_TOKEN REDRAFT_STORE=$GATEWAY_STORE \
    setsid "${COMMAND[@]}" </dev/null >>"$STATE/$name.log" 2>&1 &
  echo $! >"$STATE/$name.pid"
  # The same process runs setsid, ip and the program in turn: its start is known now.
  started_at $! >"$STATE/$name.started"
}

ready() {
  local name=$1
  await "$READY_S" "$name" answers_or_dead "$name"
  is_alive "$name" || die "$name ended at its start: $(tail -n 3 "$STATE/$name.log")"
}

answers_or_dead() {
  is_alive "$1" || return 0
  case $1 in redis | front) is_open "$1" ;; *) is_ready "$1" ;; esac
}

stop() { # Asks it to drain, waits, and kills it past its time.
  local name=$1
  is_alive "$name" || return 0
  if [ "$name" = front ]; then send QUIT front; else send TERM "$name"; fi
  if ! await $((DRAIN_S + 10)) "$name drains" is_gone "$name"; then
    send KILL "$name" || true
    await 5 "$name dies" is_gone "$name"
    return 1
  fi
}

# The head of the script that sources this is its help.
case " $* " in
  *" --help "* | *" -h "*)
    sed -n '2,/^[^#]/{/^# shellcheck/d;s/^#$//p;s/^# //p}' "$0"
    exit 0
    ;;
esac
