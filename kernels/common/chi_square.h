// Whether counts were drawn from a distribution: for tests.
#pragma once
#include <cmath>
#include <cstddef>
#include <vector>

namespace redraft {

// Upper tail of chi-square by Wilson and Hilferty: good to a few percent of p, where p decides nothing by a hair.
inline double chi_square_p(const std::vector<double>& expected, const std::vector<double>& drawn) {
  double statistic = 0, freedom = -1, rest_expected = 0, rest_drawn = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] < 5) {  // Too rare alone.
      rest_expected += expected[i], rest_drawn += drawn[i];
      continue;
    }
    statistic += (drawn[i] - expected[i]) * (drawn[i] - expected[i]) / expected[i];
    ++freedom;
  }
  if (rest_expected >= 5) {
    statistic += (rest_drawn - rest_expected) * (rest_drawn - rest_expected) / rest_expected;
    ++freedom;
  } else if (rest_drawn > 5 + 5 * rest_expected) {
    return 0;  // What cannot be, is.
  }
  const double z = (std::cbrt(statistic / freedom) - (1 - 2 / (9 * freedom))) / std::sqrt(2 / (9 * freedom));
  return 0.5 * std::erfc(z / std::sqrt(2.0));
}

}  // namespace redraft
