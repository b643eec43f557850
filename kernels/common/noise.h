// What a draw by noise is made of; sampling.h tells how.
#pragma once
#include <cstdint>

namespace redraft {

// In units of the temperature under the peak: tokens of a whole row that lie deeper share one noise, and where that
// wins, one of them is drawn by inverse CDF. As exact as a noise for each, at a small part of the cost.
inline constexpr float kNoiseDepth = 8;
// The stream of philox_words() that the shared noise and the draw behind it take; tokens' own noise is of stream 0.
inline constexpr uint32_t kRestStream = 1;

}  // namespace redraft
