// In the place of host/cta.cc and access_check.cc: with it the simulated device (sim/sim_driver.cc) runs the PTX that
// nvcc made of the kernels. The library holds that PTX (kKernelImages).
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <set>

#include "../driver.h"
#include "../host/access_check.h"
#include "../host/cta.h"
#include "ptx_warp.h"

namespace redraft::cuda_host {
namespace {

cuda_ptx::GlobalMemory& memory() {
  static cuda_ptx::GlobalMemory all;
  return all;
}

// Writes a kernel's name, when it is first launched, to the file that REDRAFT_PTX_LOG names.
void note_launch(const std::string& name) {
  static std::set<std::string> noted;
  const char* file = std::getenv("REDRAFT_PTX_LOG");
  if (file && noted.insert(name).second) std::ofstream(file, std::ios::app) << name << "\n";
}

struct Loaded {
  std::map<std::string, cuda_ptx::Kernel> programs;
  std::map<std::string, Kernel> kernels;
};

const Loaded& loaded() {
  static const Loaded all = [] {
    Loaded made;
    for (const void* const* image = cuda::kKernelImages; *image; ++image)
      made.programs.merge(cuda_ptx::parse_ptx(static_cast<const char*>(*image)));
    for (const auto& [name, program] : made.programs)
      made.kernels[name] = {program.name.c_str(), program.param_bytes, program.threads_max, nullptr};
    return made;
  }();
  return all;
}

}  // namespace

const Kernel& find_kernel(const std::string& name) {
  try {
    const auto place = loaded().kernels.find(name);
    if (place != loaded().kernels.end()) return place->second;
  } catch (const cuda_ptx::PtxFault& fault) {
    std::cerr << fault.what() << "\n";  // The driver's API has a number for it, but no words.
    throw DeviceFault(fault.what());
  }
  throw DeviceFault("no kernel is named " + name);
}

void launch(const Kernel& kernel, const LaunchShape& shape, const void* params) {
  note_launch(kernel.name);
  try {
    cuda_ptx::launch_ptx(loaded().programs.at(kernel.name), shape, params, memory());
  } catch (const cuda_ptx::PtxFault& fault) { throw DeviceFault(fault.what()); }
}

bool kernels_are_checked() { return true; }
void register_memory(const void* begin, size_t bytes, bool) { memory().add(begin, bytes); }
void forget_memory(const void* begin) { memory().remove(begin); }
void note_written(const void*, size_t) {}

}  // namespace redraft::cuda_host
