// A SOCK_SEQPACKET connection that carries whole messages and file descriptors: the control socket.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace bulkhead {

inline constexpr std::size_t kMaxControlMessage = 64 * 1024;
inline constexpr std::size_t kMaxControlFds = 8;  // of a packet that is sent

// One packet as it came, with every descriptor that the kernel lets a packet have (SCM_MAX_FD): to close one
// can take as long as its sender likes (SO_LINGER, a file system that does not answer), so who does not trust
// the sender closes them where that harms nobody.
struct Packet {
  std::string bytes;
  std::vector<UniqueFd> fds;
};

// Both ends, non-blocking, close-on-exec.
[[nodiscard]] Result<std::array<UniqueFd, 2>> make_control_pair();

// Sends one packet. Errors: Busy (EAGAIN) when the peer does not read and its buffer is full; PeerBroken when
// it is gone; BadInput when the message is too large.
[[nodiscard]] Result<> send_packet(const UniqueFd& socket, std::span<const std::byte> bytes,
                                   std::span<const int> fds = {});

// Takes one packet. nullopt: none there now (the socket is non-blocking). Errors: PeerBroken at end of file,
// or when the packet exceeds the limit above; one with descriptors comes all the same, cut.
[[nodiscard]] Result<std::optional<Packet>> receive_packet(const UniqueFd& socket);

}  // namespace bulkhead
