// Which rows become samples: the rules of fadecast.cell.samples and fadecast.cell.faults.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "bundle.h"

namespace fadecast {

// What a line of input says; NaN where it says nothing.
struct Row {
  double second = NAN, volt = NAN, ampere = NAN;
  std::array<double, kSensors> sensor{NAN, NAN, NAN};
  std::array<bool, kSensors> given{};  // whether the input has such a column at all
  double cycle_count = NAN;
  bool numbered = false;
};

struct Sample {
  std::array<float, kChannels> values{};
  std::array<float, 1 + kSensors> observed{};
};

enum RowFault { kUnusable, kLate, kLeaping, kSpiking, kStuck, kRowFaults };

// What is remembered of the rows before, and how many were not used.
struct Screen {
  double last_second = NAN, first_second = NAN, latest_second = NAN, leapt_second = NAN;
  double discharged_second = 0;
  std::array<double, 1 + kSensors> reading{NAN, NAN, NAN, NAN};
  std::array<double, 1 + kSensors> changed_second{};
  std::array<std::int64_t, kRowFaults> dropped{};
  std::array<std::int64_t, kSensors> masked{};
  std::int64_t gaps = 0;

  std::int64_t unused() const {
    std::int64_t total = 0;
    for (const std::int64_t count : dropped) total += count;
    return total;
  }

  // False if the row is dropped.
  bool admit(const Row& row, Sample* sample);

 private:
  enum Verdict { kGood, kSpike, kStill };
  enum Time { kLater, kNotLater, kLeap };
  Time clock(double second);
  Verdict watch(std::size_t channel, double reading, double interval);
};

}  // namespace fadecast
