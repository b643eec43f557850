#!/usr/bin/env bash
# Takes down what up.sh stood up: the front first, so that streams may finish; then the networks.
#
#   deploy/down.sh [--now]     --now: without draining
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

case ${1:-} in
  '') ;;
  --now) DRAIN_S=0 ;;
  *) die "Unknown option $1: there is --now" ;;
esac
[ $# -le 1 ] || die "Unknown option $2: there is --now"

status=0
for name in front $(gateways) $(nodes) redis; do
  if [ "$DRAIN_S" = 0 ]; then
    # nginx's workers outlive it when it is killed; TERM is its quick end.
    if [ "$name" = front ]; then send TERM front || true; else send KILL "$name" || true; fi
  fi
  stop "$name" || { say "$name was killed"; status=1; }
  rm -f "$STATE/$name.pid" "$STATE/$name.started"
done
if [ -n "$NAMESPACES" ]; then
  for name in $(instances); do
    ip link del "$(link_of "$name")" 2>/dev/null || true
    ip netns del "$(netns_of "$name")" 2>/dev/null || true
  done
  ip link del "$BRIDGE" 2>/dev/null || true
fi
rm -f "$STATE/settings" "$STATE/secrets" "$STATE/key"
exit $status
