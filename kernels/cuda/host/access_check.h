// Which memory a kernel may touch, and who touched it last. Kernel sources built with -fsanitize=thread report each of
// their accesses here (access_check.cc stands in for the sanitizer's runtime).
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace redraft::cuda_host {

// Bytes of global memory that launches moved, in whole sectors of 32 bytes: once a launch (what has to come from device
// memory where the second-level cache holds the rest), and once a CTA (what passes from that cache to a
// multiprocessor).
struct Traffic {
  uint64_t launch_bytes = 0, cta_bytes = 0;
};
Traffic take_traffic();  // Since the last call.

// Makes memory known to the check. written: it holds values already; else reading a byte that no launch wrote faults.
void register_memory(const void* begin, size_t bytes, bool written);
void forget_memory(const void* begin);
// What a copy wrote counts as written; memory that is not known is passed over.
void note_written(const void* begin, size_t bytes);
// Whether the kernels in this binary report their accesses.
bool kernels_are_checked();
bool checks_memory();  // Some is known; a simulated device tells of none.

// Global memory of a test: known to the check from birth to death, on a sector of its own.
template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : DeviceArray(count, false) {}
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size(), true) {
    for (size_t i = 0; i < count_; ++i) data_[i] = values[i];
  }
  ~DeviceArray() { forget_memory(data_), ::operator delete(data_, std::align_val_t{256}); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return count_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  std::vector<T> values() const { return std::vector<T>(data_, data_ + count_); }

 private:
  DeviceArray(size_t count, bool written)
      : count_(count), data_(static_cast<T*>(::operator new(count ? count * sizeof(T) : 1, std::align_val_t{256}))) {
    for (size_t i = 0; i < count * sizeof(T); ++i) reinterpret_cast<uint8_t*>(data_)[i] = 0xcd;
    register_memory(data_, count * sizeof(T), written);
  }
  size_t count_;
  T* data_;
};

// ---- Between cta.cc and access_check.cc ----

enum class Access : uint8_t { kRead, kWrite, kAtomic };
struct AccessPlace {
  uintptr_t stack_begin, stack_end;    // Of the running fibre.
  uintptr_t shared_begin, shared_end;  // Of its CTA.
  uintptr_t params_begin, params_end;  // Of the launch.
  uintptr_t index_begin, index_end;    // threadIdx and its kin.
  uint32_t thread;                     // In the CTA.
  uint32_t launch_stamp, cta_stamp;    // Each CTA has a stamp of its own; those of a launch start at launch_stamp.
  uint32_t cta_epoch, warp_epoch;      // Barriers passed by the CTA, and joins of the whole warp.
};
extern thread_local AccessPlace* access_place;  // Null while no kernel runs.
// The harness's own work on behalf of a fibre: library code in it may be a copy that reports its accesses.
class Unchecked {
 public:
  Unchecked() : place_(access_place) { access_place = nullptr; }
  ~Unchecked() { access_place = place_; }
  Unchecked(const Unchecked&) = delete;
  Unchecked& operator=(const Unchecked&) = delete;
  AccessPlace* place() const { return place_; }

 private:
  AccessPlace* place_;
};
// Empty if the access is allowed, else what is wrong with it.
std::string check_access(const AccessPlace& place, uintptr_t address, size_t bytes, Access kind);
// Ends the running fibre with a fault.
void fault(const std::string& what);

}  // namespace redraft::cuda_host
