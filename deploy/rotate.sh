#!/usr/bin/env bash
# Changes a secret of what stands while it serves: nobody is refused in between.
#
#   deploy/rotate.sh key            a new API key beside the old one, known to all gateways at once
#   deploy/rotate.sh retire-keys    the old ones are refused from now on
#   deploy/rotate.sh token          a new token between gateways and nodes, by rolling both
#
# Where --keys named a file, keys are changed in its copy, gateway.yaml: each gateway reads it again
# within seconds.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

[ -f "$STATE/settings" ] || die "Nothing is up: run deploy/up.sh first"
CONFIG=$STATE/gateway.yaml

# Written beside and renamed: a gateway reads the old file or the new one, never half.
replace() { (umask 077 && cat >"$1.new") && mv "$1.new" "$1"; }

status_of() { # KEY GATEWAY
  printf 'header = "authorization: Bearer %s"\n' "$1" |
    curl -s -o /dev/null -w '%{http_code}' --max-time 5 -K - "$(url_of "$2")/v1/models" || true
}
says() { [ "$(status_of "$2" "$3")" = "$1" ]; }

reload() { # KEY STATUS that every gateway shall give it
  local name
  for name in $(gateways); do
    send HUP "$name" || say "$name is down: it reads the keys when it starts"
  done
  for name in $(gateways); do
    ! is_alive "$name" || await 30 "$name answers the key with $2" says "$2" "$1" "$name"
  done
}

own_keys() { [ -z "$KEYS" ] || die "The keys are those of $KEYS: change them in $CONFIG"; }

new_key() {
  local key digest
  key=sk-redraft-$(secret)
  digest=$(printf %s "$key" | sha256sum | cut -d' ' -f1)
  { cat "$CONFIG"; printf '  - tenant: default\n    sha256: %s\n' "$digest"; } | replace "$CONFIG"
  reload "$key" 200
  printf %s "$key" | replace "$STATE/key"
  say "A new key is in $STATE/key; hand it out, then: deploy/rotate.sh retire-keys"
}

retire_keys() {
  local digest
  digest=$(sha256sum <"$STATE/key" | cut -d' ' -f1)
  grep -q "sha256: $digest" "$CONFIG" || die "$CONFIG lacks the key of $STATE/key"
  {
    sed '/^keys:/q' "$CONFIG"
    printf '  - tenant: default\n    sha256: %s\n' "$digest"
  } | replace "$CONFIG"
  reload "$(cat "$STATE/key")" 200
  say "All keys but the one in $STATE/key are refused"
}

set_token() { sed "s/^NODE_TOKEN=.*/NODE_TOKEN=$1/" "$STATE/secrets" | replace "$STATE/secrets"; }

# Nodes take any of the tokens, gateways bring the first.
new_token() {
  local old new all_nodes all_gateways
  mapfile -t all_nodes < <(nodes)
  mapfile -t all_gateways < <(gateways)
  old=$(sed -n 's/^NODE_TOKEN=//p' "$STATE/secrets")
  new=$(secret)
  [[ $old != *,* ]] || die "A change of the token stopped halfway: run deploy/roll.sh, then again"
  set_token "$old,$new"
  "$DEPLOY/roll.sh" "${all_nodes[@]}"
  set_token "$new,$old"
  "$DEPLOY/roll.sh" "${all_gateways[@]}"
  set_token "$new"
  "$DEPLOY/roll.sh" "${all_nodes[@]}"
  say "The token between gateways and nodes is new"
}

case ${1:-} in
  key) own_keys; new_key ;;
  retire-keys) own_keys; retire_keys ;;
  token) new_token ;;
  *) die "Say what: key, retire-keys or token" ;;
esac
