// A bundle folder: verified, opened, and proven by its golden vectors.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "json.h"
#include "ort.h"

namespace fadecast {

constexpr int kChannels = 6;  // duration s, voltage V, current A, temperature °C, pressure Pa, strain
constexpr int kSensors = 3;   // temperature, pressure, strain
constexpr int kChunk = 64;    // samples folded at a time, as the Python runtime does

// What a bundle says of itself, checked against what this program knows.
struct Bundle {
  std::string folder;
  std::array<std::uint8_t, 32> fingerprint{};
  Bytes summarize, forecast, golden;
  std::vector<std::string> design_fields, forecast_names;
  // The virtual sensors that the network was taught: names of their columns, place in the output.
  std::vector<std::pair<std::string, std::size_t>> sensors;
  double charge_rate = 0, gap_second = 0, first_cycle = 0;
  std::int64_t fields = 0, summary_state = 0, forecast_state = 0, discharge_field = 0;
  std::vector<std::int64_t> rul, risk, incidence, sensed;  // shapes with a batch of one
};

// Whom a bundle must come from; an empty key allows unsigned bundles.
struct Trust {
  Bytes key;
};

// The 32 bytes of an Ed25519 public key in a PEM file. Throws Error(kUsage).
Bytes read_public_key(const std::string& path);

// Read and verify. Throws Error(kRefused) with the reason.
Bundle open_bundle(const std::string& folder, const Trust& trust);

// Result of forecast.onnx for one cell.
struct Forecast {
  Tensor rul, risk, incidence, soh, novelty, valid, sensed, sensed_spread;
  explicit Forecast(const Bundle& bundle);
};

// Both graphs with the buffers of one call; holds no state of any cell.
class Session {
 public:
  Session(const Runtime& runtime, const Bundle& bundle);

  const Bundle& bundle() const { return bundle_; }
  // Fold `count` samples (kChannels values and 1 + kSensors flags each) into `state`; `values` and
  // `observed` get the summary so far.
  void summarize(Floats* state, const float* samples, const float* observed, std::size_t count,
                 const Floats& window, Floats* values, Floats* seen);
  // One cycle: `state` is replaced.
  const Forecast& step(Floats* state, const Floats& values, const Floats& observed,
                       const Floats& design, float elapsed);
  // Replays the golden vectors; throws Error(kRefused) where an answer is off by more than 1e-5.
  double replay();

 private:
  const Bundle& bundle_;
  Graph summarize_, forecast_;
  Tensor summary_state_, summary_out_, window_, values_, observed_;
  Tensor state_, state_out_, design_, elapsed_;
  Forecast result_;
};

}  // namespace fadecast
