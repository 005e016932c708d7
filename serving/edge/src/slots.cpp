#include "slots.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "hash.h"

namespace fadecast {
namespace {

// "FCSTATE" and the version, sequence, owner, the state, SHA-256 of all before.
constexpr char kMagic[] = "FCSTATE3";
constexpr std::size_t kMagicSize = 8, kFamilySize = 7, kSequenceSize = 8, kHashSize = 32;
constexpr std::size_t kLargest = 1u << 20;

void sync_folder(const std::string& folder) {
  const int file = open(folder.c_str(), O_RDONLY | O_DIRECTORY);
  if (file < 0) return;
  fsync(file);
  close(file);
}

}  // namespace

Slots::Slots(const std::string& folder, const std::string& name, Bytes owner)
    : folder_(folder), name_(name), owner_(std::move(owner)) {}

std::string Slots::path(std::uint64_t sequence) const {
  return folder_ + "/" + name_ + (sequence % 2 ? ".1" : ".0");
}

std::optional<Bytes> Slots::load() {
  std::optional<Bytes> latest;
  const std::size_t head = kMagicSize + kSequenceSize + owner_.size();
  for (std::uint64_t slot = 0; slot < 2; ++slot) {
    if (access(path(slot).c_str(), F_OK) != 0) continue;
    const Bytes data = read_file(path(slot), kLargest, kNoSpace);
    if (data.size() < head + kHashSize || std::memcmp(data.data(), kMagic, kFamilySize) != 0) continue;
    const std::size_t body = data.size() - kHashSize;
    const auto found = sha256(data.data(), body);
    if (std::memcmp(found.data(), data.data() + body, kHashSize) != 0) continue;
    if (std::memcmp(data.data(), kMagic, kMagicSize) != 0)
      throw Error(kRefused, path(slot) + " is of another version of this program; without the cell's "
                                         "two files it begins anew");
    std::uint64_t sequence;
    std::memcpy(&sequence, data.data() + kMagicSize, sizeof sequence);
    if (sequence % 2 != slot) continue;
    const std::uint8_t* owner = data.data() + kMagicSize + kSequenceSize;
    if (std::memcmp(owner, owner_.data(), owner_.size()) != 0)
      throw Error(kRefused, path(slot) + " belongs to another bundle");
    if (latest && sequence < sequence_) continue;
    latest = Bytes(data.begin() + static_cast<std::ptrdiff_t>(head),
                   data.begin() + static_cast<std::ptrdiff_t>(body));
    sequence_ = sequence;
  }
  // The first write goes to slot 1, so with a slot 0 there was a whole one before any power cut.
  if (!latest && access(path(0).c_str(), F_OK) == 0)
    throw Error(kRefused, "no whole state in " + path(0) + " and " + path(1) +
                              "; without these files the cell begins anew");
  return latest;
}

void Slots::save(const Bytes& state) {
  const std::uint64_t next = sequence_ + 1;
  Bytes data(kMagic, kMagic + kMagicSize);
  const auto* number = reinterpret_cast<const std::uint8_t*>(&next);
  data.insert(data.end(), number, number + kSequenceSize);
  data.insert(data.end(), owner_.begin(), owner_.end());
  data.insert(data.end(), state.begin(), state.end());
  const auto hash = sha256(data.data(), data.size());
  data.insert(data.end(), hash.begin(), hash.end());
  const bool is_new = access(path(next).c_str(), F_OK) != 0;
  const int file = open(path(next).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool good = file >= 0;
  for (std::size_t at = 0; good && at < data.size();) {
    const ssize_t n = write(file, data.data() + at, data.size() - at);
    good = n > 0;
    at += good ? static_cast<std::size_t>(n) : 0;
  }
  good = good && fdatasync(file) == 0;
  if (file >= 0) good = close(file) == 0 && good;
  if (!good) throw Error(kNoSpace, path(next) + " cannot be written");
  if (is_new) sync_folder(folder_);
  sequence_ = next;
}

}  // namespace fadecast
