// Tests of kernels on a device, through the driver: what access_check.h and cta.h are to them on the host. An array has
// its twin on the device; every launch takes all of them there and back.
#pragma once
#include <cstring>
#include <string>
#include <vector>

#include "../../common/half.h"
#include "../driver.h"

namespace redraft::cuda_host {

// Opened at the first launch, never closed: the driver may be gone before it.
inline cuda::Device& device() {
  static auto& opened = *new cuda::Device;
  opened.enter();
  return opened;
}

class DeviceMemory {
 public:
  DeviceMemory() { all().push_back(this); }
  virtual ~DeviceMemory() { std::erase(all(), this); }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  virtual void take_there() = 0;
  virtual void bring_back() = 0;
  static std::vector<DeviceMemory*>& all() {
    static std::vector<DeviceMemory*> arrays;
    return arrays;
  }
};

template <typename T>
class DeviceArray : public DeviceMemory {
 public:
  explicit DeviceArray(size_t count) : values_(count) {
    device();  // Its context comes before any memory.
    buffer_ = cuda::Buffer<T>(count);
    for (size_t i = 0; i < count * sizeof(T); ++i) reinterpret_cast<uint8_t*>(values_.data())[i] = 0xcd;
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) { values_ = values; }
  T* data() { return buffer_.get(); }  // On the device: not to be followed here.
  const T* data() const { return buffer_.get(); }
  size_t size() const { return values_.size(); }
  T& operator[](size_t i) { return values_[i]; }
  const T& operator[](size_t i) const { return values_[i]; }
  std::vector<T> values() const { return values_; }
  void take_there() override { device().copy_in(buffer_.pointer(), values_.data(), values_.size() * sizeof(T)); }
  void bring_back() override { device().copy_out(values_.data(), buffer_.pointer(), values_.size() * sizeof(T)); }

 private:
  std::vector<T> values_;
  cuda::Buffer<T> buffer_;
};

template <typename Params>
void launch(const char* name, const cuda::LaunchShape& shape, const Params& params) {
  for (DeviceMemory* memory : DeviceMemory::all()) memory->take_there();
  device().launch(name, shape, params);
  for (DeviceMemory* memory : DeviceMemory::all()) memory->bring_back();
  device().wait();
}

// A device has its own order.
template <typename Body>
void in_both_orders(Body&& body) {
  body();
}

}  // namespace redraft::cuda_host
