// The golden vectors: what fadecast.runtime.golden does, from golden.bin (fadecast.runtime.arrays).

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>

#include "bundle.h"

namespace fadecast {
namespace {

constexpr double kTolerance = 1e-5;

struct Array {
  char kind = 0;
  std::vector<std::uint64_t> shape;
  const std::uint8_t* data = nullptr;
  std::size_t count = 0;

  template <typename T>
  T get(std::size_t index) const {
    T value;
    std::memcpy(&value, data + index * sizeof(T), sizeof(T));
    return value;
  }
};

[[noreturn]] void refuse() { throw Error(kRefused, "the golden vectors cannot be read"); }

std::map<std::string, Array> read_arrays(const Bytes& file) {
  std::size_t at = 0;
  const auto take = [&](std::size_t size) {
    if (size > file.size() - at) refuse();
    at += size;
    return file.data() + at - size;
  };
  const auto number = [&] {
    std::uint32_t value;
    std::memcpy(&value, take(4), 4);
    return value;
  };
  if (std::memcmp(take(8), "FCARRAY1", 8) != 0) refuse();
  std::map<std::string, Array> out;
  for (std::uint32_t left = number(); left > 0; --left) {
    const std::size_t size = *take(1);
    const auto* text = reinterpret_cast<const char*>(take(size));
    Array& array = out[std::string(text, size)];
    array.kind = static_cast<char>(*take(1));
    array.count = 1;
    for (int axes = *take(1); axes > 0; --axes) {
      array.shape.push_back(number());
      if (array.shape.back() > file.size()) refuse();
      array.count *= array.shape.back();
      if (array.count > file.size()) refuse();
    }
    const std::size_t bytes = array.kind == 'q' ? 8 : array.kind == 'f' ? 4 : 1;
    array.data = take(array.count * bytes);
  }
  if (at != file.size()) refuse();
  return out;
}

struct Vectors {
  std::map<std::string, Array> arrays;

  const Array& get(const char* name, char kind, std::size_t count) const {
    const auto found = arrays.find(name);
    if (found == arrays.end() || found->second.kind != kind || found->second.count != count)
      refuse();
    return found->second;
  }
  std::size_t rows(const char* name, char kind) const {
    const auto found = arrays.find(name);
    if (found == arrays.end() || found->second.kind != kind || found->second.shape.empty())
      refuse();
    return found->second.shape[0];
  }
  Floats floats(const char* name, std::size_t count) const {
    const Array& array = get(name, 'f', count);
    Floats out(count);
    for (std::size_t i = 0; i < count; ++i) out[i] = array.get<float>(i);
    return out;
  }
};

// Absolute, or relative where the number is larger than `scale`; NaN is infinitely wrong.
double error(float found, float expected, double scale = 1.0) {
  const double size = std::max(scale, std::fabs(static_cast<double>(expected)));
  const double off = std::fabs(static_cast<double>(found) - expected) / size;
  return off <= 1e30 ? off : INFINITY;
}

}  // namespace

double Session::replay() {
  const Vectors golden{read_arrays(bundle_.golden)};
  const auto fields = static_cast<std::size_t>(bundle_.fields);
  const std::size_t samples = golden.rows("samples", 'f');
  const Floats rows = golden.floats("samples", samples * kChannels);
  const Floats flags = golden.floats("observed_samples", samples * (1 + kSensors));
  const Floats window = golden.floats("window", 3), summary = golden.floats("summary", fields);
  const Floats known = golden.floats("summary_observed", fields);
  Floats state(static_cast<std::size_t>(bundle_.summary_state)), values(fields), seen(fields);
  for (std::size_t first = 0; first < samples; first += kChunk)
    summarize(&state, &rows[first * kChannels], &flags[first * (1 + kSensors)],
              std::min<std::size_t>(kChunk, samples - first), window, &values, &seen);
  double worst = 0;
  constexpr std::size_t kPerSensor = 7, kMean = 0, kLoop = 6;  // a loop is judged by the mean's size
  for (std::size_t i = 0; i < fields; ++i) {
    const std::size_t first = fields - kSensors * kPerSensor;
    double scale = 1.0;
    if (i >= first && (i - first) % kPerSensor == kLoop)
      scale = std::max(1.0, std::fabs(static_cast<double>(summary[i - kLoop + kMean])));
    worst = std::max({worst, error(values[i], summary[i], scale), error(seen[i], known[i])});
  }

  const std::size_t cycles = golden.rows("cycle_count", 'q');
  const Array& count = golden.get("cycle_count", 'q', cycles);
  const Array& bits = golden.get("observed", 'B', cycles * ((fields + 7) / 8));
  const Floats packed = golden.floats("values", golden.rows("values", 'f'));
  const Floats design = golden.floats("design", bundle_.design_fields.size());
  const std::pair<const char*, Tensor Forecast::*> outputs[] = {
      {"rul", &Forecast::rul}, {"risk", &Forecast::risk}, {"incidence", &Forecast::incidence},
      {"soh", &Forecast::soh}, {"novelty", &Forecast::novelty},
      {"virtual", &Forecast::sensed}, {"virtual_spread", &Forecast::sensed_spread}};
  const Array& valid = golden.get("valid", 'B', cycles);
  Floats memory(static_cast<std::size_t>(bundle_.forecast_state));
  std::size_t used = 0;
  for (std::size_t row = 0; row < cycles; ++row) {
    for (std::size_t i = 0; i < fields; ++i) {
      seen[i] = bits.get<std::uint8_t>(row * ((fields + 7) / 8) + i / 8) >> (7 - i % 8) & 1;
      if (seen[i] > 0 && used == packed.size()) refuse();
      values[i] = seen[i] > 0 ? packed[used++] : 0.0f;
    }
    const std::int64_t now = count.get<std::int64_t>(row);
    const std::int64_t elapsed =
        row > 0 ? now - count.get<std::int64_t>(row - 1) : std::max<std::int64_t>(now, 1);
    const Forecast& found = step(&memory, values, seen, design, static_cast<float>(elapsed));
    for (const auto& [name, member] : outputs) {
      const Tensor& tensor = found.*member;
      const Array& wanted = golden.get(name, 'f', cycles * tensor.data.size());
      const std::size_t size = tensor.data.size(), first = row * size;
      // Quantiles of the cycles left are judged by the last of them.
      const bool lives = std::string_view(name) == "rul" && size > 0;
      const double scale = lives ? std::max(1.0f, wanted.get<float>(first + size - 1)) : 1.0;
      for (std::size_t i = 0; i < size; ++i)
        worst = std::max(worst, error(tensor.data[i], wanted.get<float>(first + i), scale));
    }
    if ((found.valid.data[0] > 0.5f) != (valid.get<std::uint8_t>(row) != 0)) worst = INFINITY;
  }
  if (used != packed.size()) refuse();
  if (!(worst <= kTolerance))
    throw Error(kRefused, "the golden vectors are off by more than 1e-5 on this machine");
  return worst;
}

}  // namespace fadecast
