#include "step_shape.h"

#include <algorithm>
#include <bit>

namespace redraft::cuda {
namespace {

constexpr uint32_t kRowBuckets[] = {8, 32, 64, 128, kGraphRowsMax};

uint32_t row_bucket(uint32_t count) {
  if (count == 0) return 0;
  const uint32_t* bucket = std::lower_bound(std::begin(kRowBuckets), std::end(kRowBuckets), count);
  return bucket == std::end(kRowBuckets) ? count : *bucket;
}
uint32_t power_of_two(uint32_t count, uint32_t most) { return std::min(std::bit_ceil(count), most); }

}  // namespace

StepShape exact_shape(const StepBatch& batch) {
  StepShape shape{batch.row_count,
                  batch.sample_count,
                  static_cast<uint32_t>(batch.steps.size()),
                  static_cast<uint32_t>(batch.tiles.size()),
                  static_cast<uint32_t>(batch.beams.size()),
                  batch.keys_max,
                  batch.queries_max,
                  1,
                  0};
  for (const BeamSequence& beam : batch.beams) {
    shape.beam_width = std::max(shape.beam_width, beam.beam_width);
    shape.beam_length = std::max(shape.beam_length, beam.beam_length);
  }
  return shape;
}

StepShape bucket_shape(const StepBatch& batch, const StepBounds& bounds, const StepCounts* counts) {
  const StepLimits& limits = bounds.limits;
  StepShape shape = exact_shape(batch);
  const uint32_t tiles = power_of_two(shape.tiles.most, limits.slots_max + limits.rows_max / bounds.tile_rows);
  shape.sequences = {std::min(tiles, limits.slots_max), &counts->sequences};
  shape.tiles = {tiles, &counts->tiles};
  shape.rows = {row_bucket(shape.rows.most), &counts->rows};
  shape.samples = {row_bucket(shape.samples.most), &counts->samples};
  if (shape.drafts.most > 0) shape.drafts = {power_of_two(shape.drafts.most, limits.slots_max), &counts->drafts};
  const uint32_t splits = power_of_two(ceil_div(shape.keys_max, kSplitKeys), UINT32_MAX);
  shape.keys_max = std::min(splits * kSplitKeys, limits.context_max + kTreeTokensMax);
  shape.queries_max = power_of_two(std::max(shape.queries_max, 8u), bounds.tile_rows * bounds.group);
  return shape;
}

GraphKey target_key(const StepShape& s) {
  return {s.rows.most, s.samples.most, s.tiles.most, s.keys_max, s.queries_max};
}
// No step has 0 rows: the two kinds differ.
GraphKey draft_key(const StepShape& s) { return {0, s.drafts.most, s.beam_width, s.beam_length, 0}; }

}  // namespace redraft::cuda
