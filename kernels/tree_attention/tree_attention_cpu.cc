#include "tree_attention.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "../common/error.h"
#include "../common/isa.h"
#include "../common/row_math.h"

namespace redraft {
namespace {

const AttentionKernels& attention_kernels() {
  static const AttentionKernels& chosen = [&]() -> const AttentionKernels& {
    if (isa() >= Isa::Avx512Vnni) return attention_kernels_avx512();
    return isa() >= Isa::Avx2 ? attention_kernels_avx2() : attention_kernels_portable();
  }();
  return chosen;
}

constexpr size_t kPagesAhead = 4;
constexpr size_t kQueriesMax = kAttentionRowsTile * 16;  // Rows of a tile times heads of a group.

// One tile: the query vectors of its rows and heads, each with a row of scores that becomes a row of weights.
class Tile {
 public:
  Tile(const AttentionCall& call, const AttentionSequence& sequence, size_t kv_head, size_t begin, size_t count,
       AttentionScratch& scratch)
      : call_(call),
        sequence_(sequence),
        layout_(*call.layout),
        kv_head_(kv_head),
        begin_(begin),
        count_(count),
        group_(call.head_count / layout_.kv_head_count),
        scratch_(scratch) {
    REDRAFT_ASSERT(count <= kAttentionRowsTile && count * group_ <= kQueriesMax);
    // Keys by position that all rows see; what a row sees beyond them is its own.
    shared_count_ = sequence.masks ? sequence.computed_count : sequence.computed_count + begin + 1;
    const size_t positions = sequence.masks ? sequence.computed_count : sequence.computed_count + begin + count;
    page_count_ = (positions + kPageTokens - 1) / kPageTokens;
    stride_ = page_count_ * kPageTokens + (sequence.masks ? REDRAFT_TREE_TOKENS_MAX : 0) + 16;
    for (auto* buffer : {&scratch.scores, &scratch.weights})
      if (buffer->size() < query_count() * stride_) buffer->resize(query_count() * stride_);
    if (scratch.block_sums.size() < stride_ / kRowBlock + 1) scratch.block_sums.resize(stride_ / kRowBlock + 1);
    for (size_t i = 0; i < query_count(); ++i) q_[i] = call.q + at(i), out_[i] = call.out + at(i);
  }

  void run() {
    score_positions();
    if (sequence_.masks) score_ancestors();
    for (size_t page = 0; page < std::min(kPagesAhead, page_count_); ++page) fetch(values_of(sequence_.pages[page], 0));
    for (size_t i = 0; i < query_count(); ++i) weigh(i);
    add_shared();
    for (size_t i = 0; i < query_count(); ++i) add_own(i);
  }

 private:
  size_t query_count() const { return count_ * group_; }
  size_t row_of(size_t i) const { return begin_ + i / group_; }  // Query vectors: all heads of a row, row after row.
  size_t at(size_t i) const {
    return (sequence_.row_begin + row_of(i)) * call_.stride + (kv_head_ * group_ + i % group_) * layout_.head_size;
  }
  size_t key_count(size_t i) const {
    if (!sequence_.masks) return sequence_.computed_count + row_of(i) + 1;
    return sequence_.computed_count + static_cast<size_t>(__builtin_popcountll(sequence_.masks[row_of(i)]));
  }
  const uint16_t* keys_of(size_t page) const { return call_.layer + layout_.key_at(page, kv_head_, 0, 0); }
  const uint16_t* values_of(size_t page, size_t row) const {
    return call_.layer + layout_.value_at(page, kv_head_, row);
  }

  // Pages of a sequence lie anywhere, so the machine cannot guess the next one. Those that come first are asked for at
  // once, the others while pages before them are read.
  void fetch(const uint16_t* rows) const {
    for (size_t i = 0; i < layout_.head_size * kPageTokens; i += 32) __builtin_prefetch(rows + i);
  }
  // Page `kPagesAhead` on, or the last one.
  uint32_t page_ahead(size_t page) const { return sequence_.pages[std::min(page + kPagesAhead, page_count_ - 1)]; }

  void score_positions() {
    float* to[kQueriesMax];
    for (size_t page = 0; page < std::min(kPagesAhead, page_count_); ++page) fetch(keys_of(sequence_.pages[page]));
    for (size_t page = 0; page < page_count_; page += 2) {
      const size_t count = std::min<size_t>(2, page_count_ - page);
      const uint16_t* keys[2] = {keys_of(sequence_.pages[page]), keys_of(sequence_.pages[page + count - 1])};
      const uint16_t* ahead[2] = {keys_of(page_ahead(page)), keys_of(page_ahead(page + 1))};
      for (size_t i = 0; i < query_count(); ++i) to[i] = &scratch_.scores[i * stride_ + page * kPageTokens];
      attention_kernels().score_pages(keys, page + kPagesAhead < page_count_ ? ahead : nullptr, count,
                                      layout_.head_size, q_, to, query_count());
    }
  }

  // Scores all packed tokens, then lines up each row's ancestors behind its positions.
  void score_ancestors() {
    if (std::all_of(sequence_.masks, sequence_.masks + sequence_.row_count, [](uint64_t m) { return m == 0; })) return;
    const size_t tree_pages = (sequence_.row_count + kPageTokens - 1) / kPageTokens;
    const size_t tree_stride = tree_pages * kPageTokens;
    if (scratch_.tree_scores.size() < query_count() * tree_stride)
      scratch_.tree_scores.resize(query_count() * tree_stride);
    float* to[kQueriesMax];
    for (size_t page = 0; page < tree_pages; ++page) {
      for (size_t i = 0; i < query_count(); ++i) to[i] = &scratch_.tree_scores[i * tree_stride + page * kPageTokens];
      const uint16_t* keys = keys_of(sequence_.tree_page + page);
      attention_kernels().score_pages(&keys, nullptr, 1, layout_.head_size, q_, to, query_count());
    }
    for (size_t i = 0; i < query_count(); ++i) {
      float* next = &scratch_.scores[i * stride_ + sequence_.computed_count];
      for (uint64_t seen = sequence_.masks[row_of(i)]; seen != 0; seen &= seen - 1)
        *next++ = scratch_.tree_scores[i * tree_stride + static_cast<size_t>(__builtin_ctzll(seen))];
    }
  }

  void weigh(size_t i) {
    const float* scores = &scratch_.scores[i * stride_];
    const size_t count = key_count(i);
    const RowItem peak = row_peak(scores, count);
    const float largest = peak.index < 0 ? 0 : peak.value;  // All NaN or -infinity: weights are all 0.
    const double sum =
        row_exp_blocks(scores, count, largest, 1, &scratch_.weights[i * stride_], scratch_.block_sums.data());
    inverse_sum_[i] = sum > 0 ? static_cast<float>(1 / sum) : 0;
    std::memset(out_[i], 0, layout_.head_size * sizeof(float));
  }

  void add_shared() {
    const float* from[kQueriesMax];
    for (size_t position = 0; position < shared_count_; position += kPageTokens) {
      const size_t page = position / kPageTokens;
      for (size_t i = 0; i < query_count(); ++i) from[i] = &scratch_.weights[i * stride_ + position];
      attention_kernels().add_values(values_of(sequence_.pages[page], 0),
                                     page + kPagesAhead < page_count_ ? values_of(page_ahead(page), 0) : nullptr,
                                     layout_.head_size, std::min(kPageTokens, shared_count_ - position), from, out_,
                                     query_count());
    }
  }

  void add_own(size_t i) {
    const float* weight = &scratch_.weights[i * stride_ + shared_count_];
    const auto add = [&](size_t page, size_t row) {
      attention_kernels().add_values(values_of(page, row), nullptr, layout_.head_size, 1, &weight, &out_[i], 1);
      ++weight;
    };
    if (sequence_.masks) {
      for (uint64_t seen = sequence_.masks[row_of(i)]; seen != 0; seen &= seen - 1) {
        const size_t packed = static_cast<size_t>(__builtin_ctzll(seen));
        add(sequence_.tree_page + packed / kPageTokens, packed % kPageTokens);
      }
    } else {
      for (size_t position = shared_count_; position < key_count(i); ++position)
        add(sequence_.pages[position / kPageTokens], position % kPageTokens);
    }
    for (size_t d = 0; d < layout_.head_size; ++d) out_[i][d] *= inverse_sum_[i];
  }

  const AttentionCall& call_;
  const AttentionSequence& sequence_;
  const KvLayout& layout_;
  const size_t kv_head_, begin_, count_, group_;
  AttentionScratch& scratch_;
  size_t shared_count_, page_count_, stride_;
  const float* q_[kQueriesMax];
  float* out_[kQueriesMax];
  float inverse_sum_[kQueriesMax];
};

}  // namespace

void tree_attention(const AttentionCall& call, const AttentionSequence& sequence, size_t kv_head, size_t tile_begin,
                    size_t tile_count, AttentionScratch& scratch) {
  Tile(call, sequence, kv_head, tile_begin, tile_count, scratch).run();
}

}  // namespace redraft
