#include "feed.h"

#include <algorithm>

#include "csv.h"

namespace fadecast {
namespace {

const std::vector<std::string> kNames = {
    "test_time_second", "voltage_volt", "current_ampere", "surface_temperature_celsius",
    "surface_pressure_pa", "hoop_strain_dimensionless", "cycle_count", "cell_id"};
enum Column { kTime, kVolt, kAmpere, kFirstSensor, kCount = 6, kCell };

}  // namespace

Feed::Feed(const std::string& header)
    : header_(split_csv(header)), unread_(unread_columns(header_, kNames)) {
  for (const std::string& name : header_) {
    const auto found = std::find(kNames.begin(), kNames.end(), name);
    columns_.push_back(found == kNames.end() ? -1 : static_cast<int>(found - kNames.begin()));
  }
  for (const int needed : {kTime, kVolt, kAmpere})
    if (std::count(columns_.begin(), columns_.end(), needed) != 1)
      throw Error(kUsage, "the first line of the input must name " +
                              kNames[static_cast<std::size_t>(needed)]);
  for (const int column : columns_) {
    if (column >= kFirstSensor && column < kCount)
      blank_.given[static_cast<std::size_t>(column - kFirstSensor)] = true;
    blank_.numbered |= column == kCount;
    names_cells_ |= column == kCell;
  }
}

bool Feed::is_header(const std::string& line) {
  const std::vector<std::string> fields = split_csv(line);
  return std::find_first_of(fields.begin(), fields.end(), kNames.begin(), kNames.end()) !=
         fields.end();
}

bool Feed::again(const std::string& line) const {
  if (line.find(kNames[kTime]) == std::string::npos) return false;
  const std::vector<std::string> fields = split_csv(line);
  if (std::find(fields.begin(), fields.end(), kNames[kTime]) == fields.end()) return false;
  if (fields != header_) throw Error(kUsage, "another header came in the middle of the input");
  return true;
}

bool Feed::parse(const std::string& line, std::string* cell_id, Row* row) const {
  const std::vector<std::string> fields = split_csv(line);
  if (fields.size() != columns_.size()) return false;
  *row = blank_;
  cell_id->clear();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    switch (columns_[i]) {
      case -1: break;
      case kTime: row->second = to_number(fields[i]); break;
      case kVolt: row->volt = to_number(fields[i]); break;
      case kAmpere: row->ampere = to_number(fields[i]); break;
      case kCount: row->cycle_count = to_number(fields[i]); break;
      case kCell: *cell_id = fields[i]; break;
      default:
        row->sensor[static_cast<std::size_t>(columns_[i] - kFirstSensor)] = to_number(fields[i]);
    }
  }
  return true;
}

}  // namespace fadecast
