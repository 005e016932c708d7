// The table of cells, as fadecast.cell.cellsfile reads it.

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <sstream>

#include "cell.h"
#include "csv.h"

namespace fadecast {
namespace {

constexpr std::size_t kLargest = 1u << 20;
const std::vector<std::string> kCategories = {"cathode", "anode", "electrolyte", "fixture"};
const std::vector<std::string> kColumns = {
    "cell_id", "nominal_capacity_ah", "voltage_min_v", "voltage_max_v", "cathode", "anode",
    "electrolyte", "fixture", "applied_pressure_pa", "pressure_limit_pa", "files"};

[[noreturn]] void refuse(const std::string& what) { throw Error(kUsage, "table of cells: " + what); }

double number(const std::map<std::string, std::string>& row, const std::string& name) {
  const auto found = row.find(name);
  const std::string text = found == row.end() ? "" : found->second;
  const double value = to_number(text);
  if (!std::isfinite(value)) refuse(name + " is '" + text + "'");
  return value;
}

bool is_plain(const std::string& name) {
  const auto alnum = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  if (name.empty() || name.size() > 128 || !alnum(name[0])) return false;
  for (const char c : name)
    if (!alnum(c) && std::string("._+=@-").find(c) == std::string::npos) return false;
  return true;
}

Spec make_spec(const std::map<std::string, std::string>& row, const Bundle& bundle) {
  Spec spec;
  spec.cell_id = row.at("cell_id");
  if (!is_plain(spec.cell_id)) refuse("cell_id '" + spec.cell_id + "' is not a plain name");
  const double capacity = number(row, "nominal_capacity_ah");
  const double low = number(row, "voltage_min_v"), high = number(row, "voltage_max_v");
  if (!(capacity >= 1e-6 && capacity <= 1e4)) refuse("nominal_capacity_ah is outside 1e-6…1e4 Ah");
  if (!(low >= -10 && low < high && high <= 10)) refuse("the voltage window is empty or not volts");
  spec.nominal_capacity_ah = capacity;
  spec.window = {static_cast<float>(capacity), static_cast<float>(low), static_cast<float>(high)};
  const auto stated = [&row](const char* name) {
    const auto found = row.find(name);
    return found != row.end() && !found->second.empty();
  };
  const bool applied = stated("applied_pressure_pa"), limited = stated("pressure_limit_pa");
  const double pressure = applied ? number(row, "applied_pressure_pa") : 0.0;
  if (!(pressure >= 0 && pressure <= 1e9)) refuse("applied_pressure_pa is not pascal, 0…1e9");
  const double limit = limited ? number(row, "pressure_limit_pa") : HUGE_VAL;
  if (limited && !(limit >= 1e5 && limit <= 1e9)) {
    refuse("pressure_limit_pa is not pascal, 1e5…1e9");
  }
  if (pressure > limit) refuse("applied_pressure_pa is above pressure_limit_pa");
  for (const std::string& kind : kCategories) {
    const auto& fields = bundle.design_fields;
    if (stated(kind.c_str()) && row.at(kind) != "unknown" &&
        std::find(fields.begin(), fields.end(), kind + "=" + row.at(kind)) == fields.end())
      refuse(kind + " '" + row.at(kind) + "' is not known");
  }
  const std::map<std::string, double> numbers = {
      {"voltage_min_v", low},
      {"voltage_max_v", high},
      {"log10_nominal_capacity_ah", std::log10(capacity)},
      {"applied_pressure_known", applied},
      {"log1p_applied_pressure_mpa", std::log1p(pressure * 1e-6)},
      {"pressure_limit_known", limited},
      {"log1p_pressure_limit_mpa", limited ? std::log1p(limit * 1e-6) : 0.0},
      {"per_pressure_limit_mpa", 1e6 / limit}};
  for (const std::string& field : bundle.design_fields) {
    const auto found = numbers.find(field);
    const auto sign = field.find('=');
    if (found == numbers.end() && sign == std::string::npos) refuse("design field " + field);
    double value = found != numbers.end() ? found->second : 0.0;
    if (found == numbers.end()) {
      const auto entry = row.find(field.substr(0, sign));
      value = entry != row.end() && entry->second == field.substr(sign + 1);
    }
    spec.design.push_back(static_cast<float>(value));
  }
  return spec;
}

}  // namespace

std::vector<Spec> read_specs(const std::string& path, const Bundle& bundle, std::size_t most) {
  const Bytes data = read_file(path, kLargest, kUsage);
  if (std::find(data.begin(), data.end(), '"') != data.end()) refuse("quotes are not read here");
  std::istringstream lines(std::string(data.begin(), data.end()));
  std::string line;
  if (!std::getline(lines, line)) refuse("it is empty");
  const std::vector<std::string> header = split_csv(line);
  const std::string unread = unread_columns(header, kColumns);
  if (!unread.empty())
    std::fprintf(stderr, "fadecast-edge: of the table of cells not read: %s\n", unread.c_str());
  std::vector<Spec> out;
  std::set<std::string> seen;
  while (std::getline(lines, line)) {
    const std::vector<std::string> fields = split_csv(line);
    if (fields.size() == 1 && fields[0].empty()) continue;
    if (fields.size() != header.size()) refuse("a row has another number of fields");
    std::map<std::string, std::string> row;
    for (std::size_t i = 0; i < header.size(); ++i) row[header[i]] = fields[i];
    if (row.count("cell_id") == 0) refuse("it lacks the column cell_id");
    out.push_back(make_spec(row, bundle));
    if (!seen.insert(out.back().cell_id).second) refuse(out.back().cell_id + " stands there twice");
    if (out.size() > most)
      throw Error(kTooMuch, "more cells than " + std::to_string(most) + " (--max-cells)");
  }
  if (out.empty()) refuse("it holds no cell");
  return out;
}

}  // namespace fadecast
