// Lines of a file descriptor, in bounded memory, never waiting longer than a second at a time.
#pragma once

#include <string>

namespace fadecast {

class Lines {
 public:
  explicit Lines(int file) : file_(file) {}
  enum Result { kLine, kTooLong, kIdle, kEnd };
  // The next line without its end. kIdle: none has come for a second, or a signal has. Throws
  // Error(kBroken).
  Result next(std::string* line);

 private:
  int file_;
  bool ended_ = false, skipping_ = false;
  std::string held_;
  std::size_t at_ = 0;
};

}  // namespace fadecast
