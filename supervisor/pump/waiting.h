// How long a command may wait for a host, and what the control thread may know of what is under way.
//
// The kernel starts a command's timer (attrib/cmd_time_out) when it puts it on the ring and rounds it up to a
// second (target_core_user.c: tcmu_setup_cmd_timer). When it fires, the initiator is told an error and may
// send the command again; the old one keeps its id and its buffers until we answer it once, and nobody tells
// us. A write that was given up must not run any more: it could undo its own retry. What we know of a
// command's age is when we first saw it: it is at least as old as that. A pump that runs takes a command at
// once. What lay in the ring unseen, since the whole supervisor stood still, may be older than it seems; but
// then its retry lies behind it in the same ring, is answered after it, and stands.
//
// So: whoever has waited for most of its time gets BUSY, which initiators answer with a retry, while the
// timer's firing would be an I/O error; and whoever has waited for longer than its time is not run, whatever
// it waited for. Plain values; any thread.
#pragma once

#include <array>
#include <cstdint>

#include "proto/channel_abi.h"

namespace bulkhead::supervisor {

struct WaitLimits {
  std::uint64_t timeout_ns = 0;     // the kernel's; 0: it waits for ever
  std::uint64_t busy_after_ns = 0;  // below timeout_ns; 0: never
  // Nobody is to wait for a host: NOT READY at once. Counts while there is none.
  bool refuse = false;
  // A read past the page cache, by grant: then the host has it, which is watched and can say what is the
  // matter.
  std::uint64_t read_late_ns = 5'000'000'000;
  bool operator==(const WaitLimits&) const = default;

  // Those that go with cmd_time_out.
  static constexpr WaitLimits of(std::uint32_t timeout_s) {
    const std::uint64_t timeout_ns = std::uint64_t{timeout_s} * 1'000'000'000u;
    return {.timeout_ns = timeout_ns, .busy_after_ns = timeout_ns / 10 * 9};
  }
};

// Times: CLOCK_MONOTONIC in nanoseconds; 0: none, or never.
struct PathLook {
  struct HostCommand {
    std::uint64_t given_ns = 0;  // to the present host
    std::uint16_t cdb_bytes = 0;
    std::array<std::uint8_t, channel::kCdbBytes> cdb{};
  };
  std::uint32_t in_flight = 0;
  std::uint64_t oldest_waiting_ns = 0;  // when the oldest that no host has was taken
  std::uint64_t reads_late_ns = 0;      // when the oldest read by grant will have taken too long
  std::uint32_t with_host = 0;
  HostCommand oldest;                  // of those the present host has
  bool oldest_is_slow = false;         // takes_long() of it: those behind it may wait for it
  std::uint64_t host_answered_ns = 0;  // any command; may be before `oldest` was given
};

// Commands that may take any time on a healthy host, for what they do depends on the LUN's size and not on
// the data they carry. Not SYNCHRONIZE CACHE: what a host that is ended has written stays in the page cache,
// and the next one flushes what is left.
[[nodiscard]] constexpr bool takes_long(std::uint8_t opcode) {
  switch (opcode) {
    case 0x04:  // FORMAT UNIT
    case 0x1d:  // SEND DIAGNOSTIC: self-test
    case 0x2f:  // VERIFY 10/12/16
    case 0x8f:
    case 0xaf:
    case 0x34:  // PRE-FETCH 10/16
    case 0x90:
    case 0x41:  // WRITE SAME 10/16
    case 0x93:
    case 0x42:  // UNMAP
    case 0x48:  // SANITIZE
    case 0x83:  // EXTENDED COPY
    case 0x94:  // ZBC OUT: resets zones
      return true;
    default:
      return false;
  }
}

}  // namespace bulkhead::supervisor
