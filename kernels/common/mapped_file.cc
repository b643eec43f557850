#include "mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "error.h"

namespace redraft {

namespace {

// Closes on every way out: the mapping outlives its descriptor.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

[[noreturn]] void refuse(int32_t status, const std::string& path, const std::string& reason) {
  throw Error(status, "Cannot open " + path + ": " + reason);
}

}  // namespace

MappedFile::MappedFile(const std::string& path, int32_t error_status) : path_(path) {
  // A path with a NUL inside would silently open another file than the one named.
  if (path.find('\0') != std::string::npos) refuse(error_status, path.c_str(), "the path holds a NUL byte");
  // O_NONBLOCK: opening a pipe that nobody writes must fail below, not hang here.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) refuse(error_status, path, std::strerror(errno));
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) refuse(error_status, path, std::strerror(errno));
  if (!S_ISREG(info.st_mode)) refuse(error_status, path, "not a regular file");
  if (info.st_size <= 0) refuse(error_status, path, "the file is empty");
  if (static_cast<uint64_t>(info.st_size) > SIZE_MAX) refuse(error_status, path, "the file is too large to map");
  size_ = static_cast<size_t>(info.st_size);
  void* memory = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (memory == MAP_FAILED) refuse(errno == ENOMEM ? REDRAFT_NO_MEMORY : error_status, path, std::strerror(errno));
  data_ = static_cast<const uint8_t*>(memory);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<uint8_t*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  return *this;
}

void MappedFile::done_with(size_t offset, size_t bytes) const {
  if (!data_ || offset >= size_) return;
  if (bytes > size_ - offset) bytes = size_ - offset;
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = (offset + page - 1) / page * page;
  // The file's last page is ours alone even where the file ends inside it.
  const size_t end = offset + bytes == size_ ? size_ : (offset + bytes) / page * page;
  if (begin < end) ::madvise(const_cast<uint8_t*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace redraft
