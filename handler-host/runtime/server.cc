#include "handler-host/runtime/server.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "handler-host/runtime/task_management.h"

namespace bulkhead::host {
namespace {

using std::chrono::milliseconds;

// Within the 10 s that a manifest gives a close.
constexpr milliseconds kDrainPatience{8'000};
// For the last flush when nobody is there any more to end us.
constexpr unsigned kLastFlushSeconds = 60;
// A steady stream of commands must not keep the control socket and the handler's descriptors from being
// looked at.
constexpr unsigned kRoundsBetweenPolls = 8;

[[noreturn]] void end_broken(const Error& error) {
  end_process(error.cause == Cause::TimedOut ? ExitCode::TimedOut : ExitCode::ProtocolBroken, error.what);
}

}  // namespace

Server::Server(const ServerParts& parts)
    : parts_(parts), commands_(parts.channel), grants_(parts.channel), for_commands_(parts.busy_poll) {
  parts_.loop.watch(parts_.channel.doorbell().get(), EPOLLIN,
                    [this](std::uint32_t events) { doorbell_rang(events); });
  parts_.loop.watch(parts_.control.socket().get(), EPOLLIN, [this](std::uint32_t) { read_control(); });
}

Server::~Server() {
  parts_.loop.unwatch(parts_.channel.doorbell().get());
  parts_.loop.unwatch(parts_.control.socket().get());
}

ExitCode Server::run() {
  tell_facts();
  offer_grant();
  // What came while the handler opened.
  if (parts_.control.has_set_aside()) parts_.loop.post([this] { read_control(); });
  while (!finished()) {
    end_if_too_late();
    serve_round();
  }
  return close_device();
}

void Server::serve_round() {
  const Phase before = phase_;
  bool any = false;
  if (phase_ != Phase::SupervisorGone) {
    auto started = commands_.start_all(parts_.unit);
    if (!started) end_broken(started.error());
    any = *started;
  }
  drained_ = !any;
  // Handlers hand their batch to the kernel here, and often have the answers at once.
  parts_.loop.run_posted();
  tell_changed_facts();
  grants_.show(phase_ == Phase::Serving ? parts_.unit.granted() : scsi::Granted{});
  parts_.channel.publish();
  if (parts_.unit.answers_are_out()) tell_changed_facts();
  if (phase_ != before) return;  // by work posted: the end wants a round of its own before any sleep
  if (!any) {
    rounds_without_poll_ = 0;
    sleep();
  } else if (++rounds_without_poll_ >= kRoundsBetweenPolls) {
    rounds_without_poll_ = 0;
    parts_.loop.wait(milliseconds(0));
  }
}

void Server::sleep() {
  if (finished()) return;
  std::optional<milliseconds> limit;
  if (phase_ != Phase::Serving)
    limit = std::max(std::chrono::ceil<milliseconds>(end_by_ - EventLoop::Clock::now()), milliseconds(0));
  if (phase_ == Phase::SupervisorGone) return parts_.loop.wait(limit);
  // With commands under way the loop has more to wait for than the next one.
  const bool only_for_commands = phase_ == Phase::Serving && commands_.under_way() == 0;
  if (only_for_commands && for_commands_.wait([this] { return parts_.channel.has_submission(); })) return;
  if (!parts_.channel.prepare_sleep()) return;
  parts_.loop.wait(limit);
  parts_.channel.wake();
}

void Server::end_if_too_late() {
  if (phase_ == Phase::Serving || EventLoop::Clock::now() < end_by_) return;
  const std::string text = fmt::format("{} commands did not end within {} s of the request to close",
                                       commands_.under_way(), kDrainPatience.count() / 1000);
  if (phase_ == Phase::Closing) answer(close_id_, fail(Cause::TimedOut, ETIMEDOUT, text));
  end_process(ExitCode::TimedOut, text);
}

void Server::doorbell_rang(std::uint32_t events) {
  if ((events & EPOLLIN) != 0) return parts_.channel.drain();
  // Nobody holds the other end. The control socket tells what to do; here it would only keep us awake.
  parts_.loop.unwatch(parts_.channel.doorbell().get());
}

void Server::read_control() {
  while (phase_ != Phase::SupervisorGone) {
    auto received = parts_.control.receive();
    if (!received && supervisor_gone(received.error())) return begin_end(Phase::SupervisorGone);
    if (!received) end_broken(received.error());
    if (!*received) return;
    handle((*received)->message);
  }
}

void Server::handle(const control::Message& message) {
  using control::Message;
  switch (message.kind_case()) {
    case Message::kResize:
      return resize(message.resize());
    case Message::kSetWriteCache:
      return set_write_cache(message.set_write_cache());
    case Message::kTaskManagement:
      return manage_tasks(message.task_management());
    case Message::kAdopt:
      return adopt(message.adopt());
    case Message::kIdentity:
      return parts_.identity.answered(message.identity());
    case Message::kFileOpened:
      return;  // later than its question waited; the descriptor is closed with the packet
    case Message::kClose:
      close_id_ = message.close().id();
      return begin_end(Phase::Closing);
    default:
      end_process(ExitCode::ProtocolBroken,
                  fmt::format("the supervisor sent message {} while this host serves a device",
                              static_cast<int>(message.kind_case())));
  }
}

void Server::resize(const control::Resize& request) {
  Result<> result;
  if (request.size_bytes() == 0 || request.size_bytes() % parts_.block_bytes != 0)
    result = fail(
        Cause::BadInput, EINVAL,
        fmt::format("a LUN of {} bytes is not possible with blocks of {} bytes: use a multiple of the block "
                    "size",
                    request.size_bytes(), parts_.block_bytes));
  else
    result = parts_.device.resize({request.size_bytes()});
  if (result) {
    grants_.withdraw();
    parts_.size = {request.size_bytes()};
    parts_.unit.resized(parts_.size);
    offer_grant();
  }
  answer(request.id(), result);
  if (result) tell_facts();
}

void Server::set_write_cache(const control::SetWriteCache& request) {
  // The supervisor does nothing by grant until this is answered.
  parts_.unit.set_write_cache(request.on(),
                              [this, id = request.id()](const Result<>& result) { answer(id, result); });
  // From now on it counts as off, though the answer waits for a flush.
  tell_changed_facts();
}

void Server::manage_tasks(const control::TaskManagement& request) {
  // The control socket may be faster than the channel: what is listed has been submitted before.
  const auto listed = [&request](std::uint32_t slot, std::uint32_t generation) {
    return std::ranges::any_of(request.listed(), [&](const auto& one) {
      return one.slot() == slot && one.generation() == generation;
    });
  };
  if (auto started = commands_.start_all(parts_.unit, listed); !started) end_broken(started.error());
  parts_.journal.log(handler::LogLevel::Warning, host::manage_tasks(request, commands_, parts_.unit));
}

// Commands under way are none of its business: they are in the channel, which is still the same.
void Server::adopt(const control::Adopt& request) {
  parts_.journal.log(handler::LogLevel::Info,
                     fmt::format("a new supervisor ({}) has taken over, with {} commands under way",
                                 request.build(), commands_.under_way()));
  tell_facts();
  if (const auto offered = grants_.offered()) send(*offered);
  parts_.services.tell_counters_again();
  parts_.identity.ask_again();
  answer(request.id(), {});
}

void Server::begin_end(Phase phase) {
  if (phase_ == Phase::Serving) end_by_ = EventLoop::Clock::now() + kDrainPatience;
  phase_ = phase;
  drained_ = false;
  grants_.withdraw();
  parts_.unit.wind_down();
  if (phase == Phase::SupervisorGone) parts_.loop.unwatch(parts_.control.socket().get());
}

bool Server::finished() const {
  return phase_ != Phase::Serving && drained_ && commands_.under_way() == 0 && parts_.unit.under_way() == 0;
}

ExitCode Server::close_device() {
  tell_changed_facts();
  parts_.channel.publish();
  // The last answer may have come within a sleep, so that no round has published it.
  (void)parts_.unit.answers_are_out();
  if (phase_ == Phase::SupervisorGone) ::alarm(kLastFlushSeconds);
  Result<> closed = parts_.device.close();
  if (!closed) parts_.unit.writes_lost();
  tell_changed_facts();
  if (phase_ == Phase::Closing)
    answer(close_id_, closed);
  else if (!closed)
    end_process(ExitCode::CloseFailed, closed.error().what);
  return closed ? ExitCode::Done : ExitCode::CloseFailed;
}

void Server::answer(std::uint64_t id, const Result<>& result) {
  control::Message message;
  control::Done& done = *message.mutable_done();
  done.set_id(id);
  if (!result) {
    done.mutable_failure()->set_sys_errno(errno_of(result.error()));
    done.mutable_failure()->set_text(result.error().what);
  }
  send(message);
}

control::Message Server::facts() const {
  control::Message message;
  control::DeviceFacts& told = *message.mutable_device_facts();
  told.set_read_only(parts_.unit.read_only());
  told.set_write_cache(parts_.unit.write_cache());
  told.set_size_bytes(parts_.size.value);
  const scsi::LogicalUnit::State state = parts_.unit.state();
  told.set_unit_state(state.data(), state.size());
  return message;
}

void Server::tell_facts() {
  told_write_cache_ = parts_.unit.write_cache();
  told_state_ = parts_.unit.state();
  send(facts());
}

void Server::offer_grant() {
  const auto offer = grants_.offer(parts_.device.io_grant(), parts_.size, parts_.largest_transfer_bytes);
  if (offer) send(*offer);
}

void Server::tell_changed_facts() {
  // Before the answer that tells an initiator. One that was told of the end of a sanitize operation writes
  // again, and with the old state a next host would erase that; one that has switched the cache off flushes
  // no more. So this waits, if it must.
  if (parts_.unit.state() != told_state_ || parts_.unit.write_cache() != told_write_cache_) tell_facts();
}

void Server::send(const control::Message& message) {
  auto sent = parts_.control.send(message);
  // Gone: read_control() sees the same and ends in good order.
  if (!sent && !supervisor_gone(sent.error())) end_broken(sent.error());
}

}  // namespace bulkhead::host
