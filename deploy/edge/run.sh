#!/usr/bin/env bash
# Runs that one file with all that a gateway may do, and no more: the network, its variables and
# its configuration file. No other file is read or written, no package fetched, no program started.
#
#   deploy/edge/run.sh CONFIG [FLAGS..]     FILE (environment): the bundle [build/edge/gateway.js]
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

[ $# -gt 0 ] || die "CONFIG is missing: name the gateway's configuration file"
config=$1
shift
file=${FILE:-$ROOT/build/edge/gateway.js}
[ -r "$file" ] || die "Cannot read $file: run deploy/edge/build.sh"
[ -r "$config" ] || die "Cannot read $config: write it; 'redraft config check' says if it is right"
find_deno
exec "$DENO" run --no-prompt --no-config --no-lock --no-remote --no-npm \
  --v8-flags=--max-semi-space-size=4 --allow-net --allow-env "--allow-read=$config" \
  "$file" "--config=$config" "$@"
