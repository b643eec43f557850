// Where a step's time goes: the microseconds of a result's header (redraft.h says what each part holds).
#pragma once
#include <chrono>
#include <cstdint>

namespace redraft {

using StepClock = std::chrono::steady_clock;

struct StepTimes {
  StepClock::duration step{}, target{}, logits{}, sample{}, draft{}, head{};
};

inline uint32_t micros_of(StepClock::duration time) {
  return static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

// Runs a part of a step and adds what it took. A part may come in several pieces.
template <typename Part>
void timed(StepClock::duration& total, Part&& part) {
  const auto start = StepClock::now();
  part();
  total += StepClock::now() - start;
}

}  // namespace redraft
