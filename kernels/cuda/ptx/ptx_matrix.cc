// Matrix instructions of a warp, from PTX's definition of their fragments. In those of 16-bit floats a sum runs over
// the inputs in order, in f32: a device has its own order, which differs in the last bits.
#include "../../common/half.h"
#include "ptx_lanes.h"

namespace redraft::cuda_ptx {
namespace {

// d = a b + c of 16 x K by K x 8. Lane l holds, with g = l / 4 and t = l % 4: of `a` words of rows g and g + 8, of `b`
// words of column g, each of the inputs from t words on; of c and d columns 2 t and 2 t + 1 of rows g and g + 8.
template <typename Value, typename Sum, typename Decode>
struct MatrixOperation {
  static constexpr uint32_t kPerWord = 4 / sizeof(Value), kInputs = 8 * kPerWord;
  static Sum decoded(uint32_t word, uint32_t i) {
    return Decode{}(static_cast<Value>(word >> (8 * sizeof(Value) * i)));
  }
  static void run(Warp& warp, const Instruction& instruction, uint32_t mask) {
    Sum a[16][kInputs], b[kInputs][8];
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      const uint32_t g = lane / 4, t = lane % 4;
      for (uint32_t word = 0; word < 4; ++word)
        for (uint32_t i = 0; i < kPerWord; ++i)
          a[g + 8 * (word % 2)][(t + 4 * (word / 2)) * kPerWord + i] =
              decoded(warp.in<uint32_t>(instruction, 4 + word)[lane], i);
      for (uint32_t word = 0; word < 2; ++word)
        for (uint32_t i = 0; i < kPerWord; ++i)
          b[(t + 4 * word) * kPerWord + i][g] = decoded(warp.in<uint32_t>(instruction, 8 + word)[lane], i);
    }
    Sum d[4][kLanes];
    for (uint32_t lane = 0; lane < kLanes; ++lane)
      for (uint32_t n = 0; n < 4; ++n) {
        const uint32_t row = lane / 4 + 8 * (n / 2), column = 2 * (lane % 4) + n % 2;
        Sum sum = warp.in<Sum>(instruction, 10 + n)[lane];
        for (uint32_t k = 0; k < kInputs; ++k) sum += a[row][k] * b[k][column];
        d[n][lane] = sum;
      }
    for (uint32_t n = 0; n < 4; ++n) keep_lanes(warp.out<Sum>(instruction, n), d[n], mask);
  }
};

template <typename Value, typename Sum, typename Decode>
void add_matrix(Operations& all, const std::string& shape, Decode) {
  all["mma.sync.aligned." + shape] = {MatrixOperation<Value, Sum, Decode>::run, Kind::kAligned,
                                      std::vector<uint8_t>(14, 4)};
}

}  // namespace

void add_matrix_operations(Operations& all) {
  add_matrix<int8_t, int32_t>(all, "m16n8k32.row.col.s32.s8.s8.s32", [](int8_t x) { return static_cast<int32_t>(x); });
  add_matrix<uint16_t, float>(all, "m16n8k16.row.col.f32.bf16.bf16.f32", [](uint16_t x) { return bf16_to_f32(x); });
  add_matrix<uint16_t, float>(all, "m16n8k16.row.col.f32.f16.f16.f32", [](uint16_t x) { return f16_to_f32(x); });
}

}  // namespace redraft::cuda_ptx
