// Whole numbers: they wrap around, and a division by zero gives all ones.
#include <bit>
#include <limits>

#include "ptx_lanes.h"

namespace redraft::cuda_ptx {
namespace {

template <typename T>
using Wide = std::conditional_t<sizeof(T) == 2, std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>,
                                std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;

template <typename T>
T divided(T a, T b) {
  if (b == 0) return static_cast<T>(~T{0});
  if (std::is_signed_v<T> && b == static_cast<T>(-1))
    return static_cast<T>(0 - static_cast<std::make_unsigned_t<T>>(a));
  return static_cast<T>(a / b);
}
template <typename T>
T remainder(T a, T b) {
  if (b == 0) return a;
  if (std::is_signed_v<T> && b == static_cast<T>(-1)) return 0;
  return static_cast<T>(a % b);
}
template <typename T>
T high_product(T a, T b) {
  if constexpr (sizeof(T) == 8) {
    using Widest = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
    return static_cast<T>((static_cast<Widest>(a) * static_cast<Widest>(b)) >> 64);
  } else return static_cast<T>((static_cast<Wide<T>>(a) * static_cast<Wide<T>>(b)) >> (8 * sizeof(T)));
}

// Sums, differences and low products have the same bits with a sign and without.
template <typename U>
void add_modular(Operations& all, const std::string& suffix) {
  add_lanes<U, U, U>(all, "add" + suffix, [](U a, U b) { return static_cast<U>(a + b); });
  add_lanes<U, U, U>(all, "sub" + suffix, [](U a, U b) { return static_cast<U>(a - b); });
  // Of 16 bits each, a product would be of the signed type int.
  const auto times = [](U a, U b) { return static_cast<U>(static_cast<uint64_t>(a) * b); };
  add_lanes<U, U, U>(all, "mul.lo" + suffix, times);
  add_lanes<U, U, U, U>(all, "mad.lo" + suffix,
                        [](U a, U b, U c) { return static_cast<U>(static_cast<uint64_t>(a) * b + c); });
}

template <typename T>
void add_ordered(Operations& all, const std::string& suffix) {
  add_lanes<T, T, T>(all, "min" + suffix, [](T a, T b) { return b < a ? b : a; });
  add_lanes<T, T, T>(all, "max" + suffix, [](T a, T b) { return a < b ? b : a; });
  add_lanes<T, T, T>(all, "div" + suffix, [](T a, T b) { return divided(a, b); });
  add_lanes<T, T, T>(all, "rem" + suffix, [](T a, T b) { return remainder(a, b); });
  add_lanes<T, T, T>(all, "mul.hi" + suffix, [](T a, T b) { return high_product(a, b); });
  constexpr uint32_t kBits = 8 * sizeof(T);
  // Past the width: zero, or the sign.
  add_lanes<T, T, uint32_t>(all, "shr" + suffix, [](T a, uint32_t by) {
    if (by >= kBits) return static_cast<T>(a < T{0} ? -1 : 0);
    return static_cast<T>(a >> by);
  });
  if constexpr (sizeof(T) < 8) {
    add_lanes<Wide<T>, T, T>(all, "mul.wide" + suffix,
                             [](T a, T b) { return static_cast<Wide<T>>(static_cast<Wide<T>>(a) * b); });
    add_lanes<Wide<T>, T, T, Wide<T>>(all, "mad.wide" + suffix, [](T a, T b, Wide<T> c) {
      using U = std::make_unsigned_t<Wide<T>>;
      return static_cast<Wide<T>>(static_cast<U>(static_cast<Wide<T>>(a) * b) + static_cast<U>(c));
    });
  }
}

template <typename T>
void add_signed(Operations& all, const std::string& suffix) {
  using U = std::make_unsigned_t<T>;
  add_lanes<T, T>(all, "neg" + suffix, [](T a) { return static_cast<T>(0 - static_cast<U>(a)); });
  add_lanes<T, T>(all, "abs" + suffix,
                  [](T a) { return static_cast<T>(a < 0 ? 0 - static_cast<U>(a) : static_cast<U>(a)); });
}

template <typename U>
void add_all(Operations& all, const std::string& bits) {
  using S = std::make_signed_t<U>;
  add_modular<U>(all, ".u" + bits), add_modular<U>(all, ".s" + bits);
  add_ordered<U>(all, ".u" + bits), add_ordered<S>(all, ".s" + bits);
  add_signed<S>(all, ".s" + bits);
}

}  // namespace

void add_integer_operations(Operations& all) {
  add_all<uint16_t>(all, "16"), add_all<uint32_t>(all, "32"), add_all<uint64_t>(all, "64");
}

}  // namespace redraft::cuda_ptx
