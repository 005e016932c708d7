// One cell as it lives: rows in, a forecast out at every cycle's end.
#pragma once

#include <string>
#include <vector>

#include "screen.h"

namespace fadecast {

// The declared design of a cell.
struct Spec {
  std::string cell_id;
  double nominal_capacity_ah = 0;
  Floats window;  // Ah, V, V
  Floats design;  // as fadecast.cell.design.encode_design
};

// The table of cells (CSV, as for `fadecast stream --cells`). Throws Error(kUsage).
std::vector<Spec> read_specs(const std::string& path, const Bundle& bundle, std::size_t most);

class Cell {
 public:
  Cell(Spec spec, Session* session);

  const Spec& spec() const { return spec_; }
  const Screen& screen() const { return screen_; }
  std::int64_t last_cycle() const { return last_cycle_; }
  // Whether rows that were pushed may be followed by rows with, or without, a cycle number.
  bool takes(bool numbered) const { return numbered_ < 0 || numbered_ == std::int64_t{numbered}; }

  // The next row; the forecast of the cycle that it closed, or null. The forecast is overwritten by
  // the next call of any cell of the session.
  const Forecast* push(const Row& row);
  // End the open cycle, if there is one.
  const Forecast* close();

  Bytes save() const;
  // False if the bytes are not of such a cell.
  bool restore(const Bytes& saved);

 private:
  std::int64_t number(const Row& row, const Sample& sample);
  bool believes(std::int64_t count);
  void fold();
  const Forecast* finish();

  template <typename Visitor>
  void visit(Visitor* visitor);

  Spec spec_;
  Session* session_;
  Screen screen_;
  // The counter: fadecast.cell.cycles.CycleCounter.
  std::int64_t count_ = 0, numbered_ = -1, given_ = 0, leapt_ = 0;
  double discharged_ah_ = 0, began_ah_ = 0, current_ampere_ = 0;
  // The open cycle: samples that wait to be folded, and the state before them.
  std::int64_t open_cycle_ = -1, last_cycle_ = -1;
  Floats waiting_, waiting_observed_, summary_, values_, observed_;
  Floats memory_;
};

}  // namespace fadecast
