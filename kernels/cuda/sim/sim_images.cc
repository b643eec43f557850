// In place of the kernels' fat binaries: the simulated device has its kernels in itself.
#include "../driver.h"

namespace redraft::cuda {

const void* const kKernelImages[] = {"simulated", nullptr};

}  // namespace redraft::cuda
