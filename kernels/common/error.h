// The one exception type of the engine: a status of redraft.h with the words that explain it. Stops at the C ABI.
#pragma once
#include <stdexcept>
#include <string>

#include "../include/redraft.h"

namespace redraft {

class Error : public std::runtime_error {
 public:
  Error(int32_t status, const std::string& message) : std::runtime_error(message), status_(status) {}
  int32_t status() const { return status_; }

 private:
  int32_t status_;
};

// On in production: a failure is a bug of ours, never the caller's.
#define REDRAFT_ASSERT(condition)                                                                                     \
  do {                                                                                                                \
    if (!(condition))                                                                                                 \
      throw ::redraft::Error(REDRAFT_INTERNAL, std::string("assertion failed: " #condition " at ") + __FILE__ + ":" + \
                                                   std::to_string(__LINE__));                                         \
  } while (0)

}  // namespace redraft
