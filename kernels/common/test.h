// A small test runner, so that the C++ tests need a compiler and nothing else. Usage:
//   TEST(TreeMask, SiblingsDoNotSeeEachOther) { EXPECT_EQ(run({-1, 0}), (Masks{1, 3})); }
//   int main() is in test_main.cc. A test binary prints "N passed, N failed" last and exits 1 on a failure.
#pragma once
#include <cmath>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace redraft::test {

struct Case {
  const char* suite;
  const char* name;
  void (*body)();
};
inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}
inline int& failures_in_case() {
  static int count = 0;
  return count;
}
struct Register {
  Register(const char* suite, const char* name, void (*body)()) { cases().push_back({suite, name, body}); }
};
inline std::ostream& fail(const char* file, int line) {
  ++failures_in_case();
  return std::cerr << "  " << file << ":" << line << ": ";
}
template <typename T>
std::string show(const T& value) {
  std::ostringstream out;
  if constexpr (requires { out << value; }) {
    out.precision(9);
    out << value;
  } else if constexpr (requires { value.begin(); }) {
    out << "{";
    for (const auto& item : value) out << show(item) << ", ";
    out << "}";
  } else {
    out << "?";
  }
  return out.str();
}

}  // namespace redraft::test

#define TEST(suite, name)                                                                    \
  static void suite##_##name();                                                              \
  static ::redraft::test::Register register_##suite##_##name(#suite, #name, suite##_##name); \
  static void suite##_##name()
#define EXPECT_TRUE(condition)                                                                  \
  do {                                                                                          \
    if (!(condition)) ::redraft::test::fail(__FILE__, __LINE__) << "expected " #condition "\n"; \
  } while (0)
#define EXPECT_EQ(actual, expected)                                                                             \
  do {                                                                                                          \
    const auto a_ = (actual);                                                                                   \
    const auto e_ = (expected);                                                                                 \
    if (!(a_ == e_))                                                                                            \
      ::redraft::test::fail(__FILE__, __LINE__)                                                                 \
          << #actual " is " << ::redraft::test::show(a_) << ", expected " << ::redraft::test::show(e_) << "\n"; \
  } while (0)
// !(|a - b| <= tolerance), so that a NaN fails.
#define EXPECT_NEAR(actual, expected, tolerance)                                               \
  do {                                                                                         \
    const double a_ = (actual), e_ = (expected);                                               \
    if (!(std::fabs(a_ - e_) <= (tolerance)))                                                  \
      ::redraft::test::fail(__FILE__, __LINE__)                                                \
          << #actual " is " << a_ << ", expected " << e_ << " within " << (tolerance) << "\n"; \
  } while (0)
#define EXPECT_THROW(statement, status_expected, text_in_message)                                                      \
  do {                                                                                                                 \
    bool thrown_ = false;                                                                                              \
    try {                                                                                                              \
      statement;                                                                                                       \
    } catch (const ::redraft::Error& e_) {                                                                             \
      thrown_ = e_.status() == (status_expected) && std::string(e_.what()).find(text_in_message) != std::string::npos; \
      if (!thrown_) ::redraft::test::fail(__FILE__, __LINE__) << "threw " << e_.status() << ": " << e_.what() << "\n"; \
      thrown_ = true;                                                                                                  \
    }                                                                                                                  \
    if (!thrown_) ::redraft::test::fail(__FILE__, __LINE__) << #statement " threw nothing\n";                          \
  } while (0)
