// Telling a supervisor that the loop still turns (the protocol of systemd's sd_notify).
#pragma once

#include <string>

namespace fadecast {

// Sends to the socket in NOTIFY_SOCKET, if there is one.
class Watchdog {
 public:
  Watchdog();
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  void ready() const { send("READY=1"); }
  // At most once a second, however often it is called.
  void alive();

 private:
  void send(const std::string& text) const;
  int socket_ = -1;
  std::string address_;
  long long last_ = 0;
};

}  // namespace fadecast
