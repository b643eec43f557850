#include "fibre.h"

#include <sys/mman.h>

#include <new>

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "running kernels on the host needs fibre_switch() for this machine"
#endif

// Callee-saved registers go to the old stack and come from the new one; all others are dead across the call. Ten
// instructions instead of swapcontext(), which makes a system call each time: a kernel test switches millions of times.
#if defined(__x86_64__)
asm(R"(
.text
.globl redraft_fibre_switch
.type redraft_fibre_switch, @function
redraft_fibre_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size redraft_fibre_switch, .-redraft_fibre_switch
)");
#else
asm(R"(
.text
.globl redraft_fibre_switch
.type redraft_fibre_switch, %function
redraft_fibre_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size redraft_fibre_switch, .-redraft_fibre_switch
)");
#endif

extern "C" void redraft_fibre_switch(void** save, void* to);

namespace redraft::cuda_host {

void fibre_switch(void** save, void* to) { redraft_fibre_switch(save, to); }

FibreStacks::~FibreStacks() {
  if (memory_) munmap(memory_, count_ * kStackBytes);
}

void FibreStacks::reserve(size_t count) {
  if (count <= count_) return;
  if (memory_) munmap(memory_, count_ * kStackBytes);
  memory_ = nullptr;
  void* memory =
      mmap(nullptr, count * kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<uint8_t*>(memory);
  count_ = count;
}

void* FibreStacks::prepare(size_t index, void (*entry)()) {
  // Tops at different distances from their ends: all at the same one would share a few sets of the cache.
  auto* top = reinterpret_cast<void**>(memory_ + (index + 1) * kStackBytes - index % 61 * 256);
#if defined(__x86_64__)
  *--top = nullptr;  // Where a return address would be: keeps the stack aligned as after a call.
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
#else
  top -= 20;
  for (int i = 0; i < 20; ++i) top[i] = nullptr;
  top[11] = reinterpret_cast<void*>(entry);  // x30
#endif
  return top;
}

}  // namespace redraft::cuda_host
