// fadecast-edge: samples in, a forecast after every cycle. See README.md.

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "cell.h"
#include "feed.h"
#include "lines.h"
#include "slots.h"
#include "watchdog.h"

namespace fadecast {
namespace {

volatile sig_atomic_t g_stop = 0;

struct Options {
  std::string bundle, cells, key, library = "libonnxruntime.so", state, input;
  std::size_t most_cells = 256;
  bool allow_unsigned = false, close = false, verify = false, timing = false, steps = false;
};

constexpr char kHelp[] =
    "usage: fadecast-edge BUNDLE (--key PUBLIC.pem | --allow-unsigned) [options]\n"
    "  --cells FILE    table of cell designs (CSV); needed but for --verify\n"
    "  --runtime LIB   onnxruntime's shared library (default: libonnxruntime.so)\n"
    "  --input FILE    samples as CSV, or a named pipe (default: standard input)\n"
    "  --state DIR     keep state here, in two slots a cell\n"
    "  --max-cells N   refuse larger tables (default: 256)\n"
    "  --close         at the end of the input, end the open cycles too\n"
    "  --verify        check the bundle, replay its golden vectors, and exit\n"
    "  --timing        say on standard error how long each part of the start took\n"
    "  --steps         with --verify: the median time of a step, on standard error\n"
    "exit codes: 0 done, 64 usage, 65 refused, 69 no onnxruntime, 73 state not written, 74 input or\n"
    "output broken, 75 limit\n";

Options parse(int count, char** words) {
  Options out;
  const std::map<std::string, std::string*> texts = {
      {"--cells", &out.cells}, {"--key", &out.key}, {"--runtime", &out.library},
      {"--input", &out.input}, {"--state", &out.state}};
  const std::map<std::string, bool*> flags = {{"--allow-unsigned", &out.allow_unsigned},
                                              {"--close", &out.close},
                                              {"--verify", &out.verify},
                                              {"--timing", &out.timing},
                                              {"--steps", &out.steps}};
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (flags.count(word)) {
      *flags.at(word) = true;
    } else if ((texts.count(word) || word == "--max-cells") && i + 1 < count) {
      const std::string value = words[++i];
      if (word != "--max-cells")
        *texts.at(word) = value;
      else if (value.empty() || value.size() > 9 ||
               value.find_first_not_of("0123456789") != std::string::npos)
        throw Error(kUsage, "--max-cells takes a number, not '" + value + "'");
      else
        out.most_cells = std::stoul(value);
    } else if (word[0] != '-' && out.bundle.empty()) {
      out.bundle = word;
    } else {
      throw Error(kUsage, "cannot make sense of " + word + "\n" + kHelp);
    }
  }
  if (out.bundle.empty() || (out.cells.empty() && !out.verify)) throw Error(kUsage, kHelp);
  if (out.key.empty() != out.allow_unsigned)
    throw Error(kUsage, "say whom to trust: --key PUBLIC.pem, or --allow-unsigned");
  return out;
}

// Written as a whole, or the program ends: a forecast that nobody hears of is no forecast.
void say(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw Error(kBroken, std::string("standard output cannot be written: ") + std::strerror(errno));
}

void print(const Cell& cell, const Forecast& forecast, const Bundle& bundle) {
  std::string line = "{\"cell_id\": \"" + cell.spec().cell_id + "\", \"cycle_count\": " +
                     std::to_string(cell.last_cycle());
  auto name = bundle.forecast_names.begin();
  char text[64];
  const auto add = [&](const std::string& column, float value) {
    std::snprintf(text, sizeof text, std::isfinite(value) ? "%.9g" : "null",
                  static_cast<double>(value));
    line += ", \"" + column + "\": " + text;
  };
  for (const float value : forecast.rul.data) add(*name++, value);
  for (const float value : forecast.risk.data) add(*name++, value);
  add(*name++, forecast.soh.data[0]);
  add(*name++, forecast.novelty.data[0]);
  line += ", \"" + *name + "\": ";
  line += forecast.valid.data[0] > 0.5f ? "true" : "false";
  for (const auto& [column, place] : bundle.sensors) {
    add(column, forecast.sensed.data[place]);
    add(column + "_std", forecast.sensed_spread.data[place]);
  }
  const Screen& screen = cell.screen();
  const std::pair<const char*, std::int64_t> counts[] = {
      {"unusable", screen.dropped[kUnusable]},  {"late", screen.dropped[kLate]},
      {"leaping", screen.dropped[kLeaping]},    {"spiking", screen.dropped[kSpiking]},
      {"stuck", screen.dropped[kStuck]},        {"masked_temperature", screen.masked[0]},
      {"masked_pressure", screen.masked[1]},    {"masked_strain", screen.masked[2]},
      {"gaps", screen.gaps}};
  line += ", \"faults\": {";
  for (const auto& [what, count] : counts)
    line += std::string(what == counts[0].first ? "\"" : ", \"") + what + "\": " +
            std::to_string(count);
  say(line + "}}\n");
}

struct Lane {
  Cell cell;
  Slots slots;
  int idle = 0;  // rows in a row that were not used
};

constexpr int kMostIdle = 1000;

// The loop: one line at a time until the input ends or a signal comes.
class Program {
 public:
  Program(const Options& options, Session* session) : options_(options), session_(*session) {
    const Bundle& bundle = session->bundle();
    const Bytes owner(bundle.fingerprint.begin(), bundle.fingerprint.end());
    for (Spec& spec : read_specs(options.cells, bundle, options.most_cells)) {
      const std::string name = spec.cell_id;
      Lane lane{Cell(std::move(spec), session), Slots(options.state, name, owner)};
      if (!options.state.empty()) restore(&lane);
      lanes_.emplace(name, std::move(lane));
    }
  }

  // With `joins` the input may have begun before the program: it waits for a header.
  void run(int file, bool joins) {
    joins_ = joins;
    Lines lines(file);
    std::string line;
    watchdog_.ready();
    for (auto result = lines.next(&line); result != Lines::kEnd && !g_stop;
         result = lines.next(&line)) {
      watchdog_.alive();
      if (result == Lines::kTooLong) ++malformed_;
      if (result == Lines::kLine) take(line);
    }
    for (auto& [name, lane] : lanes_) {
      const Forecast* forecast = options_.close && !g_stop ? lane.cell.close() : nullptr;
      keep(&lane);
      tell(&lane, forecast);
    }
    if (malformed_ + strangers_ > 0)
      std::fprintf(stderr, "fadecast-edge: %" PRIu64 " lines malformed, %" PRIu64
                           " of unknown cells\n", malformed_, strangers_);
  }

 private:
  void restore(Lane* lane) {
    const auto saved = lane->slots.load();
    if (!saved) return;
    if (!lane->cell.restore(*saved))
      throw Error(kRefused, "the state of " + lane->cell.spec().cell_id + " is of another design");
  }

  void begin(const std::string& header) {
    feed_ = std::make_unique<Feed>(header);
    if (!feed_->unread().empty())
      std::fprintf(stderr, "fadecast-edge: of the input not read: %s\n", feed_->unread().c_str());
    if (!feed_->names_cells() && lanes_.size() > 1)
      throw Error(kUsage, "the first line of the input must name cell_id: there are several cells");
    for (const auto& [name, lane] : lanes_)
      if (!lane.cell.takes(feed_->numbered()))
        throw Error(kUsage, "cycle_count is in some rows of " + name + " and not in others");
  }

  void take(const std::string& line) {
    if (!feed_ && joins_ && !Feed::is_header(line)) {
      if (!waited_)
        std::fprintf(stderr, "fadecast-edge: lines before the header are passed over\n");
      waited_ = true;
      ++malformed_;
      return;
    }
    if (!feed_) return begin(line);
    if (feed_->again(line)) return;
    std::string cell_id;
    Row row;
    if (!feed_->parse(line, &cell_id, &row)) {
      ++malformed_;
      return;
    }
    const auto found = cell_id.empty() && lanes_.size() == 1 ? lanes_.begin() : lanes_.find(cell_id);
    if (found == lanes_.end()) {
      ++strangers_;
      return;
    }
    Lane& lane = found->second;
    const std::int64_t unused = lane.cell.screen().unused();
    const Forecast* forecast = lane.cell.push(row);
    lane.idle = lane.cell.screen().unused() > unused ? lane.idle + 1 : 0;
    if (lane.idle == kMostIdle)  // no cycle closes, so no forecast would tell
      std::fprintf(stderr, "fadecast-edge: the last %d rows of %s were not used; its latest time "
                           "is %.0f s\n", kMostIdle, found->first.c_str(),
                   lane.cell.screen().latest_second);
    // The state is safe before anyone hears of the forecast.
    if (forecast != nullptr) keep(&lane), tell(&lane, forecast);
  }

  void keep(Lane* lane) {
    if (!options_.state.empty()) lane->slots.save(lane->cell.save());
  }

  void tell(Lane* lane, const Forecast* forecast) {
    if (forecast != nullptr) print(lane->cell, *forecast, session_.bundle());
  }

  const Options& options_;
  const Session& session_;
  std::map<std::string, Lane> lanes_;
  std::unique_ptr<Feed> feed_;
  Watchdog watchdog_;
  bool joins_ = false, waited_ = false;
  std::uint64_t malformed_ = 0, strangers_ = 0;
};

void time_steps(Session* session) {
  const Bundle& bundle = session->bundle();
  Floats state(static_cast<std::size_t>(bundle.forecast_state));
  const Floats values(static_cast<std::size_t>(bundle.fields), 1.0f);
  const Floats design(bundle.design_fields.size(), 1.0f);
  std::vector<double> took(2000);
  for (double& one : took) {
    const auto began = std::chrono::steady_clock::now();
    session->step(&state, values, values, design, 1.0f);
    one = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - began).count();
  }
  std::nth_element(took.begin(), took.begin() + 1000, took.end());
  std::fprintf(stderr, "step %.2f us\n", took[1000]);
}

void on_signal(int) { g_stop = 1; }

// A named pipe is opened for writing too: so it waits for no writer, and does not end with one.
int open_input(const std::string& path, bool* is_pipe) {
  struct stat about {};
  const bool there = stat(path.c_str(), &about) == 0 && !S_ISDIR(about.st_mode);
  *is_pipe = there && S_ISFIFO(about.st_mode);
  const int way = *is_pipe ? O_RDWR : O_RDONLY;
  const int file = there ? open(path.c_str(), way | O_CLOEXEC) : -1;
  if (file < 0) throw Error(kUsage, path + " cannot be read");
  return file;
}

void start_and_run(const Options& options) {
  using Clock = std::chrono::steady_clock;
  auto began = Clock::now();
  const auto lap = [&](const char* part) {
    const std::chrono::duration<double, std::milli> took = Clock::now() - began;
    if (options.timing) std::fprintf(stderr, "%s %.2f ms\n", part, took.count());
    began = Clock::now();
  };
  Trust trust;
  if (!options.key.empty()) trust.key = read_public_key(options.key);
  const Bundle bundle = open_bundle(options.bundle, trust);
  lap("verify");
  const Runtime runtime(options.library);
  lap("runtime");
  Session session(runtime, bundle);
  lap("graphs");
  const double worst = session.replay();
  lap("golden");
  if (options.verify) {
    if (options.steps) time_steps(&session);
    char text[64];
    std::snprintf(text, sizeof text, "verified, golden vectors within %.2g, onnxruntime ", worst);
    return say(text + runtime.version() + "\n");
  }
  Program program(options, &session);
  bool joins = false;
  const int file = options.input.empty() ? STDIN_FILENO : open_input(options.input, &joins);
  program.run(file, joins);
}

}  // namespace
}  // namespace fadecast

int main(int count, char** words) {
  struct sigaction action {};
  action.sa_handler = fadecast::on_signal;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);  // what cannot be told is an error of its own
  try {
    fadecast::start_and_run(fadecast::parse(count, words));
    return fadecast::kDone;
  } catch (const fadecast::Error& error) {
    std::fprintf(stderr, "fadecast-edge: %s\n", error.what());
    return error.code;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fadecast-edge: %s\n", error.what());
    return fadecast::kTooMuch;
  }
}
