// CDBs and sense data given in hexadecimal, in words: what is copied out of logs, from sg3_utils or from a
// packet trace. Pure: asks no supervisor.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tcmuctl/failure.h"

namespace bulkhead::tcmuctl {

// Bytes of one or more words: "2a 00", "2a00", "0x2a,0x00", "[2a 00]". A single digit is a byte of its own
// where it stands alone. Usage: what is no byte is named.
[[nodiscard]] Outcome<std::vector<std::uint8_t>> parse_hex(std::span<const std::string> words);

// A line each, without its end.
[[nodiscard]] Outcome<std::string> decode_cdb(std::span<const std::string> words);
[[nodiscard]] Outcome<std::string> decode_sense(std::span<const std::string> words);

}  // namespace bulkhead::tcmuctl
