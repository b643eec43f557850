#include "beam_search.cuh"

#include "../common/select.cuh"

namespace redraft::cuda {
namespace {

constexpr uint32_t kKeysAThread = kBeamWidthMax * kBeamWidthMax / kBeamThreads;

struct BeamShared {
  SelectShared select;
  uint32_t selected[kTreeMax];  // Nodes of the tree, rising.
  float logprob[kTreeMax];
  int32_t rank[kTreeMax];
  uint32_t count;
};

// The sequence's part of the arrays.
struct Nodes {
  int32_t *token, *parent;
  float* logprob;
};
REDRAFT_DEVICE Nodes nodes_of(const BeamParams& p) {
  const size_t first = static_cast<size_t>(blockIdx.x) * kNodesMax;
  return {p.node_token + first, p.node_parent + first, p.node_logprob + first};
}

// Rows of the next level that have no beam run along with a token that exists: their results are not read.
REDRAFT_DEVICE void write_row(const BeamParams& p, uint32_t beam, uint32_t token, uint32_t from) {
  const uint32_t row = blockIdx.x * p.rows_after + beam;
  p.row_token[row] = token;
  p.row_from[row] = from;
  p.row_sequence[row] = blockIdx.x;
}

// The key of the packed_max-th best of all nodes: what is under it can bring nothing into the tree any more, as that
// worst only improves and a path's score only falls. 0 while there are not so many.
REDRAFT_DEVICE uint32_t worst_key(BeamShared& shared, const Nodes& nodes, uint32_t node_count, uint32_t packed_max) {
  if (node_count <= packed_max) return 0;
  const auto ones = [&](uint32_t i, uint32_t& key, uint64_t& weight) {
    key = order_key(nodes.logprob[i]);
    weight = 1;
  };
  return cta_select(shared.select, node_count, packed_max, ones).key;
}

}  // namespace

REDRAFT_KERNEL(redraft_beam_begin, BeamParams, kBeamThreads) {
  if (threadIdx.x != 0 || blockIdx.x >= count_of(p.sequence_count)) return;
  const DeviceSlot& slot = p.slots[p.sequences[blockIdx.x].slot];
  const Nodes nodes = nodes_of(p);
  nodes.token[0] = slot.pending.token[0], nodes.parent[0] = -1, nodes.logprob[0] = 0;
  BeamState& state = p.states[blockIdx.x];
  // A sequence that could not draw has no root: it drafts along, and packs nothing.
  state.node_count = 1, state.frontier_count = slot.pending.count > 0 ? 1 : 0, state.level = 1;
  state.frontier[0] = 0;
  write_row(p, 0, slot.pending.count > 0 ? static_cast<uint32_t>(nodes.token[0]) : 0, blockIdx.x);
}

REDRAFT_KERNEL_AT_LEAST(redraft_beam_expand, BeamParams, kBeamThreads, 1) {
  REDRAFT_SHARED(BeamShared, shared);
  if (blockIdx.x >= count_of(p.sequence_count)) return;
  const BeamSequence s = p.sequences[blockIdx.x];
  BeamState& state = p.states[blockIdx.x];
  const Nodes nodes = nodes_of(p);
  const uint32_t begin = state.node_count, beams = state.frontier_count, level = state.level + 1;
  const uint32_t wanted = min(s.beam_width, p.k), added = beams * wanted;
  for (uint32_t i = threadIdx.x; i < added; i += blockDim.x) {
    const uint32_t beam = i / wanted, parent = state.frontier[beam];
    const size_t from = static_cast<size_t>(blockIdx.x * p.rows_before + beam) * p.k + i % wanted;
    const float logprob = p.candidate_logprobs[from];
    const bool finite = logprob > -INFINITY && logprob < INFINITY;
    nodes.token[begin + i] = static_cast<int32_t>(p.candidate_tokens[from]);
    nodes.parent[begin + i] = static_cast<int32_t>(parent);
    // Rounding may lift a log-probability over 0; along a path it must fall.
    nodes.logprob[begin + i] = finite ? nodes.logprob[parent] + fminf(logprob, 0) : -INFINITY;
  }
  __syncthreads();
  const uint32_t worst = worst_key(shared, nodes, begin + added, s.packed_max);
  // Falling by log-probability; among equals the lower token, then the earlier node.
  uint64_t keys[kKeysAThread];
  for (uint32_t j = 0; j < kKeysAThread; ++j) {
    const uint32_t i = threadIdx.x + j * blockDim.x;
    keys[j] = 0;
    if (i >= added || level >= s.beam_length) continue;
    const uint32_t key = order_key(nodes.logprob[begin + i]);
    if (key < worst || !(nodes.logprob[begin + i] > -INFINITY)) continue;
    const uint32_t token = 0x3ffffu - (static_cast<uint32_t>(nodes.token[begin + i]) & 0x3ffffu);
    keys[j] = static_cast<uint64_t>(key) << 32 | token << 14 | (0x3fffu - i);
  }
  uint32_t count = 0;
  for (; count < s.beam_width; ++count) {
    uint64_t best = 0;
    for (uint32_t j = 0; j < kKeysAThread; ++j) best = keys[j] > best ? keys[j] : best;
    best = cta_max(shared.select, best);
    if (best == 0) break;
    for (uint32_t j = 0; j < kKeysAThread; ++j) keys[j] = keys[j] == best ? 0 : keys[j];
    const uint32_t i = 0x3fffu - static_cast<uint32_t>(best & 0x3fffu);
    if (threadIdx.x == 0) {
      state.frontier[count] = begin + i;
      write_row(p, count, static_cast<uint32_t>(nodes.token[begin + i]), blockIdx.x * p.rows_before + i / wanted);
    }
  }
  if (threadIdx.x != 0) return;
  for (uint32_t beam = count; beam < p.rows_after; ++beam)
    write_row(p, beam, static_cast<uint32_t>(nodes.token[0] < 0 ? 0 : nodes.token[0]), blockIdx.x * p.rows_before);
  state.node_count = begin + added, state.frontier_count = count, state.level = level;
}

REDRAFT_KERNEL(redraft_beam_pack, BeamParams, kBeamThreads) {
  REDRAFT_SHARED(BeamShared, shared);
  if (blockIdx.x >= count_of(p.sequence_count)) return;
  const BeamSequence s = p.sequences[blockIdx.x];
  const BeamState& state = p.states[blockIdx.x];
  const Nodes nodes = nodes_of(p);
  DeviceTree& tree = p.slots[s.slot].pending;
  if (tree.count == 0) return;
  uint64_t finite = 0;
  for (uint32_t i = threadIdx.x; i < state.node_count; i += blockDim.x) finite += nodes.logprob[i] > -INFINITY;
  finite = cta_sum(shared.select, finite);
  const uint32_t count = min(static_cast<uint32_t>(finite), min(s.packed_max, kTreeMax));
  const Selected edge =
      cta_select(shared.select, state.node_count, count, [&](uint32_t i, uint32_t& key, uint64_t& weight) {
        key = order_key(nodes.logprob[i]);
        weight = nodes.logprob[i] > -INFINITY ? 1 : 0;
      });
  // One warp gathers them in order of index; of those at the edge the older, so that a parent comes before a child that
  // costs nothing.
  if (warp_index() == 0) {
    uint32_t found = 0, equals_left = count - static_cast<uint32_t>(edge.above);
    for (uint32_t first = 0; first < state.node_count; first += kWarpLanes) {
      const uint32_t i = first + lane_index(), before = (1u << lane_index()) - 1;
      const float logprob = i < state.node_count ? nodes.logprob[i] : -INFINITY;
      const uint32_t key = order_key(logprob);
      const uint32_t equals = __ballot_sync(kAllLanes, logprob > -INFINITY && key == edge.key);
      const bool equal = (equals >> lane_index() & 1) && static_cast<uint32_t>(__popc(equals & before)) < equals_left;
      const uint32_t taken = __ballot_sync(kAllLanes, (logprob > -INFINITY && key > edge.key) || equal);
      if (taken >> lane_index() & 1) {
        const uint32_t place = found + static_cast<uint32_t>(__popc(taken & before));
        shared.selected[place] = i, shared.logprob[place] = logprob;
      }
      found += static_cast<uint32_t>(__popc(taken));
      equals_left -= min(equals_left, static_cast<uint32_t>(__popc(equals)));
    }
  }
  __syncthreads();
  if (threadIdx.x < count) {
    int32_t rank = 0;
    for (uint32_t j = 0; j < count; ++j)
      rank += shared.logprob[j] > shared.logprob[threadIdx.x] ||
              (shared.logprob[j] == shared.logprob[threadIdx.x] && j < threadIdx.x);
    shared.rank[threadIdx.x] = rank;
  }
  __syncthreads();
  if (threadIdx.x < count) {
    const uint32_t node = shared.selected[threadIdx.x];
    const int32_t rank = shared.rank[threadIdx.x];
    int32_t parent = -1;
    for (uint32_t j = 0; j < count; ++j)
      if (static_cast<int32_t>(shared.selected[j]) == nodes.parent[node]) parent = shared.rank[j];
    tree.token[rank] = nodes.token[node], tree.parent[rank] = parent, tree.logprob[rank] = nodes.logprob[node];
  }
  __syncthreads();
  if (threadIdx.x == 0) tree.count = static_cast<int32_t>(count);
}

}  // namespace redraft::cuda
