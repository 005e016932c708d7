#include "feed.h"

#include <algorithm>
#include <cstdlib>

#include "cell.h"

namespace fadecast {
namespace {

const char* const kNames[] = {"test_time_second", "voltage_volt", "current_ampere",
                              "surface_temperature_celsius", "surface_pressure_pa",
                              "hoop_strain_dimensionless", "cycle_count", "cell_id"};
enum Column { kTime, kVolt, kAmpere, kFirstSensor, kCount = 6, kCell };

// NaN for what is no number.
double number(const std::string& text) {
  char* stop = nullptr;
  const double value = std::strtod(text.c_str(), &stop);
  return text.empty() || *stop != '\0' ? NAN : value;
}

}  // namespace

Feed::Feed(const std::string& header) {
  for (const std::string& name : split_csv(header)) {
    const auto found = std::find(std::begin(kNames), std::end(kNames), name);
    columns_.push_back(found == std::end(kNames) ? -1 : static_cast<int>(found - kNames));
  }
  for (const int needed : {kTime, kVolt, kAmpere})
    if (std::count(columns_.begin(), columns_.end(), needed) != 1)
      throw Error(kUsage, std::string("the first line of the input must name ") + kNames[needed] +
                              " once");
  for (const int column : columns_) {
    if (column >= kFirstSensor && column < kCount)
      blank_.given[static_cast<std::size_t>(column - kFirstSensor)] = true;
    blank_.numbered |= column == kCount;
  }
}

bool Feed::parse(const std::string& line, std::string* cell_id, Row* row) const {
  const std::vector<std::string> fields = split_csv(line);
  if (fields.size() != columns_.size()) return false;
  *row = blank_;
  cell_id->clear();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    switch (columns_[i]) {
      case -1: break;
      case kTime: row->second = number(fields[i]); break;
      case kVolt: row->volt = number(fields[i]); break;
      case kAmpere: row->ampere = number(fields[i]); break;
      case kCount: row->cycle_count = number(fields[i]); break;
      case kCell: *cell_id = fields[i]; break;
      default:
        row->sensor[static_cast<std::size_t>(columns_[i] - kFirstSensor)] = number(fields[i]);
    }
  }
  return true;
}

}  // namespace fadecast
