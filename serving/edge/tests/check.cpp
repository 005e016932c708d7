// For the tests: answers questions that come as lines of hexadecimal words, one answer a line.
//   hash MESSAGE                        → SHA-256 and SHA-512
//   verify KEY SIGNATURE MESSAGE        → 1 if it is signed so, else 0
//   audit GRAPH                         → the reason to refuse it, or "fine"

#include <iostream>
#include <sstream>

#include "audit.h"
#include "ed25519.h"
#include "hash.h"

namespace {

fadecast::Bytes unhex(const std::string& text) {
  fadecast::Bytes out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  return out;
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string what, first, second, third;
    words >> what >> first >> second >> third;
    const fadecast::Bytes a = unhex(first), b = unhex(second), c = unhex(third);
    if (what == "hash") {
      const auto x = fadecast::sha256(a.data(), a.size());
      const auto y = fadecast::sha512(a.data(), a.size());
      std::cout << fadecast::hex(x.data(), x.size()) << ' ' << fadecast::hex(y.data(), y.size());
    } else if (what == "verify") {
      std::cout << fadecast::ed25519_verify(b.data(), a.data(), c.data(), c.size());
    } else {
      const std::string reason = fadecast::audit(a);
      std::cout << (reason.empty() ? "fine" : reason);
    }
    std::cout << std::endl;
  }
}
