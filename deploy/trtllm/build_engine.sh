#!/usr/bin/env bash
# Converts a Llama checkpoint and a SiLU-cell draft head and builds an engine, where TensorRT-LLM
# 1.2.1 is installed.
#
#   deploy/trtllm/build_engine.sh --model HF_FOLDER --head HEAD_FOLDER --gguf FILE --out FOLDER
#
#   --source FOLDER    TensorRT-LLM's source at v1.2.1, for its examples (default /app/tensorrt_llm)
#   --beams N          paths of a draft (default 4)
#   --length N         draft tokens of a path (default 5)
#   --sample           an engine that draws by temperature; without it it takes the best token
#   --batch N          sequences at once (default 8)
#   --context N        longest prompt and answer (default 4096)
#   --dtype NAME       float16 or bfloat16 (default float16)
#
# --gguf names the same model as a GGUF file: a node's tokenizer and the model's name come of it.
# A GRU head is refused.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
RELEASE=1.2.1
MODEL= HEAD= GGUF= OUT= SAMPLE=
SOURCE=/app/tensorrt_llm BEAMS=4 LENGTH=5 BATCH=8 CONTEXT=4096 DTYPE=float16

die() { echo "build_engine: $*" >&2; exit 1; }

whole() { # NAME VALUE MOST
  case $2 in '' | *[!0-9]*) die "$1 is '$2': a whole number from 1 to $3" ;; esac
  # By length first: bash compares no number of twenty digits.
  [ ${#2} -le ${#3} ] && [ "$2" -ge 1 ] && [ "$2" -le "$3" ] ||
    die "$1 is $2: a whole number from 1 to $3"
}

while [ $# -gt 0 ]; do
  case $1 in
    --sample) SAMPLE=1; shift; continue ;;
    -h | --help) sed -n '2,17s/^# \{0,1\}//p' "$0"; exit 0 ;;
  esac
  [ $# -ge 2 ] || die "$1 lacks its value, or is unknown; see --help"
  case $1 in
    --model) MODEL=$2 ;; --head) HEAD=$2 ;; --gguf) GGUF=$2 ;; --out) OUT=$2 ;;
    --source) SOURCE=$2 ;; --beams) BEAMS=$2 ;; --length) LENGTH=$2 ;; --batch) BATCH=$2 ;;
    --context) CONTEXT=$2 ;; --dtype) DTYPE=$2 ;;
    *) die "unknown option $1; see --help" ;;
  esac
  shift 2
done
for name in MODEL HEAD GGUF OUT; do
  [ -n "${!name}" ] || die "--${name,,} is missing; see --help"
done
whole --beams "$BEAMS" 32
whole --length "$LENGTH" 15
whole --batch "$BATCH" 1024
whole --context "$CONTEXT" 262144
case $DTYPE in float16 | bfloat16) ;; *) die "--dtype is $DTYPE: float16 or bfloat16" ;; esac
[ -f "$MODEL/config.json" ] ||
  die "--model $MODEL has no config.json: a Hugging Face folder is asked for"
[ -f "$GGUF" ] || die "--gguf $GGUF is not there"
[ ! -e "$OUT/config.json" ] || die "--out $OUT holds an engine already: name another folder"
python3 "$HERE/check_head.py" "$HEAD"
asked='import importlib.metadata as m; print(m.version("tensorrt_llm"))'
version=$(python3 -c "$asked" 2>/dev/null) ||
  die "python3 has no tensorrt_llm: run this in the container of deploy/trtllm/Containerfile"
[ "$version" = "$RELEASE" ] || die "tensorrt_llm is $version: ReDrafter is built with $RELEASE"
if command -v deno >/dev/null; then DENO=(deno) # As the container has it.
elif command -v npx >/dev/null; then DENO=(npx -y deno@2.9.6)
else die "neither deno nor npx is on PATH: describe.ts needs one"
fi
LLAMA=$SOURCE/examples/models/core/llama/convert_checkpoint.py
REDRAFTER=$SOURCE/examples/redrafter/convert_checkpoint.py
for script in "$LLAMA" "$REDRAFTER"; do
  [ -f "$script" ] || die "$script is not there: --source names v$RELEASE"
done

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
python3 "$LLAMA" --model_dir "$MODEL" --output_dir "$WORK/base" --dtype "$DTYPE"
python3 "$REDRAFTER" --base_model_checkpoint_dir "$WORK/base" --drafter_model_dir "$HEAD" \
  --output_dir "$WORK/redrafter" --dtype "$DTYPE" --redrafter_num_beams "$BEAMS" \
  --redrafter_draft_len_per_beam "$LENGTH" ${SAMPLE:+--redrafter_no_greedy_search}
trtllm-build --checkpoint_dir "$WORK/redrafter" --output_dir "$OUT" --gemm_plugin "$DTYPE" \
  --speculative_decoding_mode explicit_draft_tokens --max_batch_size "$BATCH" \
  --max_seq_len "$CONTEXT" --max_beam_width 1 --kv_cache_type paged
"${DENO[@]}" run -A "$HERE/describe.ts" --gguf "$GGUF" --head "$HEAD" --engine "$OUT"
echo "build_engine: $OUT; redraft node --backend trtllm --model $OUT serves it"
