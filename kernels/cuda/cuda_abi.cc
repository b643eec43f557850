// The C ABI of libredraft_cuda.so.
#include "cuda_engine.h"

namespace {
using Engine = redraft::cuda::CudaEngine;
}

#include "../engine/abi_calls.h"
