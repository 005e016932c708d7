#include "screen.h"

#include <algorithm>

namespace fadecast {
namespace {

struct Range {
  double low, high;
  bool holds(double x) const { return x >= low && x <= high; }  // false for NaN
};

// fadecast.cell.columns
constexpr Range kSecond{0, 3.2e9}, kVolt{-10, 10}, kAmpere{-2000, 2000};
constexpr Range kSensor[kSensors] = {{-60, 250}, {0, 1e9}, {-0.2, 0.2}};
// fadecast.cell.faults
constexpr double kSpikeSecond = 30, kStuckSecond = 6 * 3600.0, kGapSecond = 3600;
constexpr double kLeapSecond = 30 * 86400.0;
constexpr double kJump[1 + kSensors] = {1.0, 20.0, 2e6, 5e-3};

}  // namespace

Screen::Time Screen::clock(double second) {
  const double leapt = leapt_second;
  leapt_second = NAN;
  if (std::isnan(latest_second)) first_second = second;
  const bool alone = latest_second == first_second;  // false for NaN, as all below is
  const bool agrees = second - leapt > 0 && second - leapt <= kLeapSecond;
  if (!agrees) {
    if (second - latest_second > kLeapSecond || (alone && latest_second - second > kLeapSecond)) {
      leapt_second = second;
      return kLeap;
    }
    if (second <= latest_second) return kNotLater;
  }
  latest_second = second;
  return kLater;
}

Screen::Verdict Screen::watch(std::size_t channel, double value, double interval) {
  const double before = reading[channel];
  if (value != before) changed_second[channel] = discharged_second;  // true for NaN
  reading[channel] = value;
  if (std::fabs(value - before) > kJump[channel] && interval <= kSpikeSecond) return kSpike;
  return discharged_second - changed_second[channel] >= kStuckSecond ? kStill : kGood;
}

bool Screen::admit(const Row& row, Sample* sample) {
  const auto drop = [this](RowFault fault) { return ++dropped[fault], false; };
  if (!kSecond.holds(row.second) || !kVolt.holds(row.volt) || !kAmpere.holds(row.ampere))
    return drop(kUnusable);
  const double before = std::isnan(latest_second) ? row.second : latest_second;
  const Time time = clock(row.second);
  if (time != kLater) return drop(time == kLeap ? kLeaping : kLate);
  // 0 after a first time that was wrong
  const double interval = std::max(row.second - before, 0.0);
  if (row.ampere < 0 && interval <= kGapSecond) discharged_second += interval;
  const Verdict volt = watch(0, row.volt, interval);
  if (volt != kGood) return drop(volt == kSpike ? kSpiking : kStuck);

  const double duration = std::isnan(last_second) ? 0.0 : std::max(row.second - last_second, 0.0);
  last_second = row.second;
  gaps += duration > kGapSecond;
  *sample = Sample();
  sample->values[0] = static_cast<float>(duration);
  sample->values[1] = static_cast<float>(row.volt);
  sample->values[2] = static_cast<float>(row.ampere);
  sample->observed[0] = 1;
  for (std::size_t i = 0; i < kSensors; ++i) {
    if (!row.given[i]) continue;
    if (kSensor[i].holds(row.sensor[i]) && watch(i + 1, row.sensor[i], interval) == kGood) {
      sample->values[3 + i] = static_cast<float>(row.sensor[i]);
      sample->observed[1 + i] = 1;
    } else {
      ++masked[i];
    }
  }
  return true;
}

}  // namespace fadecast
