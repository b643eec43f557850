#!/usr/bin/env bash
# Proves these scripts on one machine, without a container engine: two gateways, three nodes, Redis
# and nginx in network namespaces, under a streaming load that must not lose or change an answer
# while links lose packets, Redis is out of reach, processes are killed and everything is rolled.
#
#   deploy/test_namespaces.sh [--short] [PHASE]      needs root, ip, nginx, redis-server
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

find_deno
cd "$ROOT"
exec "$DENO" run -A tests/deploy/namespaces.ts "$@"
