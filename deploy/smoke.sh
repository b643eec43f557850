#!/usr/bin/env bash
# Asks the deployed front for one streamed answer; the exit status tells.
#
#   deploy/smoke.sh [URL]      URL: the front's [what up.sh stood up]; REDRAFT_KEY: a key for it
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

case ${1:-} in -*) die "Unknown option $1: there is none but --help" ;; esac
[ $# -le 1 ] || die "Unknown option $2: there is none but --help"
need curl
url=${1:-$(front_url)}
key=${REDRAFT_KEY:-$(cat "$STATE/key" 2>/dev/null || true)}

# The key is read from standard input: an argument could be seen by others.
ask() {
  printf 'header = "authorization: Bearer %s"\n' "$key" | curl -sS -N --max-time 60 -K - "$@"
}

models=$(ask -f "$url/v1/models") || die "Cannot list the models of $url"
model=$(sed -n 's/.*"id":"\([^"]*\)".*/\1/p' <<<"$models")
[ -n "$model" ] || die "$url serves no model: $models"

body='{"model":"'$model'","stream":true,"temperature":0,"max_tokens":16,
  "messages":[{"role":"user","content":"Name three rivers."}]}'
answer=$(ask -H 'content-type: application/json' -H 'cache-control: no-store' -d "$body" \
  "$url/v1/chat/completions") || die "Cannot stream an answer from $url"
events=$(grep -c '^data: {' <<<"$answer" || true)
text=$(sed -n 's/.*"delta":{[^}]*"content":"\(\([^"\\]\|\\.\)*\)".*/\1/p' <<<"$answer" | tr -d '\n')
[[ $answer == *'data: [DONE]'* ]] || die "The answer of $url has no end: ${answer:0:300}"
[[ $answer == *'"finish_reason":"'* && $events -ge 2 && -n $text ]] ||
  die "The answer of $url is no stream of text: ${answer:0:300}"
say "smoke: $model answered in $events events: $text"
