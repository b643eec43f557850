#!/usr/bin/env bash
# Stands everything up on this machine: Redis, nodes, gateways, nginx before them. Then smoke.sh.
#
#   deploy/up.sh [--gateways N] [--nodes N] [--port N] [--threads N] [--keys FILE] [--store URL]
#                [--listen FILE] [--namespaces] [--check]
#
#   --gateways N    how many [2]
#   --nodes N       how many [2]
#   --port N        the front's; gateways take the next, nodes N + 101 .., Redis N + 200 [8000]
#   --threads N     engine threads of each node [cores over nodes]
#   --keys FILE     "keys:" of the gateways' configuration; REDRAFT_KEY is one of them, for
#                   smoke.sh. Without it a key is made.
#   --store URL     a Redis that stands already (or REDRAFT_STORE, which hides a password)
#   --listen FILE   what nginx shall listen on besides 127.0.0.1: "listen 443 ssl;", certificates
#   --namespaces    a network namespace for each instance (root), of REDRAFT_SUBNET [10.231.0];
#                   REDRAFT_TAG, up to three letters, tells several such networks apart
#   --check         refuse what would be refused, and end
#
# REDRAFT_STATE (default: build/deploy) holds what it writes: logs, pids, secrets (mode 0600).
# REDRAFT_BACKEND is cpu or cuda [cpu]; REDRAFT_MODEL and REDRAFT_HEAD choose another model, as
# "node --help" says; REDRAFT_NODE_FLAGS are further flags of each node, REDRAFT_DRAIN_S is what
# streams get to finish [30].
REDRAFT_FRESH=1
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=preflight.sh
. "$DEPLOY/preflight.sh"

CHECK=''
LISTEN=''
while [ $# -gt 0 ]; do
  case $1 in
    --gateways) GATEWAYS=${2:-} ;;
    --nodes) NODES=${2:-} ;;
    --port) PORT=${2:-} ;;
    --threads) THREADS=${2:-} ;;
    --keys) KEYS=${2:-} ;;
    --store) STORE=${2:-} ;;
    --listen) LISTEN=${2:-} ;;
    --namespaces) NAMESPACES=1 ;;
    --check) CHECK=1 ;;
    --help) sed -n '2,/^REDRAFT_FRESH/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) die "Unknown option $1: see --help" ;;
  esac
  case $1 in
    --namespaces | --check) shift ;;
    *) [ $# -gt 1 ] && [ -n "$2" ] || die "$1 lacks its value"; shift 2 ;;
  esac
done

write_keys() { # The keys that were named, or one that is made.
  if [ -n "$KEYS" ]; then
    cat "$KEYS"
  else
    printf 'keys:\n  - tenant: default\n    sha256: %s\n' \
      "$(printf %s "$key" | sha256sum | cut -d' ' -f1)"
  fi
}

write_secrets() {
  local key name password
  key=${REDRAFT_KEY:-sk-redraft-$(secret)}
  password=$(secret)
  printf 'NODE_TOKEN=%q\nGATEWAY_STORE=%q\n' "$(secret)" \
    "${STORE:-redis://:$password@$(address redis)}" >"$STATE/secrets"
  printf %s "$key" >"$STATE/key"
  {
    echo "host: 0.0.0.0"
    echo "node:"
    for name in $(nodes); do echo "  - ws://$(address "$name")"; done
    write_keys
  } >"$STATE/gateway.yaml"
  cat >"$STATE/redis/redis.conf" <<EOF
bind $(host_of redis)
port $(port_of redis)
requirepass $password
save ""
appendonly yes
loglevel warning
dir $STATE/redis
EOF
}

write_settings() {
  local name source
  for name in GATEWAYS PORT NAMESPACES THREADS DRAIN_S READY_S SUBNET TAG NODE_FLAGS STORE KEYS; do
    echo "REDRAFT_$name=$(printf %q "${!name}")"
  done
  echo "REDRAFT_NODES_COUNT=$NODES"
  for source in REDRAFT_BACKEND REDRAFT_MODEL REDRAFT_HEAD; do # For roll.sh --upgrade.
    echo "export $source=$(printf %q "${!source:-}")"
  done
}

write_state() {
  mkdir -p "$STATE/front" "$STATE/redis"
  rm -f "$STATE"/*.log "$STATE/settings"
  (umask 077 && write_secrets)
  cp "$DEPLOY/front/nginx.conf" "$STATE/front/"
  {
    echo "listen $(address front);"
    [ -z "$LISTEN" ] || cat "$LISTEN"
  } >"$STATE/front/listen.conf"
  write_upstream
}

make_networks() {
  local name netns link
  # An address of its own: else it is its lowest port's, and changes when ports come and go.
  ip link add "$BRIDGE" address 02:52:44:00:00:01 type bridge
  ip addr add "$SUBNET.1/24" dev "$BRIDGE"
  ip link set "$BRIDGE" up
  for name in $(instances); do
    netns=$(netns_of "$name")
    link=$(link_of "$name")
    ip netns add "$netns"
    ip link add "$link" type veth peer name eth0 netns "$netns"
    ip link set "$link" master "$BRIDGE" up
    ip -n "$netns" addr add "$(host_of "$name")/24" dev eth0
    ip -n "$netns" link set lo up
    ip -n "$netns" link set eth0 up
  done
}

stand_up() {
  local name
  [ -z "$NAMESPACES" ] || make_networks
  [ -n "$STORE" ] || { start redis; ready redis; }
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
}

check_kernel
check_settings
check_programs
check_namespaces
check_instances
check_files
find_deno
check_store
write_state
check_front
check_gateway
prepare # Minutes, the first time: whatever can be refused without it was.
check_engine
if [ -n "$CHECK" ]; then
  rm -f "$STATE/secrets" "$STATE/key"
  say "Nothing would be refused"
  exit
fi
(umask 077 && write_settings >"$STATE/settings")
trap 'say "Not up; logs are in $STATE. deploy/down.sh clears it."' ERR
stand_up
say "Up: $(front_url)/v1, key in $STATE/key"
