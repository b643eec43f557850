// Time of a product over a model's worth of weights, by rows: what a step of so many rows costs at least.
// Prints per bits and rows: milliseconds for all weights (least of the repeats) and the ratio to one row.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "packed_matrix.h"

using namespace redraft;

int main(int argc, char** argv) {
  const size_t threads = argc > 1 ? static_cast<size_t>(std::atoi(argv[1])) : 1;
  constexpr size_t kOut = 1536, kIn = 576, kMatrices = 100;  // 88 M weights: far past any cache.
  ThreadPool pool(threads);
  std::vector<uint8_t> bytes(kOut * (kIn / 32) * 34, 17);
  std::vector<float> x(kIn, 0.5f);
  for (const WeightType type : {WeightType::Q4_1, WeightType::Q8_0}) {
    std::vector<PackedMatrix> matrices;
    for (size_t i = 0; i < kMatrices; ++i) matrices.push_back(PackedMatrix::pack({type, bytes.data(), kOut, kIn}));
    double one = 0;
    for (const size_t rows : {1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 64, 128, 256}) {
      QuantRows quantised;
      quantised.resize(rows, kIn);
      quantised.begin(rows);
      for (size_t row = 0; row < rows; ++row) quantised.quantise(row, x.data());
      std::vector<float> y(rows * kOut);
      double least = 1e9;
      for (int repeat = 0; repeat < 7; ++repeat) {
        const auto start = std::chrono::steady_clock::now();
        for (const PackedMatrix& matrix : matrices) matmul(pool, matrix, quantised, rows, y.data(), kOut);
        least = std::min(least, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      }
      if (rows == 1) one = least;
      std::printf("%d bits %3zu rows %8.2f ms  x%.2f  %.1f GMAC/s\n", matrices[0].bits(), rows, least * 1e3,
                  least / one, double(kOut) * kIn * kMatrices * double(rows) / least / 1e9);
    }
  }
}
