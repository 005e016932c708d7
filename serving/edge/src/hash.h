// SHA-256 and SHA-512 (FIPS 180-4).
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "bytes.h"

namespace fadecast {

std::array<std::uint8_t, 32> sha256(const std::uint8_t* data, std::size_t size);
std::array<std::uint8_t, 64> sha512(const std::uint8_t* data, std::size_t size);
std::string hex(const std::uint8_t* data, std::size_t size);

}  // namespace fadecast
