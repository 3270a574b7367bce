#include "supervisor/dbus/testing/bus_client.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <thread>

namespace bulkhead::supervisor {
namespace {

constexpr std::uint64_t kDeadlineUsec = 10'000'000;

template <class T>
T read_basic(sd_bus_message* message, char type) {
  T value{};
  if (sd_bus_message_read_basic(message, type, static_cast<void*>(&value)) < 0)
    throw std::runtime_error("unreadable message");
  return value;
}

std::string value_text(sd_bus_message* message);

std::string container_text(sd_bus_message* message, char type, const char* contents) {
  if (sd_bus_message_enter_container(message, type, contents) < 0)
    throw std::runtime_error("unreadable container");
  std::string text = to_text(message);
  sd_bus_message_exit_container(message);
  switch (type) {
    case 'a':
      return contents[0] == '{' ? "{" + text + "}" : "[" + text + "]";
    case 'v':
      return "<" + text + ">";
    case 'e':
      return text.replace(text.find(", "), 2, ": ");
    default:
      return "(" + text + ")";
  }
}

std::string value_text(sd_bus_message* message) {
  char type = 0;
  const char* contents = nullptr;
  if (sd_bus_message_peek_type(message, &type, &contents) <= 0) return "";
  switch (type) {
    case 's':
    case 'o':
    case 'g':
      return fmt::format("\"{}\"", read_basic<const char*>(message, type));
    case 'b':
      return read_basic<int>(message, type) != 0 ? "true" : "false";
    case 'u':
      return fmt::to_string(read_basic<std::uint32_t>(message, type));
    case 't':
      return fmt::to_string(read_basic<std::uint64_t>(message, type));
    case 'i':
      return fmt::to_string(read_basic<std::int32_t>(message, type));
    default:
      return container_text(message, type, contents);
  }
}

}  // namespace

std::string to_text(sd_bus_message* message) {
  std::string text;
  while (sd_bus_message_at_end(message, 0) == 0) {
    if (!text.empty()) text += ", ";
    text += value_text(message);
  }
  return text;
}

BusClient::BusClient(const std::string& address) {
  check(sd_bus_new(Out(bus_)), "new");
  check(sd_bus_set_address(bus_.get(), address.c_str()), "address");
  check(sd_bus_set_bus_client(bus_.get(), 1), "client");
  check(sd_bus_start(bus_.get()), "start");
  check(sd_bus_set_method_call_timeout(bus_.get(), kDeadlineUsec), "timeout");
  const char* name = nullptr;
  check(sd_bus_get_unique_name(bus_.get(), &name), "connect");
}

void BusClient::check(int r, const char* what) {
  if (r < 0) throw std::runtime_error(fmt::format("bus client: {}: errno {}", what, -r));
}

std::string BusClient::unique_name() const {
  const char* name = nullptr;
  check(sd_bus_get_unique_name(bus_.get(), &name), "name");
  return name;
}

Message BusClient::new_call(const std::string& destination, const std::string& path,
                            const std::string& interface, const std::string& member) {
  Message message;
  check(sd_bus_message_new_method_call(bus_.get(), Out(message), destination.c_str(), path.c_str(),
                                       interface.c_str(), member.c_str()),
        "new call");
  return message;
}

std::string BusClient::send(const Message& message) {
  BusError error;
  Message answer;
  int r = sd_bus_call(bus_.get(), message.get(), kDeadlineUsec, error.get(), Out(answer));
  if (r < 0)
    return fmt::format("ERROR {}: {}", error.get()->name != nullptr ? error.get()->name : "?", error.text());
  return to_text(answer.get());
}

std::string BusClient::introspect(const std::string& destination, const std::string& path) {
  std::string text = call(destination, path, "org.freedesktop.DBus.Introspectable", "Introspect");
  return text.size() >= 2 && text.front() == '"' ? text.substr(1, text.size() - 2) : text;
}

std::string BusClient::get(const std::string& destination, const std::string& path,
                           const std::string& interface, const std::string& property) {
  std::string text = call(destination, path, "org.freedesktop.DBus.Properties", "Get", "ss",
                          interface.c_str(), property.c_str());
  return text.size() >= 2 && text.front() == '<' ? text.substr(1, text.size() - 2) : text;
}

int BusClient::on_signal(sd_bus_message* message, void* client, sd_bus_error*) noexcept {
  static_cast<BusClient*>(client)->signals_ += fmt::format(
      "{} {} {}\n", sd_bus_message_get_member(message), sd_bus_message_get_path(message), to_text(message));
  return 0;
}

void BusClient::watch(const std::string& match) {
  check(sd_bus_add_match(bus_.get(), nullptr, match.c_str(), &BusClient::on_signal, this), "match");
}

bool BusClient::wait(const std::function<bool(const std::string&)>& enough) {
  auto deadline = std::chrono::steady_clock::now() + std::chrono::microseconds(kDeadlineUsec);
  while (!enough(signals_)) {
    int r = sd_bus_process(bus_.get(), nullptr);
    if (r < 0) return false;
    auto left =
        std::chrono::duration_cast<std::chrono::microseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    if (r == 0 && sd_bus_wait(bus_.get(), static_cast<std::uint64_t>(left.count())) < 0) return false;
  }
  return true;
}

void as_nobody(const std::function<void()>& work) {
  // The system call itself changes the calling thread alone; glibc's function would change them all.
  std::thread([&] {
    if (::syscall(SYS_setresuid, 65534, 65534, 65534) != 0) throw std::runtime_error("this test needs root");
    work();
  }).join();
}

}  // namespace bulkhead::supervisor
