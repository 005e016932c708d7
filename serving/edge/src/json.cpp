#include "json.h"

#include <cstdlib>
#include <cstring>

namespace fadecast {
namespace {

constexpr int kDeepest = 32;

struct Reader {
  const char* at;
  const char* end;

  [[noreturn]] static void fail() { throw Error(kRefused, "the manifest is not JSON"); }

  void skip() {
    while (at < end && std::strchr(" \t\r\n", *at) != nullptr && *at != '\0') ++at;
  }

  char peek() {
    skip();
    return at < end ? *at : '\0';
  }

  void expect(char c) {
    if (peek() != c) fail();
    ++at;
  }

  bool word(const char* text) {
    const std::size_t size = std::strlen(text);
    if (static_cast<std::size_t>(end - at) < size || std::memcmp(at, text, size) != 0) return false;
    at += size;
    return true;
  }

  std::string text() {
    expect('"');
    std::string out;
    while (at < end && *at != '"') {
      if (static_cast<unsigned char>(*at) < 0x20) fail();
      if (*at != '\\') {
        out += *at++;
        continue;
      }
      if (++at == end) fail();
      const char* found = std::strchr("\"\\/bfnrt", *at);
      if (found == nullptr || *at == '\0') fail();  // a manifest writes no \u but for control codes
      out += "\"\\/\b\f\n\r\t"[found - std::strchr("\"\\/bfnrt", '"')];
      ++at;
    }
    if (at == end) fail();
    ++at;
    return out;
  }

  Json value(int depth) {
    if (depth > kDeepest) fail();
    Json out;
    const char c = peek();
    if (c == '"') {
      out.kind = Json::kText, out.text = text();
    } else if (c == '{') {
      out.kind = Json::kTable, ++at;
      if (peek() == '}') return ++at, out;
      do {
        skip();
        std::string key = text();
        expect(':');
        if (!out.table.emplace(std::move(key), value(depth + 1)).second) fail();
      } while (peek() == ',' && ++at);
      expect('}');
    } else if (c == '[') {
      out.kind = Json::kList, ++at;
      if (peek() == ']') return ++at, out;
      do out.list.push_back(value(depth + 1));
      while (peek() == ',' && ++at);
      expect(']');
    } else if (word("null")) {
      out.kind = Json::kNull;
    } else if (word("true")) {
      out.kind = Json::kBool, out.number = 1;
    } else if (word("false")) {
      out.kind = Json::kBool;
    } else {
      const char* begin = at;
      while (at < end && *at != '\0' && std::strchr("+-.0123456789eE", *at) != nullptr) ++at;
      const std::string digits(begin, at);
      char* stop = nullptr;
      out.kind = Json::kNumber, out.number = std::strtod(digits.c_str(), &stop);
      if (digits.empty() || *stop != '\0') fail();
    }
    return out;
  }
};

const Json& need(const Json& json, Json::Kind kind) {
  if (json.kind != kind) throw Error(kRefused, "the manifest holds something of another kind");
  return json;
}

}  // namespace

const Json& Json::at(const std::string& key) const {
  const auto found = need(*this, kTable).table.find(key);
  if (found == table.end()) throw Error(kRefused, "the manifest lacks " + key);
  return found->second;
}

const std::string& Json::as_text() const { return need(*this, kText).text; }
double Json::as_number() const { return need(*this, kNumber).number; }
const std::vector<Json>& Json::as_list() const { return need(*this, kList).list; }

Json parse_json(const Bytes& data) {
  const char* begin = reinterpret_cast<const char*>(data.data());
  Reader reader{begin, begin + data.size()};
  Json out = reader.value(0);
  reader.skip();
  if (reader.at != reader.end) Reader::fail();
  return out;
}

}  // namespace fadecast
