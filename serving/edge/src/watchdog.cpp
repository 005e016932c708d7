#include "watchdog.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace fadecast {

Watchdog::Watchdog() {
  const char* address = std::getenv("NOTIFY_SOCKET");
  if (address == nullptr || std::strlen(address) >= sizeof(sockaddr_un::sun_path)) return;
  address_ = address;
  if (address_.size() > 1 && address_[0] == '@') address_[0] = '\0';
  socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

Watchdog::~Watchdog() {
  if (socket_ >= 0) close(socket_);
}

void Watchdog::send(const std::string& text) const {
  if (socket_ < 0) return;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  // A supervisor that does not listen is its own affair.
  (void)!sendto(socket_, text.data(), text.size(), MSG_NOSIGNAL,
                reinterpret_cast<const sockaddr*>(&to), size);
}

void Watchdog::alive() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (now.tv_sec == last_) return;
  last_ = now.tv_sec;
  send("WATCHDOG=1");
}

}  // namespace fadecast
