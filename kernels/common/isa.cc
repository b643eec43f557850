#include "isa.h"

#include <cstdlib>
#include <string>

#include "error.h"
#include "packed_matrix_kernels.h"
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace redraft {
namespace {

constexpr const char* kNames[] = {"portable", "neon-dotprod", "avx2", "avxvnni", "avx512vnni"};

#if defined(__x86_64__)

// Bits of cpuid that __builtin_cpu_supports() does not know by name in each compiler that builds this (Intel SDM,
// volume 2, CPUID).
bool has_f16c() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx >> 29 & 1);
}
bool has_avx_vnni() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 4 & 1);
}

#endif

constexpr const char* kWithTiles = "avx512vnni+amx-int8";

std::string wanted() {
  const char* name = std::getenv("REDRAFT_ISA");
  return name ? name : "";
}

Isa choose() {
  const std::string asked = wanted(), name = asked == kWithTiles ? kNames[static_cast<size_t>(Isa::Avx512Vnni)] : asked;
  Isa best = Isa::Portable;
  std::string here, all;
  bool is_known = false;
  for (const Isa each : kIsas) {
    const char* const own = kNames[static_cast<size_t>(each)];
    is_known = is_known || name == own;
    all += std::string(own) + ", ";
    if (!runs_here(each)) continue;
    if (name == own) return each;
    here += std::string(here.empty() ? "" : ", ") + own;
    best = each;
  }
  if (name.empty()) return best;
  const std::string start = "REDRAFT_ISA is \"" + asked + "\", ";
  if (!is_known) throw Error(REDRAFT_UNSUPPORTED, start + "which is none of " + all + kWithTiles);
  if (best == Isa::Avx512Vnni && wide_kernels_amx()) here += std::string(", ") + kWithTiles;
  throw Error(REDRAFT_UNSUPPORTED, start + "which this machine does not run: it runs " + here);
}

}  // namespace

#if defined(__x86_64__)

bool runs_here(Isa isa) {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c() && kernels_avx2();
  switch (isa) {
    case Isa::Portable: return true;
    case Isa::NeonDotprod: return false;
    case Isa::Avx2: return avx2;
    case Isa::AvxVnni: return avx2 && has_avx_vnni() && kernels_avxvnni();
    case Isa::Avx512Vnni:
      return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vnni") && kernels_avx512();
  }
  return false;
}

#else

bool runs_here(Isa isa) { return isa == Isa::Portable || (isa == Isa::NeonDotprod && kernels_neon()); }

#endif

Isa isa() {
  static const Isa chosen = choose();
  return chosen;
}

const char* isa_name() { return kNames[static_cast<size_t>(isa())]; }

Tiles wanted_tiles() {
  const std::string asked = wanted();
  return asked.empty() ? Tiles::IfAny : asked == kWithTiles ? Tiles::Required : Tiles::None;
}

}  // namespace redraft
