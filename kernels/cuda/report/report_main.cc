// Prints one JSON object a kernel. Run by `deno task build:cuda --report`.
#include <cstdio>
#include <set>

#include "report.h"

using namespace redraft;

int main() {
  cuda_report::Cases cases;
  cuda_report::add_decoder_cases(cases);
  cuda_report::add_attention_cases(cases);
  cuda_report::add_step_cases(cases);
  cuda_report::add_draft_cases(cases);
  std::set<std::string> seen;
  for (const cuda_report::Case& each : cases) {
    cuda_host::take_traffic();
    try {
      cuda_host::launch(cuda_host::find_kernel(each.kernel), each.shape, each.params);
    } catch (const cuda_host::DeviceFault& fault) {
      std::fprintf(stderr, "%s\n", fault.what());
      return 1;
    }
    const cuda_host::Traffic traffic = cuda_host::take_traffic();
    const cuda::Dim3& grid = each.shape.grid;
    std::printf(
        "{\"name\":\"%s\",\"shape\":\"%s\",\"threads\":%u,\"dynamic_shared_bytes\":%zu,\"ctas\":%u,"
        "\"bytes_per_call\":%llu,\"cta_bytes_per_call\":%llu,\"least_bytes\":%.0f,\"operations_per_call\":%.0f,"
        "\"peak\":\"%s\",\"area\":\"%s\",\"area_calls\":%u,\"area_least_bytes\":%.0f}\n",
        each.kernel.c_str(), each.shape_name.c_str(), each.shape.threads, each.shape.shared_bytes,
        grid.x * grid.y * grid.z, static_cast<unsigned long long>(traffic.launch_bytes),
        static_cast<unsigned long long>(traffic.cta_bytes), each.least_bytes, each.operations,
        each.peak == cuda_report::Peak::kF32   ? "f32"
        : each.peak == cuda_report::Peak::kF16 ? "f16"
                                               : "int8",
        each.area.c_str(), each.area_calls, each.area_least_bytes);
    seen.insert(each.kernel);
  }
  for (const cuda_host::Kernel* kernel : cuda_host::all_kernels())
    if (!seen.count(kernel->name)) {
      std::fprintf(stderr, "%s has no case in the report\n", kernel->name);
      return 1;
    }
  return 0;
}
