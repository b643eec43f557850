#!/usr/bin/env bash
# Restarts instances one at a time, each drained, the next one only when all are well again.
#
#   deploy/roll.sh [--upgrade] [NAME..]
#
#   NAME         node1, gateway2, redis, front; without a name: all of them
#   --upgrade    builds and fetches first what the sources ask for now
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

[ -f "$STATE/settings" ] || die "Nothing is up: run deploy/up.sh first"

all_well() {
  local name
  for name in $(gateways); do sees_all "$name" || return 1; done
  is_open front
}

reload_front() {
  ${NAMESPACES:+ip netns exec "$(netns_of front)"} \
    nginx -p "$STATE/front/" -c "$STATE/front/nginx.conf" -t -q
  send HUP front
  sleep 0.5 # New workers listen; the old ones finish what they have.
}

roll_gateway() {
  write_upstream "$1"
  reload_front
  stop "$1" || say "$1 was killed: its streams took over ${DRAIN_S} s"
  start "$1"
  ready "$1"
  await "$READY_S" "$1 sees all nodes and Redis" sees_all "$1"
  write_upstream
  reload_front
}

roll_other() {
  stop "$1" || say "$1 was killed: it took over ${DRAIN_S} s"
  start "$1"
  ready "$1"
}

roll() {
  local from
  from=$(date +%s)
  # One that is dead already is only started.
  ! is_alive "$1" || await "$READY_S" "all are well before $1 goes" all_well
  case $1 in
    gateway*) roll_gateway "$1" ;;
    front) reload_front ;;
    *) roll_other "$1" ;;
  esac
  await "$READY_S" "all are well after $1" all_well
  say "$1 rolled in $(($(date +%s) - from)) s"
}

if [ "${1:-}" = --upgrade ]; then
  shift
  find_deno
  prepare
fi
names=${*:-$(instances)}
for name in $names; do
  instances | grep -qx -- "$name" || die "No instance $name: $(instances | tr '\n' ' ')"
done
for name in $names; do roll "$name"; done
