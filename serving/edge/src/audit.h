// What a graph is made of, read from its bytes before any executor sees them.
#pragma once

#include <string>

#include "bytes.h"

namespace fadecast {

// Why a graph must not be run; empty if nothing speaks against it.
std::string audit(const Bytes& data);

}  // namespace fadecast
