// From lines of CSV to rows of cells.
#pragma once

#include <string>
#include <vector>

#include "screen.h"

namespace fadecast {

// Understands lines by the header that came first.
class Feed {
 public:
  // Throws Error(kUsage) for a header without time, voltage or current, or with a name misspelt.
  explicit Feed(const std::string& header);

  // Whether a line names a column that is known, and so is a header, a good one or not.
  static bool is_header(const std::string& line);

  bool names_cells() const { return names_cells_; }
  bool numbered() const { return blank_.numbered; }
  // The columns that are not looked at, for a message.
  const std::string& unread() const { return unread_; }

  // Whether the header came again, as from a writer that started anew. Throws Error(kUsage) for
  // another header.
  bool again(const std::string& line) const;
  // False for a line with another number of fields. `cell_id` is empty where there is no such column.
  bool parse(const std::string& line, std::string* cell_id, Row* row) const;

 private:
  std::vector<std::string> header_;
  std::vector<int> columns_;  // per field what it is, -1 for what is not looked at
  std::string unread_;
  bool names_cells_ = false;
  Row blank_;
};

}  // namespace fadecast
