// A file mapped read-only for as long as the object lives: a model's weights are read in place, never copied whole.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace redraft {

class MappedFile {
 public:
  MappedFile() = default;
  // Maps a regular file of at least one byte. Anything else (a directory, a pipe, no permission) throws
  // Error(error_status) that names the path: the status says whose file it is (REDRAFT_BAD_MODEL, REDRAFT_BAD_HEAD).
  // A file that someone truncates while it is mapped cannot be caught here: the kernel then raises SIGBUS on access.
  MappedFile(const std::string& path, int32_t error_status);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const uint8_t* data() const { return data_; }  // [size()], page-aligned.
  size_t size() const { return size_; }
  const std::string& path() const { return path_; }

  // A hint for the page cache; never fails.
  void done_with(size_t offset, size_t bytes) const;  // Pages wholly inside leave our resident set.

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
  std::string path_;
};

}  // namespace redraft
