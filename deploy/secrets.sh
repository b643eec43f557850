#!/usr/bin/env bash
# Makes the secrets of compose.yaml, once: what is there already stays.
#
#   deploy/secrets.sh              into deploy/secrets/ and deploy/.env
#
#   .env                           node token, Redis' and Grafana's passwords (mode 0600), and each
#                                  node's cores: half of the machine's
#   secrets/key                    an API key for you (mode 0600)
#   secrets/gateway/gateway.yaml   the digests of all keys: add yours, gateways read it again
#   secrets/prometheus/key         a key that reads metrics and may use no model
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
SECRETS=${REDRAFT_SECRETS:-$DEPLOY/secrets}
ENV_FILE=${REDRAFT_ENV_FILE:-$DEPLOY/.env}

digest_of() { tr -d '\n' <"$1" | sha256sum | cut -d' ' -f1; }

keep_or_make() { # FILE MODE, text on standard input
  [ ! -e "$1" ] || { say "$1 stays as it is"; return; }
  (umask 077 && cat >"$1")
  chmod "$2" "$1"
}

[ $# = 0 ] || die "Unknown option $1: there is none but --help"
need sha256sum base64
mkdir -p "$SECRETS/gateway" "$SECRETS/prometheus"
chmod 700 "$SECRETS"
keep_or_make "$ENV_FILE" 600 <<EOF
COMPOSE_PROJECT_NAME=redraft
REDRAFT_NODE_TOKEN=$(secret)
REDIS_PASSWORD=$(secret)
GRAFANA_PASSWORD=$(secret)
REDRAFT_NODE_CPUS=$(($(nproc) < 2 ? 1 : $(nproc) / 2))
EOF
keep_or_make "$SECRETS/key" 600 <<<"sk-redraft-$(secret)"
# Containers run as other users, so these two are readable; the folder above is not.
keep_or_make "$SECRETS/prometheus/key" 644 <<<"sk-redraft-$(secret)"
keep_or_make "$SECRETS/gateway/gateway.yaml" 644 <<EOF
keys:
  - tenant: default
    sha256: $(digest_of "$SECRETS/key")
  - tenant: prometheus
    sha256: $(digest_of "$SECRETS/prometheus/key")
    models: []
EOF
say "The API key is in $SECRETS/key"
