#include "supervisor/dbus/ask.h"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::microseconds kDaemonDeadline = 5s;
// sd-bus reports a passed deadline itself; ours only catches a connection that ended without a word.
constexpr std::chrono::microseconds kGrace = 500ms;

struct Pending {
  boost::asio::steady_timer answered;
  Message answer;
};

int on_answer(sd_bus_message* message, void* userdata, sd_bus_error*) noexcept {
  auto* pending = static_cast<Pending*>(userdata);
  pending->answer = keep(message);
  pending->answered.cancel();
  return 1;
}

}  // namespace

boost::asio::awaitable<Result<Message>> ask(BusLoop& loop, Message call, std::chrono::microseconds deadline) {
  Pending pending{boost::asio::steady_timer(loop.io(), deadline + kGrace), nullptr};
  Slot slot;  // after `pending`: dies first, so that no answer finds it gone
  int r = loop.bus() == nullptr ? -ENOTCONN
                                : sd_bus_call_async(loop.bus(), Out(slot), call.get(), on_answer, &pending,
                                                    static_cast<std::uint64_t>(deadline.count()));
  if (r < 0) co_return fail_errno(-r, "send a D-Bus call");
  loop.flush_soon();
  auto token = boost::asio::as_tuple(boost::asio::use_awaitable);
  co_await pending.answered.async_wait(token);
  if (!pending.answer)
    co_return fail(Cause::TimedOut, ETIMEDOUT, "the message bus went away without an answer");
  co_return std::move(pending.answer);
}

boost::asio::awaitable<Result<Message>> ask_bus_daemon(BusLoop& loop, const char* member,
                                                       std::string argument) {
  Message call;
  int r = loop.bus() == nullptr
              ? -ENOTCONN
              : sd_bus_message_new_method_call(loop.bus(), Out(call), "org.freedesktop.DBus",
                                               "/org/freedesktop/DBus", "org.freedesktop.DBus", member);
  if (r >= 0) r = sd_bus_message_append(call.get(), "s", argument.c_str());
  if (r < 0) co_return fail_errno(-r, fmt::format("ask the bus daemon {}({})", member, argument));
  auto question = ask(loop, std::move(call), kDaemonDeadline);
  co_return co_await std::move(question);
}

boost::asio::awaitable<Result<uid_t>> uid_of_sender(BusLoop& loop, const Message& message) {
  const char* sender = sd_bus_message_get_sender(message.get());
  std::string name = sender != nullptr ? sender : "";
  auto question = ask_bus_daemon(loop, "GetConnectionUnixUser", name);
  Result<Message> answer = co_await std::move(question);
  if (!answer) co_return std::unexpected(std::move(answer.error()));
  std::uint32_t uid = 0;
  if (sd_bus_message_is_method_error(answer->get(), nullptr) != 0)
    co_return fail(Cause::Denied, EACCES, fmt::format("who is {}? {}", name, error_text(*answer)));
  if (sd_bus_message_read(answer->get(), "u", &uid) < 0)
    co_return fail(Cause::PeerBroken, EPROTO, "the bus daemon's GetConnectionUnixUser gives no uid");
  co_return uid_t{uid};
}

std::string error_text(const Message& answer) {
  const sd_bus_error* error = sd_bus_message_get_error(answer.get());
  if (error == nullptr) return "no error";
  return fmt::format("GDBus.Error:{}: {}", error->name, error->message != nullptr ? error->message : "");
}

}  // namespace bulkhead::supervisor
