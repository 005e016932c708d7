// From lines of CSV to rows of cells.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "screen.h"

namespace fadecast {

// Understands lines by the header that came first. Throws Error(kUsage) for a header without time,
// voltage or current.
class Feed {
 public:
  explicit Feed(const std::string& header);
  // False for a line with another number of fields. `cell_id` is empty where there is no such column.
  bool parse(const std::string& line, std::string* cell_id, Row* row) const;

 private:
  std::vector<int> columns_;  // per field what it is, -1 for what is not looked at
  Row blank_;
};

}  // namespace fadecast
