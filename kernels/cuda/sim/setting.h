// A variable of the environment for as long as a test needs it.
#pragma once
#include <cstdlib>
#include <string>

namespace redraft::test {

class Setting {
 public:
  Setting(const char* name, const char* value) : name_(name), before_(std::getenv(name) ? std::getenv(name) : "") {
    setenv(name, value, 1);
  }
  ~Setting() { before_.empty() ? unsetenv(name_) : setenv(name_, before_.c_str(), 1); }

 private:
  const char* name_;
  std::string before_;
};

}  // namespace redraft::test
