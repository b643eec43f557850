// What tests of kernels share: arrays, launches, both orders of running, and random numbers. Built with
// REDRAFT_TESTS_ON_DEVICE they run on a device instead of the host.
#pragma once
#include <random>
#include <vector>

#include "../../common/test.h"
#ifdef REDRAFT_TESTS_ON_DEVICE
#include "device_test.h"
#else
#include "access_check.h"
#include "cta.h"
#endif

namespace redraft::cuda_host {

#ifndef REDRAFT_TESTS_ON_DEVICE

// Runs the body with threads in rising order and in falling order: a kernel whose result tells them apart has a race.
template <typename Body>
void in_both_orders(Body&& body) {
  for (const bool reverse : {false, true}) {
    run_in_reverse(reverse);
    try {
      body();
    } catch (const DeviceFault& fault) { test::fail(__FILE__, __LINE__) << fault.what() << "\n"; }
  }
  run_in_reverse(false);
}
#endif

inline std::vector<float> normal_floats(size_t count, uint32_t seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

}  // namespace redraft::cuda_host
