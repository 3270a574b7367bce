#include "supervisor/dbus/name_claim.h"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <string_view>

#include "proto/bus_names.h"
#include "supervisor/dbus/ask.h"

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kDoNotQueue = 4;
constexpr std::uint32_t kPrimaryOwner = 1, kAlreadyOwner = 4;

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The last "NAME.service" in the path of a cgroup: "0::/system.slice/tcmu-runner.service".
std::string unit_of(std::uint32_t pid) {
  std::string line = first_line(fmt::format("/proc/{}/cgroup", pid));
  std::size_t end = line.rfind(".service");
  if (end == std::string::npos) return "";
  std::size_t begin = line.rfind('/', end) + 1;
  return line.substr(begin, end - begin) + ".service";
}

boost::asio::awaitable<std::string> describe_owner(BusLoop& loop) {
  auto question = ask_bus_daemon(loop, "GetConnectionUnixProcessID", bus::kServiceName);
  Result<Message> answer = co_await std::move(question);
  std::uint32_t pid = 0;
  if (!answer || sd_bus_message_read(answer->get(), "u", &pid) < 0) co_return "another process";
  co_return describe_process(pid);
}

Error refusal(const Message& answer) {
  bool denied = sd_bus_message_is_method_error(answer.get(), SD_BUS_ERROR_ACCESS_DENIED) != 0;
  if (!denied)
    return Error{Cause::PeerBroken, EPROTO,
                 fmt::format("request the name {}: {}", bus::kServiceName, error_text(answer))};
  return Error{
      Cause::Denied, EACCES,
      fmt::format("the message bus does not let us own {}: is /usr/share/dbus-1/system.d/{}.conf installed, "
                  "readable by the bus and loaded (systemctl reload dbus)?",
                  bus::kServiceName, bus::kServiceName)};
}

}  // namespace

std::string describe_process(std::uint32_t pid) {
  std::string command = first_line(fmt::format("/proc/{}/comm", pid));
  std::string unit = unit_of(pid);
  if (command.empty()) return fmt::format("pid {}", pid);
  if (unit.empty()) return fmt::format("pid {} ({})", pid, command);
  return fmt::format("pid {} ({}, unit {})", pid, command, unit);
}

boost::asio::awaitable<Result<>> claim_name(BusLoop& loop) {
  Message call;
  int r = sd_bus_message_new_method_call(loop.bus(), Out(call), "org.freedesktop.DBus",
                                         "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName");
  if (r >= 0) r = sd_bus_message_append(call.get(), "su", bus::kServiceName, kDoNotQueue);
  if (r < 0) co_return fail_errno(-r, "request the service's name");
  auto question = ask(loop, std::move(call), 25s);
  Result<Message> answer = co_await std::move(question);
  if (!answer) co_return std::unexpected(std::move(answer.error()));
  std::uint32_t outcome = 0;
  if (sd_bus_message_is_method_error(answer->get(), nullptr) != 0)
    co_return std::unexpected(refusal(*answer));
  if (sd_bus_message_read(answer->get(), "u", &outcome) < 0)
    co_return fail(Cause::PeerBroken, EPROTO, "the bus daemon's RequestName gives no outcome");
  if (outcome == kPrimaryOwner || outcome == kAlreadyOwner) co_return Result<>{};
  auto owner = describe_owner(loop);
  std::string who = co_await std::move(owner);
  co_return fail(
      Cause::Busy, EBUSY,
      fmt::format("the bus name {} is owned by {}: stop it first, only one daemon can serve TCMU devices",
                  bus::kServiceName, who));
}

}  // namespace bulkhead::supervisor
