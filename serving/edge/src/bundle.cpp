#include "bundle.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "audit.h"
#include "ed25519.h"
#include "hash.h"

namespace fadecast {
namespace {

constexpr int kVersion = 4;
constexpr std::size_t kLargest = 16u << 20;
constexpr double kMostNumbers = 1e6;  // of one input or output
constexpr const char* kFiles[] = {"summarize.onnx", "forecast.onnx", "golden.bin", "MODEL_CARD.md"};
constexpr const char* kSensorNames[] = {"surface_temperature_celsius", "surface_pressure_pa",
                                        "hoop_strain_dimensionless"};
const std::vector<std::string> kOutputs = {"state_out", "rul",   "risk",    "incidence",     "soh",
                                           "novelty",   "valid", "virtual", "virtual_spread"};

[[noreturn]] void refuse(const std::string& what) { throw Error(kRefused, what); }

std::vector<std::string> names(const Json& list) {
  std::vector<std::string> out;
  for (const Json& entry : list.as_list())
    out.push_back(entry.kind == Json::kList ? entry.list.at(0).as_text() : entry.as_text());
  return out;
}

// The same with units: "name unit".
std::vector<std::string> units(const Json& list) {
  std::vector<std::string> out = names(list);
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] += " " + list.as_list()[i].as_list().at(1).as_text();
  return out;
}

// A file of the folder itself; a link may not lead out of it.
Bytes read_inside(const std::string& folder, const std::string& name, std::size_t limit) {
  const std::string path = folder + "/" + name;
  const auto real = [](const std::string& place) {
    const std::unique_ptr<char, void (*)(void*)> found(realpath(place.c_str(), nullptr), std::free);
    return found ? std::string(found.get()) : std::string();
  };
  const std::string inside = real(folder), file = real(path);
  struct stat about {};
  if (file.empty() || stat(file.c_str(), &about) != 0) refuse(path + " cannot be read");
  if (file.compare(0, inside.size() + 1, inside + "/") != 0) refuse(path + " leads out of the bundle");
  if (!S_ISREG(about.st_mode)) refuse(path + " is no file");
  return read_file(file, limit, kRefused);
}

// A declared shape with a batch of one and `time` samples.
std::vector<std::int64_t> shape(const Json& graph, const char* way, std::size_t index) {
  const auto& all = graph.at(way).as_list();
  if (index >= all.size()) refuse("a graph has too few inputs or outputs");
  const auto& entry = all[index].as_list();
  if (entry.size() != 3) refuse("a graph is declared otherwise");
  std::vector<std::int64_t> out;
  double total = 1;
  for (const Json& size : entry[1].as_list()) {
    const double number = size.kind == Json::kText ? 1 : size.as_number();
    total *= number;
    if (!(number >= 1 && total <= kMostNumbers)) refuse("a graph has an impossible shape");
    out.push_back(static_cast<std::int64_t>(number));
  }
  return out;
}

void expect(const std::vector<std::string>& found, const std::vector<std::string>& wanted,
            const char* what) {
  if (found != wanted) refuse(std::string(what) + " are not those of this program");
}

void verify_files(const Json& manifest, Bundle* bundle) {
  const Json& files = manifest.at("files");
  if (files.table.size() != std::size(kFiles)) refuse("the manifest lists other files");
  Bytes* kept[] = {&bundle->summarize, &bundle->forecast, &bundle->golden, nullptr};
  for (std::size_t i = 0; i < std::size(kFiles); ++i) {
    const std::string& wanted = files.at(kFiles[i]).as_text();
    Bytes data = read_inside(bundle->folder, kFiles[i], kLargest);
    const auto found = sha256(data.data(), data.size());
    if (hex(found.data(), found.size()) != wanted)
      refuse(std::string(kFiles[i]) + " does not match its recorded hash");
    if (i < 2) {
      const std::string reason = audit(data);
      if (!reason.empty()) refuse(std::string(kFiles[i]) + ": " + reason);
    }
    if (kept[i] != nullptr) *kept[i] = std::move(data);
  }
}

void read_shapes(const Json& manifest, Bundle* bundle) {
  const Json& summarize = manifest.at("graphs").at("summarize.onnx");
  const Json& forecast = manifest.at("graphs").at("forecast.onnx");
  expect(names(summarize.at("inputs")), {"state", "samples", "observed", "window"}, "inputs");
  expect(names(summarize.at("outputs")), {"state_out", "values", "observed_out"}, "outputs");
  expect(names(forecast.at("inputs")), {"state", "values", "observed", "design", "elapsed"},
         "inputs");
  expect(names(forecast.at("outputs")), kOutputs, "outputs");
  bundle->summary_state = shape(summarize, "inputs", 0).at(1);
  bundle->forecast_state = shape(forecast, "inputs", 0).at(1);
  bundle->fields = shape(summarize, "outputs", 1).at(1);
  bundle->rul = shape(forecast, "outputs", 1);
  bundle->risk = shape(forecast, "outputs", 2);
  bundle->incidence = shape(forecast, "outputs", 3);
  bundle->sensed = shape(forecast, "outputs", 7);
}

void read_tables(const Json& tables, Bundle* bundle) {
  std::vector<std::string> sensors(std::begin(kSensorNames), std::end(kSensorNames));
  expect(units(tables.at("channels")),
         {"duration_second s", "voltage_volt V", "current_ampere A",
          "surface_temperature_celsius °C", "surface_pressure_pa Pa", "hoop_strain_dimensionless 1"},
         "channels");
  sensors.insert(sensors.begin(), "sample");
  expect(names(tables.at("observed_channels")), sensors, "channels");
  expect(units(tables.at("window")), {"nominal_capacity_ah Ah", "voltage_min_v V", "voltage_max_v V"},
         "windows");
  bundle->design_fields = names(tables.at("design_fields"));
  const auto fields = names(tables.at("fields"));
  const auto found = std::find(fields.begin(), fields.end(), "discharge_throughput");
  if (found == fields.end() || static_cast<std::int64_t>(fields.size()) != bundle->fields)
    refuse("its fields are not those of this program");
  bundle->discharge_field = found - fields.begin();
  bundle->forecast_names = names(tables.at("score_columns"));
  const std::int64_t scalars = 3;
  if (static_cast<std::int64_t>(bundle->forecast_names.size()) !=
      bundle->rul.at(1) + bundle->risk.at(1) * bundle->risk.at(2) + scalars)
    refuse("its columns do not fit its graphs");
  const Json& rule = tables.at("cycle_rule");
  bundle->charge_rate = rule.at("charge_rate_c").as_number();
  bundle->gap_second = rule.at("gap_second").as_number();
  bundle->first_cycle = rule.at("first_cycle").as_number();
}

void read_sensors(const Json& manifest, Bundle* bundle) {
  const auto all = names(manifest.at("tables").at("virtual_sensors"));
  if (static_cast<std::int64_t>(all.size()) != bundle->sensed.at(1))
    refuse("its virtual sensors do not fit its graphs");
  for (const std::string& name : names(manifest.at("virtual_sensors"))) {
    const auto found = std::find(all.begin(), all.end(), name);
    if (found == all.end()) refuse("its virtual sensors are not those of its tables");
    bundle->sensors.emplace_back("virtual_" + name, static_cast<std::size_t>(found - all.begin()));
  }
}

// The fingerprint is the hash of the canonical manifest without its own line.
std::array<std::uint8_t, 32> seal_of(const Bytes& content, const std::string& stated) {
  const std::string line = " \"fingerprint\": \"" + stated + "\",\n";
  const auto at = std::search(content.begin(), content.end(), line.begin(), line.end());
  if (at == content.end()) refuse("manifest.json does not match its own fingerprint");
  Bytes rest(content.begin(), at);
  rest.insert(rest.end(), at + static_cast<std::ptrdiff_t>(line.size()), content.end());
  const auto found = sha256(rest.data(), rest.size());
  if (hex(found.data(), found.size()) != stated)
    refuse("manifest.json does not match its own fingerprint");
  return found;
}

}  // namespace

Bytes read_public_key(const std::string& path) {
  const Bytes text = read_file(path, 4096, kUsage);
  const std::string pem(text.begin(), text.end()), begin = "-----BEGIN PUBLIC KEY-----";
  const auto start = pem.find(begin), stop = pem.find("-----END PUBLIC KEY-----");
  const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  Bytes der;
  unsigned bits = 0, held = 0;
  if (start != std::string::npos && stop != std::string::npos)
    for (std::size_t i = start + begin.size(); i < stop; ++i) {
      const auto digit = alphabet.find(pem[i]);
      if (digit == std::string::npos) continue;
      bits = bits << 6 | static_cast<unsigned>(digit), held += 6;
      if (held >= 8) der.push_back(static_cast<std::uint8_t>(bits >> (held -= 8)));
    }
  const Bytes head = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
  if (der.size() != head.size() + 32 || !std::equal(head.begin(), head.end(), der.begin()))
    throw Error(kUsage, path + " is no Ed25519 public key");
  return Bytes(der.end() - 32, der.end());
}

Bundle open_bundle(const std::string& folder, const Trust& trust) {
  Bundle bundle;
  bundle.folder = folder;
  const Bytes content = read_inside(folder, "manifest.json", kLargest);
  if (!trust.key.empty()) {
    Bytes signature;
    try {
      signature = read_inside(folder, "manifest.sig", 64);
    } catch (const Error&) {
      refuse("the bundle is not signed (manifest.sig cannot be read)");
    }
    if (signature.size() != 64 || !ed25519_verify(signature.data(), trust.key.data(),
                                                  content.data(), content.size()))
      refuse("manifest.sig is not the signature of this manifest by this key");
  }
  const Json manifest = parse_json(content);
  if (manifest.at("format").as_text() != "fadecast-bundle") refuse("this is no Fadecast bundle");
  const double version = manifest.at("version").as_number();
  if (version != kVersion)
    refuse(version > kVersion ? "the bundle's format is newer than this program"
                              : "the bundle's format is older than this program reads");
  bundle.fingerprint = seal_of(content, manifest.at("fingerprint").as_text());
  verify_files(manifest, &bundle);
  try {
    read_shapes(manifest, &bundle);
    read_tables(manifest.at("tables"), &bundle);
    read_sensors(manifest, &bundle);
  } catch (const std::out_of_range&) {
    refuse("the manifest's tables are shorter than they may be");
  }
  return bundle;
}

Forecast::Forecast(const Bundle& bundle)
    : rul(bundle.rul), risk(bundle.risk), incidence(bundle.incidence), soh({1}), novelty({1}),
      valid({1}), sensed(bundle.sensed), sensed_spread(bundle.sensed) {}

Session::Session(const Runtime& runtime, const Bundle& bundle)
    : bundle_(bundle),
      summarize_(runtime, bundle.summarize, {"state", "samples", "observed", "window"},
                 {"state_out", "values", "observed_out"}),
      forecast_(runtime, bundle.forecast, {"state", "values", "observed", "design", "elapsed"},
                kOutputs),
      summary_state_({1, bundle.summary_state}), summary_out_({1, bundle.summary_state}),
      window_({1, 3}), values_({1, bundle.fields}), observed_({1, bundle.fields}),
      state_({1, bundle.forecast_state}), state_out_({1, bundle.forecast_state}),
      design_({1, static_cast<std::int64_t>(bundle.design_fields.size())}), elapsed_({1, 1}),
      result_(bundle) {}

void Session::summarize(Floats* state, const float* samples, const float* observed,
                        std::size_t count, const Floats& window, Floats* values, Floats* seen) {
  const auto time = static_cast<std::int64_t>(count);
  Tensor rows({1, time, kChannels}), flags({1, time, 1 + kSensors});
  std::copy_n(samples, rows.data.size(), rows.data.begin());
  std::copy_n(observed, flags.data.size(), flags.data.begin());
  summary_state_.data.swap(*state);
  window_.data = window;
  summarize_.run({&summary_state_, &rows, &flags, &window_}, {&summary_out_, &values_, &observed_});
  state->swap(summary_out_.data);
  summary_out_.data.swap(summary_state_.data);
  summary_state_.data.resize(state->size());
  *values = values_.data;
  *seen = observed_.data;
}

const Forecast& Session::step(Floats* state, const Floats& values, const Floats& observed,
                              const Floats& design, float elapsed) {
  state_.data = *state;
  values_.data = values;
  observed_.data = observed;
  design_.data = design;
  elapsed_.data[0] = elapsed;
  forecast_.run({&state_, &values_, &observed_, &design_, &elapsed_},
                {&state_out_, &result_.rul, &result_.risk, &result_.incidence, &result_.soh,
                 &result_.novelty, &result_.valid, &result_.sensed, &result_.sensed_spread});
  *state = state_out_.data;
  return result_;
}

}  // namespace fadecast
