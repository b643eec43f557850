// Each kernel at one named shape: what a call moves and computes, counted by running it (report_main.cc).
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../host/access_check.h"
#include "../host/cta.h"
#include "../host/kernel_test.h"

namespace redraft::cuda_report {

// What bounds a kernel's operations: the device's peak in that arithmetic.
enum class Peak { kF32, kF16, kInt8 };

struct Case {
  std::string kernel, shape_name;
  cuda::LaunchShape shape;
  const void* params;
  double operations;             // Multiplications and additions, each counted.
  double least_bytes;            // Each value that the call needs, once, and each that it gives.
  Peak peak = Peak::kF32;        // Of matrix instructions, but for kF32.
  std::shared_ptr<void> memory;  // Keeps params and what they point to.
  // A whole of several launches, or "": how often it has this one, and what of the whole's least bytes is this one's.
  // What one launch writes for the next to read counts in neither: a single kernel would not move it.
  std::string area = "";
  uint32_t area_calls = 0;
  double area_least_bytes = 0;
};

using Cases = std::vector<Case>;
// One file an area; report_main.cc joins them.
void add_decoder_cases(Cases& cases);
void add_attention_cases(Cases& cases);
void add_draft_cases(Cases& cases);
void add_step_cases(Cases& cases);

// Device arrays of a case, kept together.
class Memory {
 public:
  template <typename T>
  T* array(const std::vector<T>& values) {
    auto kept = std::make_shared<cuda_host::DeviceArray<T>>(values);
    kept_.push_back(kept);
    return kept->data();
  }
  template <typename T>
  T* array(size_t count, T value = T{}) {
    return array(std::vector<T>(count, value));
  }
  template <typename T>
  const T* keep(const T& params) {
    auto kept = std::make_shared<T>(params);
    kept_.push_back(kept);
    return kept.get();
  }

 private:
  std::vector<std::shared_ptr<void>> kept_;
};

}  // namespace redraft::cuda_report
