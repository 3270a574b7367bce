#include "tcmuctl/bus.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "proto/bus_names.h"

namespace bulkhead::tcmuctl {
namespace {

using nlohmann::json;

constexpr int kDeepest = 32;  // containers in containers; D-Bus itself allows 64

// Throws std::runtime_error when the message is not what D-Bus allows; caught in to_json().
[[noreturn]] void broken() {
  throw std::runtime_error("unreadable D-Bus message");
}

template <class T>
T basic(sd_bus_message* message, char type) {
  T value{};
  if (sd_bus_message_read_basic(message, type, static_cast<void*>(&value)) <= 0) broken();
  return value;
}

json one_value(sd_bus_message* message, int depth);

json values(sd_bus_message* message, int depth) {
  json list = json::array();
  while (sd_bus_message_at_end(message, 0) == 0) list.push_back(one_value(message, depth));
  return list;
}

json container(sd_bus_message* message, char type, const char* contents, int depth) {
  if (depth > kDeepest || sd_bus_message_enter_container(message, type, contents) <= 0) broken();
  bool dictionary = type == 'a' && contents[0] == '{';
  json list = values(message, depth + 1);
  if (sd_bus_message_exit_container(message) < 0) broken();
  if (type == 'v') return list.at(0);
  if (!dictionary) return list;
  json object = json::object();
  for (json& entry : list) object[entry.at(0).get<std::string>()] = std::move(entry.at(1));
  return object;
}

json one_value(sd_bus_message* message, int depth) {
  char type = 0;
  const char* contents = nullptr;
  if (sd_bus_message_peek_type(message, &type, &contents) <= 0) broken();
  switch (type) {
    case 's':
    case 'o':
    case 'g':
      return basic<const char*>(message, type);
    case 'b':
      return basic<int>(message, type) != 0;
    case 'y':
      return basic<std::uint8_t>(message, type);
    case 'n':
      return basic<std::int16_t>(message, type);
    case 'q':
      return basic<std::uint16_t>(message, type);
    case 'i':
      return basic<std::int32_t>(message, type);
    case 'u':
      return basic<std::uint32_t>(message, type);
    case 'x':
      return basic<std::int64_t>(message, type);
    case 't':
      return basic<std::uint64_t>(message, type);
    case 'd':
      return basic<double>(message, type);
    default:
      return container(message, type, contents, depth);
  }
}

Failure not_running() {
  return {ExitCode::NotRunning,
          "tcmu-supervisor is not running: start it with 'systemctl start tcmu-supervisor'; 'tcmuctl doctor' "
          "tells what "
          "keeps it from starting"};
}

Failure failure_of(const sd_bus_error* error, int r) {
  if (error->name == nullptr) return {ExitCode::NotRunning, "message bus: " + errno_text(-r)};
  auto is = [&](const char* name) { return std::strcmp(error->name, name) == 0; };
  std::string text = error->message != nullptr ? error->message : error->name;
  if (is(SD_BUS_ERROR_SERVICE_UNKNOWN) || is(SD_BUS_ERROR_NAME_HAS_NO_OWNER)) return not_running();
  if (is(SD_BUS_ERROR_ACCESS_DENIED)) return {ExitCode::Denied, text};
  if (is(SD_BUS_ERROR_UNKNOWN_OBJECT)) return {ExitCode::NotFound, text};
  if (is(SD_BUS_ERROR_TIMEOUT) || is(SD_BUS_ERROR_NO_REPLY))
    return {ExitCode::TimedOut,
            fmt::format("tcmu-supervisor did not answer in time ({}); 'tcmuctl doctor' and 'journalctl -u "
                        "tcmu-supervisor' tell more",
                        text)};
  return {ExitCode::Failed, text};
}

}  // namespace

Outcome<json> to_json(sd_bus_message* message) try {
  json list = values(message, 0);
  if (list.size() == 1) return std::move(list.at(0));
  return list;
} catch (const std::exception& error) {
  return std::unexpected(Failure{ExitCode::Failed, error.what()});
}

Outcome<Bus> Bus::open(const std::string& address) {
  BusHandle bus;
  int r = 0;
  if (address.empty()) {
    r = sd_bus_open_system_with_description(Out(bus), "tcmuctl");
  } else {
    r = sd_bus_new(Out(bus));
    if (r >= 0) r = sd_bus_set_address(bus.get(), address.c_str());
    if (r >= 0) r = sd_bus_set_bus_client(bus.get(), 1);
    if (r >= 0) r = sd_bus_start(bus.get());
  }
  if (r < 0)
    return std::unexpected(Failure{
        ExitCode::NotRunning, fmt::format("no message bus: {}; is dbus.service running?", errno_text(-r))});
  return Bus(std::move(bus));
}

Outcome<bool> Bus::may_own(const std::string& name) {
  int r = sd_bus_request_name(bus_.get(), name.c_str(), 0);
  if (r == -EACCES || r == -EPERM) return false;
  if (r < 0)
    return std::unexpected(Failure{ExitCode::Failed, fmt::format("own {}: {}", name, errno_text(-r))});
  sd_bus_release_name(bus_.get(), name.c_str());
  return true;
}

Outcome<json> Bus::call(const std::string& destination, const std::string& path, const std::string& interface,
                        const std::string& member, const Arguments& arguments,
                        std::chrono::seconds deadline) {
  Message call;
  Message answer;
  BusError error;
  int r = sd_bus_message_new_method_call(bus_.get(), Out(call), destination.c_str(), path.c_str(),
                                         interface.c_str(), member.c_str());
  if (r >= 0) r = sd_bus_message_set_auto_start(call.get(), 0);
  // Whoever types the command may be asked for a password by polkit, where it runs.
  if (r >= 0) r = sd_bus_message_set_allow_interactive_authorization(call.get(), 1);
  for (const auto& argument : arguments) {
    if (r < 0) break;
    if (const auto* text = std::get_if<std::string>(&argument))
      r = sd_bus_message_append(call.get(), "s", text->c_str());
    else
      r = sd_bus_message_append(call.get(), "t", std::get<std::uint64_t>(argument));
  }
  if (r < 0) return std::unexpected(Failure{ExitCode::Failed, fmt::format("{}: {}", member, errno_text(-r))});
  auto usec = static_cast<std::uint64_t>(std::chrono::microseconds(deadline).count());
  r = sd_bus_call(bus_.get(), call.get(), usec, error.get(), Out(answer));
  if (r < 0) return std::unexpected(failure_of(error.get(), r));
  return to_json(answer.get());
}

}  // namespace bulkhead::tcmuctl
