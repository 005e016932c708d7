#include "cell.h"

#include <algorithm>
#include <cstring>

namespace fadecast {
namespace {

constexpr std::int64_t kNone = -1;
constexpr double kMostCycles = 1e7;
constexpr std::int64_t kLeapCycles = 1000;  // fadecast.cell.faults

struct Writer {
  Bytes out;
  void raw(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    out.insert(out.end(), bytes, bytes + size);
  }
  template <typename T>
  void number(T& value) {
    raw(&value, sizeof value);
  }
  void floats(Floats& values) {
    auto count = static_cast<std::uint32_t>(values.size());
    number(count);
    raw(values.data(), count * sizeof(float));
  }
};

struct Reader {
  const Bytes& in;
  std::size_t at = 0;
  bool good = true;
  void raw(void* data, std::size_t size) {
    good = good && size <= in.size() - at;
    if (!good || size == 0) return;
    std::memcpy(data, in.data() + at, size);
    at += size;
  }
  template <typename T>
  void number(T& value) {
    raw(&value, sizeof value);
  }
  void floats(Floats& values) {
    std::uint32_t count = 0;
    number(count);
    good = good && count <= (in.size() - at) / sizeof(float);
    values.assign(good ? count : 0, 0.0f);
    raw(values.data(), values.size() * sizeof(float));
    for (const float value : values) good = good && std::isfinite(value);
  }
};

}  // namespace

Cell::Cell(Spec spec, Session* session)
    : spec_(std::move(spec)), session_(session),
      summary_(static_cast<std::size_t>(session->bundle().summary_state)),
      memory_(static_cast<std::size_t>(session->bundle().forecast_state)) {}

const Forecast* Cell::push(const Row& row) {
  Sample sample;
  if (!screen_.admit(row, &sample)) return nullptr;
  const std::int64_t cycle = number(row, sample);
  const Forecast* forecast = nullptr;
  if (open_cycle_ != kNone && open_cycle_ != cycle) forecast = finish();
  open_cycle_ = cycle;
  waiting_.insert(waiting_.end(), sample.values.begin(), sample.values.end());
  waiting_observed_.insert(waiting_observed_.end(), sample.observed.begin(), sample.observed.end());
  if (waiting_.size() == kChunk * kChannels) fold();
  return forecast;
}

const Forecast* Cell::close() {
  if (open_cycle_ == kNone) return nullptr;
  const Forecast* forecast = finish();
  count_ += 1;
  began_ah_ = discharged_ah_;
  return forecast;
}

// The cycle of a sample.
std::int64_t Cell::number(const Row& row, const Sample& sample) {
  const Bundle& bundle = session_->bundle();
  if (numbered_ < 0) {
    numbered_ = row.numbered;
    if (!row.numbered) count_ = std::max(count_, static_cast<std::int64_t>(bundle.first_cycle));
  }
  if (numbered_) {
    if (row.cycle_count >= 0 && row.cycle_count <= kMostCycles) {
      const auto count = static_cast<std::int64_t>(row.cycle_count);
      if (believes(count)) count_ = std::max(count_, count);
    }
    return count_;
  }
  const double current = sample.values[2], duration = sample.values[0];
  if (discharged_ah_ >= began_ah_ + spec_.nominal_capacity_ah &&
      current > bundle.charge_rate * spec_.nominal_capacity_ah) {
    count_ += 1;
    began_ah_ = discharged_ah_;
  }
  const double drain = std::max(-current, 0.0), before = std::max(-current_ampere_, 0.0);
  if (duration <= bundle.gap_second) discharged_ah_ += 0.5 * (drain + before) * duration / 3600.0;
  current_ampere_ = current;
  return count_;
}

// Whether a recorded number does not leap, or confirms the leap before it.
bool Cell::believes(std::int64_t count) {
  const bool agrees = leapt_ > 0 && count >= leapt_ && count <= leapt_ + kLeapCycles;
  const bool believed = given_ == 0 || agrees || count <= count_ + kLeapCycles;
  given_ = 1;
  leapt_ = believed ? 0 : count;
  return believed;
}

void Cell::fold() {
  session_->summarize(&summary_, waiting_.data(), waiting_observed_.data(),
                      waiting_.size() / kChannels, spec_.window, &values_, &observed_);
  waiting_.clear();
  waiting_observed_.clear();
}

const Forecast* Cell::finish() {
  if (!waiting_.empty()) fold();
  const std::int64_t elapsed = last_cycle_ == kNone ? std::max<std::int64_t>(open_cycle_, 1)
                                                    : open_cycle_ - last_cycle_;
  const Forecast& forecast =
      session_->step(&memory_, values_, observed_, spec_.design, static_cast<float>(elapsed));
  last_cycle_ = open_cycle_;
  open_cycle_ = kNone;
  std::fill(summary_.begin(), summary_.end(), 0.0f);
  return &forecast;
}

// All that is carried, in the order in which it is saved.
template <typename Visitor>
void Cell::visit(Visitor* visitor) {
  for (Floats* values : {&spec_.window, &spec_.design}) visitor->floats(*values);
  visitor->number(screen_);
  for (std::int64_t* value :
       {&count_, &numbered_, &given_, &leapt_, &open_cycle_, &last_cycle_})
    visitor->number(*value);
  for (double* value : {&discharged_ah_, &began_ah_, &current_ampere_}) visitor->number(*value);
  for (Floats* values : {&waiting_, &waiting_observed_, &summary_, &values_, &observed_, &memory_})
    visitor->floats(*values);
}

Bytes Cell::save() const {
  Writer writer;
  const_cast<Cell*>(this)->visit(&writer);
  return writer.out;
}

bool Cell::restore(const Bytes& saved) {
  Cell other(spec_, session_);
  Reader reader{saved};
  other.visit(&reader);
  const std::size_t waiting = other.waiting_.size() / kChannels;
  const bool fits = reader.good && reader.at == saved.size() &&
                    other.spec_.window == spec_.window && other.spec_.design == spec_.design &&
                    waiting < kChunk && other.waiting_.size() == waiting * kChannels &&
                    other.waiting_observed_.size() == waiting * (1 + kSensors) &&
                    other.summary_.size() == summary_.size() &&
                    other.memory_.size() == memory_.size() &&
                    other.values_.size() == other.observed_.size() &&
                    (other.values_.empty() ||
                     other.values_.size() == static_cast<std::size_t>(session_->bundle().fields)) &&
                    (other.open_cycle_ == kNone || waiting > 0 || !other.values_.empty()) &&
                    std::isfinite(other.discharged_ah_) && std::isfinite(other.began_ah_);
  if (fits) *this = other;
  return fits;
}

}  // namespace fadecast
