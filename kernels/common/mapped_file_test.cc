#include "mapped_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "error.h"
#include "test.h"

namespace redraft {
namespace {

struct Folder {
  std::filesystem::path path;
  Folder() : path(std::filesystem::temp_directory_path() / ("redraft_mapped_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
};

TEST(MappedFile, ReadsWhatTheFileHolds) {
  const Folder folder;
  const std::string path = folder.path / "a";
  std::string text(10000, 'x');
  text.back() = 'y';
  std::ofstream(path, std::ios::binary) << text;
  MappedFile file(path, REDRAFT_BAD_MODEL);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file.data()), file.size()), text);
  file.done_with(0, file.size());
  EXPECT_EQ(file.data()[9999], 'y');  // Dropped pages come back from the file.
  MappedFile moved = std::move(file);
  EXPECT_EQ(moved.size(), text.size());
  EXPECT_EQ(moved.path(), path);
}

TEST(MappedFile, RefusesWhatIsNoFile) {
  const Folder folder;
  const std::string missing = folder.path / "missing", empty = folder.path / "empty", pipe = folder.path / "pipe";
  std::ofstream(empty).close();
  EXPECT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THROW(MappedFile(missing, REDRAFT_BAD_MODEL), REDRAFT_BAD_MODEL, missing);
  EXPECT_THROW(MappedFile(empty, REDRAFT_BAD_HEAD), REDRAFT_BAD_HEAD, "empty");
  EXPECT_THROW(MappedFile(folder.path.string(), REDRAFT_BAD_MODEL), REDRAFT_BAD_MODEL, "not a regular file");
  EXPECT_THROW(MappedFile(pipe, REDRAFT_BAD_MODEL), REDRAFT_BAD_MODEL, "not a regular file");
  EXPECT_THROW(MappedFile(std::string("a\0b", 3), REDRAFT_BAD_MODEL), REDRAFT_BAD_MODEL, "NUL");
}

}  // namespace
}  // namespace redraft
