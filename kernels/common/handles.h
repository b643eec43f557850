// What every C ABI of ours needs: handles, and exceptions turned into statuses.
#pragma once
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>

#include "../include/redraft.h"
#include "error.h"

namespace redraft {

// Runs the body; whatever it throws becomes a status and words.
template <typename Body>
int32_t guarded(std::string* words, Body&& body) {
  try {
    body();
    return REDRAFT_OK;
  } catch (const Error& error) {
    *words = error.what();
    return error.status();
  } catch (const std::bad_alloc&) {
    *words = "out of memory: a smaller model, or fewer KV pages, rows or slots need less";
    return REDRAFT_NO_MEMORY;
  } catch (const std::exception& error) {
    *words = error.what();
    return REDRAFT_INTERNAL;
  } catch (...) {
    *words = "unknown exception";
    return REDRAFT_INTERNAL;
  }
}

inline void copy_out(const std::string& text, uint8_t* out, size_t bytes_max, size_t* bytes_out) {
  if (!bytes_out) throw Error(REDRAFT_BAD_ARGUMENT, "bytes_out is null");
  *bytes_out = text.size();
  if (text.size() > bytes_max || !out)
    throw Error(REDRAFT_NO_SPACE, std::to_string(text.size()) + " bytes do not fit " + std::to_string(bytes_max));
  std::memcpy(out, text.data(), text.size());
}

// Open objects by handle, from 1 on; 0 is none. Handle has std::mutex error_mutex and std::string last_error.
template <typename Handle>
class HandleTable {
 public:
  std::shared_ptr<Handle> find(uint32_t handle) {
    const std::lock_guard lock(mutex_);
    const auto place = open_.find(handle);
    return place == open_.end() ? nullptr : place->second;
  }

  // Runs make, which gives a std::shared_ptr<Handle>, and enters it. What it throws is a status and error()'s words.
  template <typename Make>
  int32_t open(uint32_t* handle_out, Make&& make) {
    std::string words;
    const int32_t status = guarded(&words, [&] {
      if (!handle_out) throw Error(REDRAFT_BAD_ARGUMENT, "the place for the handle is null");
      *handle_out = 0;
      std::shared_ptr<Handle> handle = make();
      const std::lock_guard lock(mutex_);
      *handle_out = next_++;
      open_.emplace(*handle_out, std::move(handle));
    });
    if (status != REDRAFT_OK) {
      const std::lock_guard lock(mutex_);
      open_error_ = words;
    }
    return status;
  }

  // False if another call was first.
  bool erase(uint32_t handle) {
    const std::lock_guard lock(mutex_);
    return open_.erase(handle) == 1;
  }

  // Keeps a failed call's words.
  static int32_t keep(Handle& handle, int32_t status, const std::string& words) {
    if (status == REDRAFT_OK) return status;
    const std::lock_guard lock(handle.error_mutex);
    handle.last_error = words;
    return status;
  }

  // Of the last call that failed on a handle; of 0: of the last open() that did.
  std::string error(uint32_t handle) {
    if (handle == 0) {
      const std::lock_guard lock(mutex_);
      return open_error_;
    }
    const std::shared_ptr<Handle> found = find(handle);
    if (!found) return "nothing open has handle " + std::to_string(handle);
    const std::lock_guard lock(found->error_mutex);
    return found->last_error;
  }

 private:
  std::mutex mutex_;
  std::map<uint32_t, std::shared_ptr<Handle>> open_;
  uint32_t next_ = 1;
  std::string open_error_;
};

}  // namespace redraft
