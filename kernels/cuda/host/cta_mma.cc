#include "cta_mma.h"

#include "../../common/half.h"

namespace redraft::cuda_host {
namespace {

// c += a b over a warp's fragments, as device.h lays them out.
void multiply_bytes(void* const* lanes) {
  int8_t a[16][32], b[32][8];
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const auto& from = *static_cast<const MmaArguments*>(lanes[lane]);
    const uint32_t g = lane / 4, t = lane % 4;
    for (uint32_t i = 0; i < 4; ++i)
      for (uint32_t byte = 0; byte < 4; ++byte)
        a[g + 8 * (i % 2)][4 * t + byte + 16 * (i / 2)] = static_cast<int8_t>(from.a[i] >> (8 * byte));
    for (uint32_t i = 0; i < 2; ++i)
      for (uint32_t byte = 0; byte < 4; ++byte)
        b[4 * t + byte + 16 * i][g] = static_cast<int8_t>(from.b[i] >> (8 * byte));
  }
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const auto& to = *static_cast<const MmaArguments*>(lanes[lane]);
    const uint32_t g = lane / 4, t = lane % 4;
    for (uint32_t i = 0; i < 4; ++i)
      for (uint32_t k = 0; k < 32; ++k) to.c[i] += int32_t{a[g + 8 * (i / 2)][k]} * b[k][2 * t + i % 2];
  }
}

// The same for halves of either kind. A device adds 16 products at once, in no order that is written down: here their
// sum is rounded once.
void multiply_halves(void* const* lanes, float (*value_of)(uint16_t)) {
  double a[16][16], b[16][8];
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const auto& from = *static_cast<const MmaHalvesArguments*>(lanes[lane]);
    const uint32_t g = lane / 4, t = lane % 4;
    for (uint32_t i = 0; i < 4; ++i)
      for (uint32_t half = 0; half < 2; ++half)
        a[g + 8 * (i % 2)][2 * t + half + 8 * (i / 2)] = value_of(static_cast<uint16_t>(from.a[i] >> (16 * half)));
    for (uint32_t i = 0; i < 2; ++i)
      for (uint32_t half = 0; half < 2; ++half)
        b[2 * t + half + 8 * i][g] = value_of(static_cast<uint16_t>(from.b[i] >> (16 * half)));
  }
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const auto& to = *static_cast<const MmaHalvesArguments*>(lanes[lane]);
    const uint32_t g = lane / 4, t = lane % 4;
    for (uint32_t i = 0; i < 4; ++i) {
      double sum = to.c[i];
      for (uint32_t k = 0; k < 16; ++k) sum += a[g + 8 * (i / 2)][k] * b[k][2 * t + i % 2];
      to.c[i] = static_cast<float>(sum);
    }
  }
}

}  // namespace

bool is_mma(Collective kind) {
  return kind == Collective::kMma || kind == Collective::kMmaF16 || kind == Collective::kMmaBf16;
}

void multiply_fragments(Collective kind, void* const* lanes) {
  if (kind == Collective::kMma) multiply_bytes(lanes);
  else multiply_halves(lanes, kind == Collective::kMmaF16 ? f16_to_f32 : bf16_to_f32);
}

}  // namespace redraft::cuda_host
