#include "bytes.h"

#include <cstdio>
#include <memory>

namespace fadecast {

Bytes read_file(const std::string& path, std::size_t limit, ExitCode code) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) throw Error(code, path + " cannot be read");
  Bytes data;
  std::uint8_t block[16384];
  while (const std::size_t n = std::fread(block, 1, sizeof block, file.get())) {
    if (data.size() + n > limit) throw Error(code, path + " is larger than it may be");
    data.insert(data.end(), block, block + n);
  }
  if (std::ferror(file.get())) throw Error(code, path + " cannot be read");
  return data;
}

}  // namespace fadecast
