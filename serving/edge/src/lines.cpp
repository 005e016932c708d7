#include "lines.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "bytes.h"

namespace fadecast {
namespace {

constexpr std::size_t kLongest = 1024, kBlock = 16384;
constexpr int kPatience = 1000;  // ms

}  // namespace

Lines::Result Lines::next(std::string* line) {
  for (;;) {
    const std::size_t end = held_.find('\n', at_);
    if (end != std::string::npos || (ended_ && at_ < held_.size())) {
      const std::size_t stop = end == std::string::npos ? held_.size() : end;
      const bool too_long = skipping_ || stop - at_ > kLongest;
      line->assign(held_, at_, too_long ? 0 : stop - at_);
      at_ = stop + 1;
      skipping_ = false;
      return too_long ? kTooLong : kLine;
    }
    if (ended_) return skipping_ ? (skipping_ = false, kTooLong) : kEnd;
    held_.erase(0, at_);
    at_ = 0;
    if (held_.size() > kLongest) skipping_ = true, held_.clear();
    pollfd ready{file_, POLLIN, 0};
    if (poll(&ready, 1, kPatience) <= 0) return kIdle;
    char block[kBlock];
    const ssize_t n = read(file_, block, sizeof block);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return kIdle;
    if (n < 0) throw Error(kBroken, std::string("the input cannot be read: ") + std::strerror(errno));
    if (n == 0)
      ended_ = true;
    else
      held_.append(block, static_cast<std::size_t>(n));
  }
}

}  // namespace fadecast
