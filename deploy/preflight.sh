# shellcheck shell=bash
# Read by up.sh: all that can be refused is refused here, by name, before anything starts.

KERNEL_LEAST=5.4
REDIS_LEAST=6.0

whole() { # NAME VARIABLE LEAST MOST
  local value=${!2}
  case $value in '' | *[!0-9]*) die "$1 is '$value': set a whole number from $3 to $4" ;; esac
  [ "${#value}" -le 9 ] || die "$1 is $value: set $3 to $4"
  value=$((10#$value)) # 010 is ten, not bash's eight.
  [ "$value" -ge "$3" ] && [ "$value" -le "$4" ] || die "$1 is $value: set $3 to $4"
  printf -v "$2" %s "$value"
}

# Whether a version is at least another one.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

check_kernel() {
  local kernel
  kernel=$(uname -r)
  [ "$(uname -s)" = Linux ] || die "This is $(uname -s): the scripts need Linux"
  at_least "${kernel%%-*}" "$KERNEL_LEAST" ||
    die "Kernel $kernel is too old: $KERNEL_LEAST or newer is needed"
}

check_settings() {
  whole --gateways GATEWAYS 1 16
  whole --nodes NODES 1 16
  whole --port PORT 1024 65000
  [ -n "$THREADS" ] || THREADS=$(($(nproc) < NODES ? 1 : $(nproc) / NODES))
  whole --threads THREADS 1 256
  whole REDRAFT_DRAIN_S DRAIN_S 1 3600
  whole REDRAFT_READY_S READY_S 1 3600
}

check_programs() {
  need curl nginx setsid sha256sum
  [ -n "$STORE" ] || need redis-server
  [ -z "$NAMESPACES" ] || need ip
  if command -v redis-server >/dev/null && [ -z "$STORE" ]; then
    local version
    version=$(redis-server --version | sed -n 's/.* v=\([0-9.]*\).*/\1/p')
    at_least "$version" "$REDIS_LEAST" ||
      die "redis-server $version is too old: $REDIS_LEAST or newer is needed"
  fi
}

check_instances() {
  local name
  for name in $(instances); do
    ! is_alive "$name" || die "$name runs already: run deploy/down.sh first"
    [ -n "$NAMESPACES" ] || ! is_open "$name" ||
      die "Port $(port_of "$name") ($name) is in use: set another --port"
  done
}

check_namespaces() {
  [ -n "$NAMESPACES" ] || return 0
  [ "$(id -u)" = 0 ] || die "--namespaces needs root"
  [ -z "$STORE" ] || die "--store is out of reach of --namespaces: leave one of them out"
  [[ $TAG =~ ^[a-z0-9]{0,3}$ ]] || die "REDRAFT_TAG is '$TAG': set up to three letters or digits"
  [[ $SUBNET =~ ^10\.[0-9]{1,3}\.[0-9]{1,3}$ ]] || die "REDRAFT_SUBNET is '$SUBNET': set 10.N.N"
  ! ip link show "$BRIDGE" >/dev/null 2>&1 ||
    die "$BRIDGE is there: run deploy/down.sh first, or set REDRAFT_TAG"
  ! ip -4 -o addr | grep -qF "inet $SUBNET." ||
    die "$SUBNET.0/24 is in use on this machine: set REDRAFT_SUBNET"
}

check_files() {
  [ -z "$LISTEN" ] || [ -r "$LISTEN" ] ||
    die "Cannot read --listen $LISTEN: name a file with nginx's listen lines"
  [ -n "$KEYS" ] || return 0
  [ -r "$KEYS" ] || die "Cannot read --keys $KEYS: name a file with the gateway's keys"
  [ -n "${REDRAFT_KEY:-}" ] ||
    die "REDRAFT_KEY is missing: set it to one of the keys of $KEYS, for smoke.sh"
}

# What only the programs themselves can judge; those that must be built come last.
check_store() {
  [ -z "$STORE" ] || REDRAFT_STORE=$STORE "$DENO" run --no-prompt --allow-net --allow-env \
    "$DEPLOY/check_store.ts" "$REDIS_LEAST" >&2 || exit 1
}

check_front() {
  local words
  [ -z "$NAMESPACES" ] || return 0 # Its address is none of this machine's yet.
  words=$(nginx -t -q -p "$STATE/front/" -c "$STATE/front/nginx.conf" 2>&1) ||
    die "nginx refuses its configuration: $(tail -n 2 <<<"$words" | head -n 1)"
  [ -z "$LISTEN" ] || nginx -T -q -p "$STATE/front/" -c "$STATE/front/nginx.conf" 2>/dev/null |
    "$DENO" run --no-prompt --allow-net --allow-sys=uid "$DEPLOY/check_listen.ts" \
      "$LISTEN" >&2 || exit 1
}

check_gateway() {
  local file=$STATE/gateway.yaml
  (cd "$ROOT" && "$DENO" run -A mod.ts config check "$file") >/dev/null ||
    die "The gateway refuses its configuration: mend ${KEYS:-$file}"
  [ -n "$KEYS" ] || return 0
  grep -qi "$(printf %s "$REDRAFT_KEY" | sha256sum | cut -c1-64)" "$KEYS" ||
    die "REDRAFT_KEY is none of the keys of $KEYS: set it to one of them, for smoke.sh"
}

# The engine, the model, its head and the flags, opened once.
check_engine() {
  command_of node1
  REDRAFT_NODE_TOKEN=check "${COMMAND[@]}" --info >"$STATE/engine.json" 2>"$STATE/engine.err" ||
    die "The node refuses its engine or flags: $(tail -n 1 "$STATE/engine.err")"
}
