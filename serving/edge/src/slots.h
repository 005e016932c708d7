// State that survives a power cut: two slots written in turn, each with a checksum.
#pragma once

#include <optional>
#include <string>

#include "bytes.h"

namespace fadecast {

// The two slots of one cell, `FOLDER/CELL.0` and `FOLDER/CELL.1`. A write goes to the slot that is
// not the latest and is on the disk before it returns, so a cut at any moment leaves the other one.
class Slots {
 public:
  // `owner` tells states of one bundle from those of another; they are never mixed.
  Slots(const std::string& folder, const std::string& name, Bytes owner);

  // The latest whole state; none if there never was one. Throws Error(kRefused) if a whole state
  // belongs to another owner, or if there was one and none is left.
  std::optional<Bytes> load();
  // Throws Error(kNoSpace).
  void save(const Bytes& state);

 private:
  std::string path(std::uint64_t sequence) const;

  std::string folder_, name_;
  Bytes owner_;
  std::uint64_t sequence_ = 0;
};

}  // namespace fadecast
