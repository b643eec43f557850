#!/usr/bin/env bash
# Makes the gateway one file, for an edge platform or any machine that has Deno and nothing else.
#
#   deploy/edge/build.sh [FILE]     FILE: where to [build/edge/gateway.js]
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

find_deno
file=${1:-$ROOT/build/edge/gateway.js}
mkdir -p "$(dirname "$file")"
cd "$ROOT"
"$DENO" bundle --quiet --frozen --platform deno --output "$file" gateway/main.ts ||
  die "Cannot bundle the gateway: see above"
say "$file: $(wc -c <"$file") bytes"
