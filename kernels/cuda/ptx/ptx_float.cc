// Floats, rounded as PTX says: to the nearest where it says nothing, subnormal numbers kept unless it says .ftz. The
// approximate functions are computed as the host does and rounded once: within PTX's bounds, not a device's very bits.
#include <bit>
#include <cmath>
#include <limits>

#include "../../common/half.h"
#include "ptx_lanes.h"

namespace redraft::cuda_ptx {
namespace {

enum class Toward : uint8_t { kZero, kMinusInfinity, kPlusInfinity };

// a + b without loss is sum + rest.
double exact_sum(double a, double b, double* rest) {
  const double sum = a + b, there = sum - a;
  *rest = (a - (sum - there)) + (b - there);
  return sum;
}

// The float that a + b, given exactly, is in one direction. A product of two floats is exact in a double.
template <Toward toward>
float rounded_sum(double a, double b) {
  double rest = 0;
  const double sum = exact_sum(a, b, &rest);
  const float nearest = static_cast<float>(sum);
  if (!std::isfinite(sum)) return nearest;
  const double over = static_cast<double>(nearest) - sum;  // Exact: of neighbours. Compared with rest: over the truth.
  const bool above = over > rest, below = over < rest;
  const float infinity = std::numeric_limits<float>::infinity();
  if (toward == Toward::kMinusInfinity) {
    // What is exactly nothing has the sign of this direction, unless nothing was added to nothing.
    if (sum == 0) return a == 0 && b == 0 && !std::signbit(a) && !std::signbit(b) ? 0.0f : -0.0f;
    return above ? std::nextafter(nearest, -infinity) : nearest;
  }
  if (toward == Toward::kPlusInfinity) return below ? std::nextafter(nearest, infinity) : nearest;
  return (sum > 0 ? above : below) ? std::nextafter(nearest, 0.0f) : nearest;
}

float flushed(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; }

// A NaN gives way to a number; -0 is less than +0.
template <typename T>
T least(T a, T b) {
  if (a != a) return b != b ? std::numeric_limits<T>::quiet_NaN() : b;
  if (b != b) return a;
  if (a == b) return std::signbit(a) ? a : b;
  return a < b ? a : b;
}
template <typename T>
T greatest(T a, T b) {
  if (a != a) return b != b ? std::numeric_limits<T>::quiet_NaN() : b;
  if (b != b) return a;
  if (a == b) return std::signbit(a) ? b : a;
  return a > b ? a : b;
}

template <typename T>
void add_exact(Operations& all, const std::string& type) {
  for (const char* rounding : {"", ".rn"}) {  // The nearest is the default of these three.
    const std::string suffix = rounding + type;
    add_lanes<T, T, T>(all, "add" + suffix, [](T a, T b) { return a + b; });
    add_lanes<T, T, T>(all, "sub" + suffix, [](T a, T b) { return a - b; });
    add_lanes<T, T, T>(all, "mul" + suffix, [](T a, T b) { return a * b; });
  }
  add_lanes<T, T, T, T>(all, "fma.rn" + type, [](T a, T b, T c) { return std::fma(a, b, c); });
  add_lanes<T, T, T>(all, "div.rn" + type, [](T a, T b) { return a / b; });
  add_lanes<T, T>(all, "rcp.rn" + type, [](T a) { return T{1} / a; });
  add_lanes<T, T>(all, "sqrt.rn" + type, [](T a) { return std::sqrt(a); });
  add_lanes<T, T, T>(all, "min" + type, [](T a, T b) { return least(a, b); });
  add_lanes<T, T, T>(all, "max" + type, [](T a, T b) { return greatest(a, b); });
  using U = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  constexpr U kSign = U{1} << (8 * sizeof(T) - 1);
  add_lanes<U, U>(all, "neg" + type, [](U a) { return a ^ kSign; });
  add_lanes<U, U>(all, "abs" + type, [](U a) { return a & ~kSign; });
  add_lanes<U, U, U>(all, "copysign" + type, [](U sign, U a) { return (a & ~kSign) | (sign & kSign); });
}

template <Toward toward>
void add_directed(Operations& all, const std::string& rounding) {
  using F = float;
  add_lanes<F, F, F>(all, "add" + rounding + ".f32", [](F a, F b) { return rounded_sum<toward>(a, b); });
  add_lanes<F, F, F>(all, "sub" + rounding + ".f32",
                     [](F a, F b) { return rounded_sum<toward>(a, -static_cast<double>(b)); });
  add_lanes<F, F, F, F>(all, "fma" + rounding + ".f32",
                        [](F a, F b, F c) { return rounded_sum<toward>(static_cast<double>(a) * b, c); });
}

void add_approximate(Operations& all) {
  using F = float;
  add_lanes<F, F>(all, "ex2.approx.ftz.f32", [](F a) { return flushed(std::exp2(flushed(a))); });
  add_lanes<F, F>(all, "ex2.approx.f32", [](F a) { return std::exp2(a); });
  add_lanes<F, F>(all, "lg2.approx.ftz.f32", [](F a) { return flushed(std::log2(flushed(a))); });
  add_lanes<F, F>(all, "lg2.approx.f32", [](F a) { return std::log2(a); });
  add_lanes<F, F>(all, "rcp.approx.ftz.f32", [](F a) { return flushed(1.0f / flushed(a)); });
  add_lanes<F, F>(all, "rsqrt.approx.f32", [](F a) { return static_cast<F>(1.0 / std::sqrt(static_cast<double>(a))); });
  add_lanes<F, F, F>(all, "div.full.f32", [](F a, F b) { return a / b; });
  add_lanes<F, F>(all, "sin.approx.f32", [](F a) { return std::sin(a); });
  add_lanes<F, F>(all, "cos.approx.f32", [](F a) { return std::cos(a); });
  add_lanes<F, F>(all, "tanh.approx.f32", [](F a) { return std::tanh(a); });
  // Of the upper half of its bits alone; the lower half of the result is zero.
  add_lanes<double, uint64_t>(all, "rcp.approx.ftz.f64", [](uint64_t a) {
    const double inverse = 1.0 / std::bit_cast<double>(a & ~uint64_t{0xffffffff});
    return std::bit_cast<double>(std::bit_cast<uint64_t>(inverse) & ~uint64_t{0xffffffff});
  });
}

// Two halves in a register. f32 has more than twice the bits and two: rounded to it first, a result rounds the same.
template <typename F>
uint32_t by_halves(uint32_t a, uint32_t b) {
  const auto half = [](uint32_t word) { return f16_to_f32(static_cast<uint16_t>(word)); };
  const uint32_t high = f32_to_f16(F{}(half(a >> 16), half(b >> 16)));
  return high << 16 | f32_to_f16(F{}(half(a), half(b)));
}
template <typename F>
void add_halves(Operations& all, const std::string& opcode, F) {
  using U = uint32_t;
  for (const char* rounding : {"", ".rn"})
    add_lanes<U, U, U>(all, opcode + rounding + ".f16x2", [](U a, U b) { return by_halves<F>(a, b); });
}

}  // namespace

void add_float_operations(Operations& all) {
  add_exact<float>(all, ".f32"), add_exact<double>(all, ".f64");
  add_directed<Toward::kZero>(all, ".rz");
  add_directed<Toward::kMinusInfinity>(all, ".rm");
  add_directed<Toward::kPlusInfinity>(all, ".rp");
  add_approximate(all);
  add_halves(all, "add", [](float a, float b) { return a + b; });
  add_halves(all, "sub", [](float a, float b) { return a - b; });
  add_halves(all, "mul", [](float a, float b) { return a * b; });
}

}  // namespace redraft::cuda_ptx
