#include "csv.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>

#include "bytes.h"

namespace fadecast {
namespace {

constexpr std::size_t kNear = 2;  // letters by which a misspelt name differs

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// Letters to insert, remove or change (Levenshtein 1966).
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t before = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = before + (a[i - 1] != b[j - 1]);
      before = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::vector<std::string> split_csv(const std::string& line) {
  std::vector<std::string> out(1);
  for (const char c : line) {
    if (c == ',')
      out.emplace_back();
    else if (c != '\r')
      out.back() += c;
  }
  return out;
}

double to_number(const std::string& text) {
  // strtod also reads hexadecimal numbers and stops at a null character.
  if (text.empty() || text.find_first_not_of("0123456789+-.eE") != std::string::npos) return NAN;
  char* stop = nullptr;
  const double value = std::strtod(text.c_str(), &stop);
  return *stop == '\0' ? value : NAN;
}

std::string unread_columns(const std::vector<std::string>& header,
                           const std::vector<std::string>& known) {
  const auto count = [&](const std::string& name) {
    return std::count(header.begin(), header.end(), name);
  };
  std::string out;
  for (const std::string& name : header) {
    if (std::find(known.begin(), known.end(), name) != known.end()) {
      if (count(name) > 1) throw Error(kUsage, "the column " + name + " stands there twice");
      continue;
    }
    for (const std::string& wanted : known)
      if (count(wanted) == 0 && name.size() < 100 && distance(lower(name), wanted) <= kNear)
        throw Error(kUsage, "the column " + name + " is misspelt: " + wanted);
    out += (out.empty() ? "" : ", ") + name;
  }
  return out;
}

}  // namespace fadecast
