#include <cstring>
#include <exception>

#include "test.h"

// Arguments: an optional substring that "Suite.Name" must contain.
int main(int argc, char** argv) {
  int passed = 0, failed = 0;
  for (const auto& test : redraft::test::cases()) {
    const std::string name = std::string(test.suite) + "." + test.name;
    if (argc > 1 && name.find(argv[1]) == std::string::npos) continue;
    redraft::test::failures_in_case() = 0;
    try {
      test.body();
    } catch (const std::exception& error) { redraft::test::fail(name.c_str(), 0) << "threw: " << error.what() << "\n"; }
    const bool ok = redraft::test::failures_in_case() == 0;
    std::cout << (ok ? "ok      " : "FAILED  ") << name << "\n";
    ++(ok ? passed : failed);
  }
  std::cout << passed << " passed, " << failed << " failed\n";
  return failed ? 1 : 0;
}
