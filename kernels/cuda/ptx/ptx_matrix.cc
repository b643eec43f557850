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
  static void run(Warp& warp, const Instruction& instruction, uint32_t mask) {
    Value a[16][kInputs], turned[8][kInputs];
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      const uint32_t g = lane / 4, t = lane % 4;
      for (uint32_t word = 0; word < 4; ++word)
        std::memcpy(&a[g + 8 * (word % 2)][(t + 4 * (word / 2)) * kPerWord],
                    warp.in<uint32_t>(instruction, 4 + word) + lane, 4);
      for (uint32_t word = 0; word < 2; ++word)
        std::memcpy(&turned[g][(t + 4 * word) * kPerWord], warp.in<uint32_t>(instruction, 8 + word) + lane, 4);
    }
    Sum b[kInputs][8];
    for (uint32_t k = 0; k < kInputs; ++k)
      for (uint32_t column = 0; column < 8; ++column) b[k][column] = Decode{}(turned[column][k]);
    Sum tile[16][8];
    for (uint32_t lane = 0; lane < kLanes; ++lane)
      for (uint32_t n = 0; n < 4; ++n)
        tile[lane / 4 + 8 * (n / 2)][2 * (lane % 4) + n % 2] = warp.in<Sum>(instruction, 10 + n)[lane];
    // A row's eight columns together: each sum still runs over the inputs in order.
    for (uint32_t row = 0; row < 16; ++row)
      for (uint32_t k = 0; k < kInputs; ++k) {
        const Sum value = Decode{}(a[row][k]);
        for (uint32_t column = 0; column < 8; ++column) tile[row][column] += value * b[k][column];
      }
    Sum d[4][kLanes];
    for (uint32_t lane = 0; lane < kLanes; ++lane)
      for (uint32_t n = 0; n < 4; ++n) d[n][lane] = tile[lane / 4 + 8 * (n / 2)][2 * (lane % 4) + n % 2];
    for (uint32_t n = 0; n < 4; ++n) keep_lanes(warp.out<Sum>(instruction, n), d[n], mask);
  }
};

template <typename Value, typename Sum, typename Decode>
void add_matrix(Operations& all, const std::string& shape, Decode) {
  all["mma.sync.aligned." + shape] = {MatrixOperation<Value, Sum, Decode>::run, Kind::kAligned,
                                      std::vector<uint8_t>(14, 4), 4};
}

}  // namespace

void add_matrix_operations(Operations& all) {
  add_matrix<int8_t, int32_t>(all, "m16n8k32.row.col.s32.s8.s8.s32", [](int8_t x) { return static_cast<int32_t>(x); });
  add_matrix<uint16_t, float>(all, "m16n8k16.row.col.f32.bf16.bf16.f32", [](uint16_t x) { return bf16_to_f32(x); });
  add_matrix<uint16_t, float>(all, "m16n8k16.row.col.f32.f16.f16.f32", [](uint16_t x) { return f16_to_f32(x); });
}

}  // namespace redraft::cuda_ptx
