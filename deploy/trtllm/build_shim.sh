#!/usr/bin/env bash
# Compiles kernels/trtllm into build/trtllm/libredraft_trtllm.so, where TensorRT-LLM 1.2.1 is
# installed: its headers (cpp/include of its source, or of its wheel) and its libraries.
#
#   deploy/trtllm/build_shim.sh [--include FOLDER] [--libs FOLDER] [--cuda FOLDER]
#
# Without them it asks the tensorrt_llm of python3. CXX names another compiler than g++.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
RELEASE=1.2.1
INCLUDE= LIBS= CUDA=${CUDA_HOME:-/usr/local/cuda}

die() { echo "build_shim: $*" >&2; exit 1; }

while [ $# -gt 0 ]; do
  case $1 in
    --include | --libs | --cuda) [ -n "${2:-}" ] || die "$1 lacks its folder" ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) die "unknown option $1; see --help" ;;
  esac
  case $1 in --include) INCLUDE=$2 ;; --libs) LIBS=$2 ;; --cuda) CUDA=$2 ;; esac
  shift 2
done

if [ -z "$INCLUDE" ] || [ -z "$LIBS" ]; then
  found=$(python3 -c 'import importlib.metadata as m, importlib.util as u
print(m.version("tensorrt_llm"))
print(u.find_spec("tensorrt_llm").submodule_search_locations[0])' 2>/dev/null) ||
    die "python3 has no tensorrt_llm: install $RELEASE, or name --include and --libs"
  version=${found%%$'\n'*} package=${found#*$'\n'}
  [ "$version" = "$RELEASE" ] ||
    die "tensorrt_llm is $version: this shim is for $RELEASE; install that"
  INCLUDE=${INCLUDE:-$package/include} LIBS=${LIBS:-$package/libs}
fi
[ -f "$INCLUDE/tensorrt_llm/executor/executor.h" ] ||
  die "$INCLUDE has no tensorrt_llm/executor/executor.h: --include names cpp/include of $RELEASE"
[ -f "$LIBS/libtensorrt_llm.so" ] || die "$LIBS has no libtensorrt_llm.so: --libs names its folder"
[ -f "$CUDA/include/cuda_fp16.h" ] ||
  die "$CUDA has no include/cuda_fp16.h: --cuda names the CUDA toolkit"

mkdir -p "$ROOT/build/trtllm"
cd "$ROOT/kernels"
"${CXX:-g++}" -std=c++20 -O2 -fPIC -shared -fvisibility=hidden -Wall -Wextra \
  -I. -Iinclude -isystem "$INCLUDE" -isystem "$CUDA/include" -isystem "$CUDA/include/cccl" \
  trtllm/trtllm_abi.cc trtllm/trtllm_executor.cc trtllm/engine_folder.cc \
  common/json.cc common/json_value.cc common/json_writer.cc \
  -L"$LIBS" -ltensorrt_llm -ldl -pthread "-Wl,-rpath,$LIBS" \
  -o "$ROOT/build/trtllm/libredraft_trtllm.so"
echo "build_shim: build/trtllm/libredraft_trtllm.so"
