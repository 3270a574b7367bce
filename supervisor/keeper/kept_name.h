// The names under which systemd keeps our descriptors from one supervisor to the next: "lun7.journal".
//
// Pure. What comes back from the store was named by an earlier build, perhaps by a newer one: parse() is
// strict, and a name it does not know is its caller's to remove.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::supervisor {

// Of one LUN: what the next supervisor needs to go on with it.
enum class KeptKind : std::uint8_t {
  Journal,      // the supervisor's private record of the LUN
  Uio,          // /dev/uioN, which opens once only
  Control,      // our end of the host's control socket
  Pidfd,        // of the host
  Stderr,       // pipe, read end: what the host says last
  Requests,     // the channel's three memory files
  Completions,  //
  Data,         //
  Doorbell,     // pipe, write end: rings the host
  Eventfd,      // rings us
  Witness,      // of write backs that fail: see supervisor/broker/write_back_witness.h
};
inline constexpr std::uint8_t kKeptKinds = 11;

struct KeptName {
  std::uint32_t lun = 0;  // the uio device's minor
  KeptKind kind = KeptKind::Journal;
  auto operator<=>(const KeptName&) const = default;
};

[[nodiscard]] std::string format(const KeptName& name);
// nullopt: none of ours. What parses is spelt just as format() does.
[[nodiscard]] std::optional<KeptName> parse_kept_name(std::string_view text);

}  // namespace bulkhead::supervisor
