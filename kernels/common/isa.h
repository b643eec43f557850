// Which of the machine's instructions the kernels use; chosen once.
#pragma once

namespace redraft {

// In rising order of speed. A machine with AVX-512 has AVX2, yet not always AVX-VNNI.
enum class Isa { Portable, NeonDotprod, Avx2, AvxVnni, Avx512Vnni };
inline constexpr Isa kIsas[] = {Isa::Portable, Isa::NeonDotprod, Isa::Avx2, Isa::AvxVnni, Isa::Avx512Vnni};

bool runs_here(Isa isa);  // Compiled, and this machine has the instructions.

// The best this machine runs, or what REDRAFT_ISA in the environment asks for, by isa_name's names.
// Throws Error(REDRAFT_UNSUPPORTED) for a name that there is none of, or whose instructions this machine lacks.
Isa isa();
// "portable", "neon-dotprod", "avx2", "avxvnni" or "avx512vnni".
const char* isa_name();
// Tile registers beside Avx512Vnni are used where there are any, unless REDRAFT_ISA asks for an instruction set without
// them; "avx512vnni+amx-int8" asks for both.
enum class Tiles { None, IfAny, Required };
Tiles wanted_tiles();

}  // namespace redraft
