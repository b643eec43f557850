// The C ABI of libredraft_cpu.so.
#include "engine.h"

namespace {
using redraft::Engine;
}

#include "abi_calls.h"
