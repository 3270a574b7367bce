// The host's end of the control socket: messages of proto/control.proto, one per packet.
//
// Threads: the loop thread. Deadlines: a message that must arrive waits a bounded time for room; one that may
// get lost does not wait. The supervisor is trusted, but what can't be parsed is told from what can.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "proto/control.pb.h"

namespace bulkhead::host {

// A message as it came, with the descriptors that came along.
struct Received {
  control::Message message;
  std::vector<UniqueFd> fds;
};

class ControlClient {
 public:
  explicit ControlClient(UniqueFd socket) : socket_(std::move(socket)) {}

  // Errors: PeerBroken (see supervisor_gone()), TimedOut when the supervisor does not read.
  [[nodiscard]] Result<> send(const control::Message& message);
  // For what may get lost: never waits. False: lost.
  bool try_send(const control::Message& message);

  // The next message: one set aside earlier, else from the socket. nullopt: none now.
  // Errors: PeerBroken when the supervisor is gone or what came is no message.
  [[nodiscard]] Result<std::optional<Received>> receive();
  // Waits for it. Errors: as receive(), and TimedOut.
  [[nodiscard]] Result<Received> receive_within(std::chrono::milliseconds limit);
  // Sends an OpenFile and waits for its FileOpened; other messages are set aside for receive(). A supervisor
  // that takes over meanwhile (Adopt) is asked again: its predecessor may have taken the question with it.
  [[nodiscard]] Result<Received> ask_file(const control::Message& question, std::chrono::milliseconds limit);

  // A message has been set aside, so receive() has one although the socket may not be readable.
  [[nodiscard]] bool has_set_aside() const { return !set_aside_.empty(); }
  [[nodiscard]] std::uint64_t next_id() { return ++last_id_; }
  [[nodiscard]] const UniqueFd& socket() const { return socket_; }

 private:
  [[nodiscard]] Result<std::optional<Received>> read_socket();
  [[nodiscard]] Result<Received> read_until(std::chrono::steady_clock::time_point deadline);

  UniqueFd socket_;
  std::deque<Received> set_aside_;
  std::string outgoing_;  // reused
  std::uint64_t last_id_ = 0;
};

// Did this failure of the socket mean that nobody holds its other end any more? Otherwise the peer broke a
// rule.
[[nodiscard]] bool supervisor_gone(const Error& error);

}  // namespace bulkhead::host
