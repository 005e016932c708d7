// A small reader of JSON, enough for a manifest.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bytes.h"

namespace fadecast {

struct Json {
  enum Kind { kNull, kBool, kNumber, kText, kList, kTable } kind = kNull;
  double number = 0;  // of a bool too
  std::string text;
  std::vector<Json> list;
  std::map<std::string, Json> table;

  // Throw Error(kRefused) where the value is of another kind or the key is not there.
  const Json& at(const std::string& key) const;
  const std::string& as_text() const;
  double as_number() const;
  const std::vector<Json>& as_list() const;
};

Json parse_json(const Bytes& data);

}  // namespace fadecast
