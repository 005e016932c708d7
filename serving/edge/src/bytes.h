// Bytes, and the one exception of the program: what is wrong, and the exit code it means.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace fadecast {

using Bytes = std::vector<std::uint8_t>;
using Floats = std::vector<float>;

// Documented in README.md; a supervisor may rely on them.
enum ExitCode {
  kDone = 0,
  kUsage = 64,
  kRefused = 65,
  kNoRuntime = 69,
  kNoSpace = 73,
  kBroken = 74,
  kTooMuch = 75
};

struct Error : std::runtime_error {
  Error(ExitCode exit_code, const std::string& what) : std::runtime_error(what), code(exit_code) {}
  ExitCode code;
};

// The content of a file of at most `limit` bytes; throws Error with `code`.
Bytes read_file(const std::string& path, std::size_t limit, ExitCode code);

}  // namespace fadecast
