#include "access_check.h"

#include <bit>
#include <cstdlib>
#include <map>
#include <memory>

namespace redraft::cuda_host {

thread_local AccessPlace* access_place = nullptr;
// Each checked source calls __tsan_init() when it is loaded.
static int checked_sources = 0;

namespace {

constexpr size_t kSectorBytes = 32;

// Who wrote a byte last, and who read it since. Stamp 0: nobody.
struct Cell {
  uint32_t write_stamp, write_epoch, write_warp_epoch, write_thread;
  uint32_t read_stamp, read_epoch, read_warps;      // Warps that read it in that epoch.
  uint32_t read_warp, read_warp_epoch, read_lanes;  // Of the warp that read it last: its lanes.
  bool atomic, read_by_others;                      // read_by_others: by another CTA of the launch, too.
};

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
template <typename T>
using Zeroed = std::unique_ptr<T[], Free>;
template <typename T>
Zeroed<T> zeroed(size_t count) {  // Pages come when touched.
  return Zeroed<T>(static_cast<T*>(std::calloc(count ? count : 1, sizeof(T))));
}

struct Region {
  uintptr_t begin, end;
  bool written;
  Zeroed<Cell> cells;
  Zeroed<uint32_t> read_sectors, written_sectors;  // Stamp of the CTA that touched it last.
};

std::map<uintptr_t, Region> regions;  // By their end.
Traffic traffic;
Zeroed<Cell> shared_cells;
size_t shared_cell_count = 0;

enum class Verdict : uint8_t { kFine, kAfterWrite, kAfterRead, kNeverWritten };

std::string describe(Verdict verdict, const Cell& cell, Access kind) {
  if (verdict == Verdict::kNeverWritten) return "it reads what nobody wrote";
  const bool wrote = verdict == Verdict::kAfterWrite;
  const uint32_t reader = cell.read_warp * 32 + static_cast<uint32_t>(std::countr_zero(cell.read_lanes | 1u << 31));
  return std::string("a race: it ") + (kind == Access::kRead ? "reads" : "writes") + " what thread " +
         std::to_string(wrote ? cell.write_thread : reader) + (wrote ? " wrote" : " read") + " with no barrier between";
}

// Whether the writer of a byte and the running thread are in no order.
bool unordered_write(const Cell& cell, const AccessPlace& place, bool global) {
  if (cell.write_stamp < place.launch_stamp || cell.write_stamp == 0) return false;
  if (cell.write_stamp != place.cta_stamp) return global;  // Another CTA of this launch; shared memory is new to each.
  if (cell.write_thread == place.thread || cell.write_epoch != place.cta_epoch) return false;
  return cell.write_thread / 32 != place.thread / 32 || cell.write_warp_epoch == place.warp_epoch;
}

bool unordered_reads(const Cell& cell, const AccessPlace& place, bool global) {
  if (cell.read_stamp < place.launch_stamp || cell.read_stamp == 0) return false;
  if (cell.read_stamp != place.cta_stamp) return global;
  if (global && cell.read_by_others) return true;
  if (cell.read_epoch != place.cta_epoch) return false;
  const uint32_t warp = place.thread / 32;
  if (cell.read_warps & ~(1u << warp)) return true;
  return cell.read_warp_epoch == place.warp_epoch && (cell.read_lanes & ~(1u << place.thread % 32)) != 0;
}

void note_read(Cell& cell, const AccessPlace& place) {
  const uint32_t warp = place.thread / 32;
  if (cell.read_stamp != place.cta_stamp) {
    cell.read_by_others = cell.read_stamp >= place.launch_stamp && cell.read_stamp != 0;
    cell.read_stamp = place.cta_stamp, cell.read_warps = 0, cell.read_lanes = 0, cell.read_epoch = place.cta_epoch;
  }
  if (cell.read_epoch != place.cta_epoch) cell.read_epoch = place.cta_epoch, cell.read_warps = 0, cell.read_lanes = 0;
  if (cell.read_warp != warp || cell.read_warp_epoch != place.warp_epoch) cell.read_lanes = 0;
  cell.read_warp = warp, cell.read_warp_epoch = place.warp_epoch;
  cell.read_warps |= 1u << warp;
  cell.read_lanes |= 1u << place.thread % 32;
}

Verdict check_cell(Cell& cell, const AccessPlace& place, Access kind, bool global, bool written) {
  const bool both_atomic = kind == Access::kAtomic && cell.atomic;
  if (!both_atomic && unordered_write(cell, place, global)) return Verdict::kAfterWrite;
  if (kind != Access::kRead && unordered_reads(cell, place, global)) return Verdict::kAfterRead;
  const bool has_value = global ? written || cell.write_stamp != 0 : cell.write_stamp == place.cta_stamp;
  if (kind != Access::kWrite && !has_value) return Verdict::kNeverWritten;
  if (kind == Access::kRead) return note_read(cell, place), Verdict::kFine;
  cell.write_stamp = place.cta_stamp, cell.write_epoch = place.cta_epoch;
  cell.write_warp_epoch = place.warp_epoch, cell.write_thread = place.thread;
  cell.atomic = kind == Access::kAtomic;
  return Verdict::kFine;
}

void count_sector(uint32_t& stamp, const AccessPlace& place) {
  if (stamp < place.launch_stamp) traffic.launch_bytes += kSectorBytes;
  if (stamp != place.cta_stamp) traffic.cta_bytes += kSectorBytes;
  stamp = place.cta_stamp;
}

void count_sectors(Region& region, uintptr_t address, size_t bytes, Access kind, const AccessPlace& place) {
  const size_t first = (address - region.begin) / kSectorBytes,
               last = (address + bytes - 1 - region.begin) / kSectorBytes;
  for (size_t sector = first; sector <= last; ++sector) {
    if (kind != Access::kWrite) count_sector(region.read_sectors[sector], place);
    if (kind != Access::kRead) count_sector(region.written_sectors[sector], place);
  }
}

std::string check_cells(Cell* cells, size_t bytes, const AccessPlace& place, Access kind, bool global, bool written) {
  for (size_t i = 0; i < bytes; ++i)
    if (const Verdict verdict = check_cell(cells[i], place, kind, global, written); verdict != Verdict::kFine)
      return describe(verdict, cells[i], kind);
  return {};
}

}  // namespace

Traffic take_traffic() {
  const Traffic taken = traffic;
  traffic = {};
  return taken;
}

void register_memory(const void* begin, size_t bytes, bool written) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(begin);
  const size_t sectors = bytes / kSectorBytes + 1;
  regions[address + bytes] = {
      address, address + bytes, written, zeroed<Cell>(bytes), zeroed<uint32_t>(sectors), zeroed<uint32_t>(sectors)};
}

void note_written(const void* begin, size_t bytes) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(begin);
  const auto found = regions.upper_bound(address);
  if (found == regions.end() || address < found->second.begin) return;
  // Stamp 1 is older than any launch's.
  for (size_t i = 0; i < bytes; ++i) {
    Cell& cell = found->second.cells[address - found->second.begin + i];
    if (cell.write_stamp == 0) cell.write_stamp = 1;
  }
}

bool kernels_are_checked() { return checked_sources > 0; }

bool checks_memory() { return !regions.empty(); }

void forget_memory(const void* begin) {
  std::erase_if(regions, [&](const auto& item) { return item.second.begin == reinterpret_cast<uintptr_t>(begin); });
}

std::string check_access(const AccessPlace& place, uintptr_t address, size_t bytes, Access kind) {
  if (address >= place.stack_begin && address + bytes <= place.stack_end) return {};
  if (address >= place.params_begin && address + bytes <= place.params_end && kind == Access::kRead) return {};
  if (address >= place.index_begin && address + bytes <= place.index_end && kind == Access::kRead) return {};
  if (address >= place.shared_begin && address < place.shared_end) {
    if (address + bytes > place.shared_end) return "it passes the end of shared memory";
    if (shared_cell_count < place.shared_end - place.shared_begin) {
      shared_cell_count = place.shared_end - place.shared_begin;
      shared_cells = zeroed<Cell>(shared_cell_count);
    }
    return check_cells(&shared_cells[address - place.shared_begin], bytes, place, kind, false, false);
  }
  const auto found = regions.upper_bound(address);
  if (found == regions.end() || address < found->second.begin) return "it is outside of all memory";
  Region& region = found->second;
  if (address + bytes > region.end) return "it passes the end of its memory";
  count_sectors(region, address, bytes, kind, place);
  return check_cells(&region.cells[address - region.begin], bytes, place, kind, true, region.written);
}

namespace {

void on_access(void* address, size_t bytes, Access kind) {
  if (!access_place) return;
  const Unchecked unchecked;
  if (std::string problem = check_access(*unchecked.place(), reinterpret_cast<uintptr_t>(address), bytes, kind);
      !problem.empty())
    fault(std::string(kind == Access::kRead    ? "load"
                      : kind == Access::kWrite ? "store"
                                               : "atomic") +
          " of " + std::to_string(bytes) + " bytes: " + problem);
}

}  // namespace

}  // namespace redraft::cuda_host

// What GCC and Clang call under -fsanitize=thread.
using redraft::cuda_host::Access;
using redraft::cuda_host::on_access;
extern "C" {
#define REDRAFT_HOOKS(bytes)                                                                     \
  void __tsan_read##bytes(void* address) { on_access(address, bytes, Access::kRead); }           \
  void __tsan_write##bytes(void* address) { on_access(address, bytes, Access::kWrite); }         \
  void __tsan_unaligned_read##bytes(void* address) { on_access(address, bytes, Access::kRead); } \
  void __tsan_unaligned_write##bytes(void* address) { on_access(address, bytes, Access::kWrite); }
REDRAFT_HOOKS(1)
REDRAFT_HOOKS(2)
REDRAFT_HOOKS(4)
REDRAFT_HOOKS(8)
REDRAFT_HOOKS(16)
#undef REDRAFT_HOOKS
void __tsan_read_range(void* address, unsigned long bytes) { on_access(address, bytes, Access::kRead); }
void __tsan_write_range(void* address, unsigned long bytes) { on_access(address, bytes, Access::kWrite); }
void __tsan_init() { ++redraft::cuda_host::checked_sources; }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
}
