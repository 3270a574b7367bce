#include "handler-host/runtime/control_client.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "base/control_socket.h"

namespace bulkhead::host {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// The supervisor's control thread never blocks for long; one that reads nothing for so long is not coming
// back.
constexpr milliseconds kSendPatience{10'000};

// False: the deadline passed.
bool wait_for(const UniqueFd& socket, short events, steady_clock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    if (left <= milliseconds(0)) return false;
    pollfd one{socket.get(), events, 0};
    const int ready = ::poll(&one, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 1 << 30)));
    if (ready > 0) return true;
    BULKHEAD_CHECK(ready == 0 || errno == EINTR);
  }
}

}  // namespace

bool supervisor_gone(const Error& error) {
  // ECONNRESET: it closed the socket with messages of ours unread.
  return error.cause == Cause::PeerBroken &&
         (error.sys_errno == 0 || error.sys_errno == ECONNRESET || error.sys_errno == EPIPE);
}

Result<> ControlClient::send(const control::Message& message) {
  BULKHEAD_CHECK(message.SerializeToString(&outgoing_));
  const auto deadline = steady_clock::now() + kSendPatience;
  while (true) {
    auto sent = send_packet(socket_, std::as_bytes(std::span(outgoing_)));
    if (sent || sent.error().cause != Cause::Busy) return sent;
    if (!wait_for(socket_, POLLOUT, deadline))
      return fail(Cause::TimedOut, ETIMEDOUT, "the supervisor does not read the control socket");
  }
}

bool ControlClient::try_send(const control::Message& message) {
  BULKHEAD_CHECK(message.SerializeToString(&outgoing_));
  return send_packet(socket_, std::as_bytes(std::span(outgoing_))).has_value();
}

Result<std::optional<Received>> ControlClient::read_socket() {
  auto packet = receive_packet(socket_);
  if (!packet) return std::unexpected(std::move(packet.error()));
  if (!*packet) return std::nullopt;
  Received received;
  received.fds = std::move((*packet)->fds);
  if (!received.message.ParseFromString((*packet)->bytes))
    return fail(Cause::PeerBroken, EBADMSG, "a packet on the control socket is no message");
  return received;
}

Result<std::optional<Received>> ControlClient::receive() {
  if (set_aside_.empty()) return read_socket();
  Received first = std::move(set_aside_.front());
  set_aside_.pop_front();
  return first;
}

Result<Received> ControlClient::read_until(steady_clock::time_point deadline) {
  while (true) {
    auto received = read_socket();
    if (!received) return std::unexpected(std::move(received.error()));
    if (*received) return std::move(**received);
    if (!wait_for(socket_, POLLIN, deadline))
      return fail(Cause::TimedOut, ETIMEDOUT, "the supervisor did not answer in time");
  }
}

Result<Received> ControlClient::receive_within(milliseconds limit) {
  auto received = receive();
  if (!received) return std::unexpected(std::move(received.error()));
  if (*received) return std::move(**received);
  return read_until(steady_clock::now() + limit);
}

Result<Received> ControlClient::ask_file(const control::Message& question, milliseconds limit) {
  const auto deadline = steady_clock::now() + limit;
  if (auto sent = send(question); !sent) return std::unexpected(std::move(sent.error()));
  while (true) {
    auto received = read_until(deadline);
    if (!received) return received;
    const control::Message& message = received->message;
    if (message.has_file_opened() && message.file_opened().id() == question.open_file().id()) return received;
    const bool new_supervisor = message.has_adopt();
    set_aside_.push_back(std::move(*received));
    if (!new_supervisor) continue;
    if (auto sent = send(question); !sent) return std::unexpected(std::move(sent.error()));
  }
}

}  // namespace bulkhead::host
