#!/usr/bin/env bash
# Stands everything up on this machine: Redis, nodes, gateways, nginx before them. Then smoke.sh.
#
#   deploy/up.sh [--gateways N] [--nodes N] [--port N] [--threads N] [--namespaces]
#
#   --gateways N    how many [2]
#   --nodes N       how many [2]
#   --port N        the front's; gateways take the next, nodes N + 101 .., Redis N + 200 [8000]
#   --threads N     engine threads of each node [cores over nodes]
#   --namespaces    a network namespace for each instance (root)
#
# REDRAFT_STATE (default: build/deploy) holds what it writes: logs, pids, secrets (mode 0600).
# REDRAFT_MODEL and REDRAFT_HEAD choose another model, as "node --help" says; REDRAFT_NODE_FLAGS
# are further flags of each node, REDRAFT_DRAIN_S what streams get to finish [30].
REDRAFT_FRESH=1
. "$(dirname "$0")/lib.sh"

while [ $# -gt 0 ]; do
  case $1 in
    --gateways) GATEWAYS=${2:-} ;;
    --nodes) NODES=${2:-} ;;
    --port) PORT=${2:-} ;;
    --threads) THREADS=${2:-} ;;
    --namespaces) NAMESPACES=1 ;;
    --help) sed -n '2,/^REDRAFT_FRESH/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) die "Unknown option $1: see --help" ;;
  esac
  case $1 in --namespaces) shift ;; *) shift; shift || die "A value is missing" ;; esac
done

check() {
  local name
  whole --gateways "$GATEWAYS" 1 16
  whole --nodes "$NODES" 1 16
  whole --port "$PORT" 1024 65000
  [ -n "$THREADS" ] || THREADS=$(($(nproc) / NODES))
  [ "$THREADS" -gt 0 ] || THREADS=1
  whole --threads "$THREADS" 1 1024
  whole REDRAFT_DRAIN_S "$DRAIN_S" 1 3600
  need curl nginx redis-server setsid
  if [ -n "$NAMESPACES" ]; then
    need ip
    [ "$(id -u)" = 0 ] || die "--namespaces needs root"
    ! ip link show "$BRIDGE" >/dev/null 2>&1 || die "$BRIDGE is there: run deploy/down.sh first"
  fi
  for name in $(instances); do
    ! is_alive "$name" || die "$name runs already: run deploy/down.sh first"
    [ -n "$NAMESPACES" ] || ! is_open "$name" ||
      die "Port $(port_of "$name") ($name) is in use: set --port"
  done
}

find_deno() {
  [ -n "${DENO:-}" ] && return
  if command -v deno >/dev/null; then DENO=$(command -v deno); return; fi
  need npx
  DENO=$(cd "$ROOT" && NO_COLOR=1 npx -y deno@2.9.6 eval 'console.log(Deno.execPath())' 2>/dev/null)
}

secret() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }

write_state() {
  local name key digest prepared
  mkdir -p "$STATE/front" "$STATE/redis"
  rm -f "$STATE"/*.log
  prepared=$(cd "$ROOT" && "$DENO" run -A deploy/prepare.ts)
  { echo "DENO=$(printf %q "$DENO")"; echo "$prepared"; } >"$STATE/programs"
  for name in GATEWAYS PORT NAMESPACES THREADS DRAIN_S READY_S SUBNET NODE_FLAGS; do
    echo "REDRAFT_$name=$(printf %q "${!name}")"
  done >"$STATE/settings"
  echo "REDRAFT_NODES_COUNT=$NODES" >>"$STATE/settings"
  (
    umask 077
    key=${REDRAFT_KEY:-sk-redraft-$(secret)}
    digest=$(printf %s "$key" | sha256sum | cut -d' ' -f1)
    printf 'NODE_TOKEN=%s\nREDIS_PASSWORD=%s\n' "$(secret)" "$(secret)" >"$STATE/secrets"
    printf %s "$key" >"$STATE/key"
    {
      echo "node:"
      for name in $(nodes); do echo "  - ws://$(address "$name")"; done
      printf 'keys:\n  - tenant: default\n    sha256: %s\n' "$digest"
    } >"$STATE/gateway.yaml"
  )
  cp "$DEPLOY/front/nginx.conf" "$STATE/front/"
  echo "listen $(address front);" >"$STATE/front/listen.conf"
  write_upstream
}

make_networks() {
  local name
  ip link add "$BRIDGE" type bridge
  ip addr add "$SUBNET.1/24" dev "$BRIDGE"
  ip link set "$BRIDGE" up
  for name in $(instances); do
    ip netns add "redraft-$name"
    ip link add "rd-$name" type veth peer name eth0 netns "redraft-$name"
    ip link set "rd-$name" master "$BRIDGE" up
    ip -n "redraft-$name" addr add "$(host_of "$name")/24" dev eth0
    ip -n "redraft-$name" link set lo up
    ip -n "redraft-$name" link set eth0 up
  done
}

check
find_deno
write_state
[ -z "$NAMESPACES" ] || make_networks
trap 'say "Not up; logs are in $STATE. deploy/down.sh clears it."' ERR
start redis
ready redis
for name in $(nodes); do start "$name"; done
for name in $(nodes); do ready "$name"; done
for name in $(gateways); do start "$name"; done
for name in $(gateways); do
  ready "$name"
  await "$READY_S" "$name sees all nodes and Redis" sees_all "$name"
done
start front
ready front
"$DEPLOY/smoke.sh"
say "Up: $(front_url)/v1, key in $STATE/key"
