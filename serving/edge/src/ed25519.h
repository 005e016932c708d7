// Ed25519 signatures (RFC 8032), verification only.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fadecast {

// Whether `signature` (64 bytes) of `message` was made with the secret of `key` (32 bytes).
// Strict: a point or a scalar that is not in its one canonical form is refused, and so is a key of
// small order. Nothing here is secret, so nothing has to run in constant time.
bool ed25519_verify(const std::uint8_t* signature, const std::uint8_t* key,
                    const std::uint8_t* message, std::size_t size);

}  // namespace fadecast
