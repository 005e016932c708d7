// Tables as CSV: fields, numbers, and headers that are not what they seem.
#pragma once

#include <string>
#include <vector>

namespace fadecast {

// Fields of a line of CSV without quotes.
std::vector<std::string> split_csv(const std::string& line);

// NaN for what is no decimal number.
double to_number(const std::string& text);

// The columns beside the `known` ones, for a message. Throws Error(kUsage) where a known column
// stands twice, and where another one is so nearly one that is not there that it must be meant.
std::string unread_columns(const std::vector<std::string>& header,
                           const std::vector<std::string>& known);

}  // namespace fadecast
