#include "step_upload.h"

#include <cstring>

#include "../common/error.h"

namespace redraft::cuda {
namespace {

// What is long and seldom full lies last: what lies behind the pages in use is not copied.
size_t lay_out(const StepLimits& limits, size_t vocab_size, uint8_t* base, StepArrays* arrays) {
  size_t end = 0;
  const auto place = [&]<typename T>(T*& pointer, size_t count) {
    pointer = reinterpret_cast<T*>(base + end);
    end = (end + count * sizeof(T) + 255) / 256 * 256;
  };
  place(arrays->counts, 1);
  place(arrays->steps, limits.slots_max);
  place(arrays->tiles, size_t{limits.rows_max} + limits.slots_max);
  place(arrays->commits, limits.slots_max);
  place(arrays->beams, limits.slots_max);
  place(arrays->noise, limits.slots_max);
  place(arrays->mask_begin, limits.rows_max);
  place(arrays->tokens, limits.rows_max);
  place(arrays->pages, size_t{limits.slots_max} * (limits.context_max / 16 + 2));
  place(arrays->masks, limits.rows_max * ((vocab_size + 31) / 32));  // Of packed tokens, at most one each.
  return end;
}

}  // namespace

size_t StepUpload::bytes(const StepLimits& limits, size_t vocab_size) {
  StepArrays arrays;
  return lay_out(limits, vocab_size, nullptr, &arrays);
}

StepUpload::StepUpload(const StepLimits& limits, size_t vocab_size)
    : staging_(bytes(limits, vocab_size)), device_(staging_.size()) {
  lay_out(limits, vocab_size, device_.get(), &arrays_);
}

// Returns where it ends.
template <typename T>
size_t StepUpload::put(const T* at, const std::vector<T>& values) {
  const size_t begin = static_cast<size_t>(reinterpret_cast<const uint8_t*>(at) - device_.get());
  const size_t end = begin + values.size() * sizeof(T);
  REDRAFT_ASSERT(end <= staging_.size());
  if (!values.empty()) std::memcpy(staging_.get() + begin, values.data(), end - begin);
  return end;
}

void StepUpload::send(Device& device, const StepBatch& batch) {
  const StepArrays& a = arrays_;
  const auto count = [](const auto& values) { return static_cast<uint32_t>(values.size()); };
  // A place behind the last item of an array holds nothing that a kernel could take for one.
  std::memset(staging_.get(), 0xff, static_cast<size_t>(reinterpret_cast<uint8_t*>(a.pages) - device_.get()));
  put(a.counts, std::vector<StepCounts>{
                    {batch.row_count, batch.sample_count, count(batch.steps), count(batch.tiles), count(batch.beams)}});
  put(a.steps, batch.steps), put(a.tiles, batch.tiles), put(a.commits, batch.commits);
  put(a.beams, batch.beams), put(a.noise, batch.noise);
  put(a.mask_begin, batch.mask_begin), put(a.tokens, batch.tokens);
  device.copy_in(device_.pointer(), staging_.get(), put(a.pages, batch.pages));
  const size_t masks_end = put(a.masks, batch.masks), bytes = batch.masks.size() * sizeof(uint32_t);
  device.copy_in(device_.pointer() + masks_end - bytes, staging_.get() + masks_end - bytes, bytes);
}

}  // namespace redraft::cuda
