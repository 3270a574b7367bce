// A client of the bus as tests need one: blocking, with deadlines, its messages readable as text.
#pragma once

#include <functional>
#include <string>

#include "base/bus_handles.h"

namespace bulkhead::supervisor {

class BusClient {
 public:
  explicit BusClient(const std::string& address);  // throws when there is no connection within ten seconds

  // Body of the answer as to_text() writes it; "ERROR NAME: TEXT" for an error answer. `signature` and the
  // values as sd_bus_message_append takes them.
  template <class... Values>
  std::string call(const std::string& destination, const std::string& path, const std::string& interface,
                   const std::string& member, const char* signature = "", Values... values) {
    Message message = new_call(destination, path, interface, member);
    if (*signature != '\0') check(sd_bus_message_append(message.get(), signature, values...), "append");
    return send(message);
  }
  std::string introspect(const std::string& destination, const std::string& path);  // the XML itself
  std::string get(const std::string& destination, const std::string& path, const std::string& interface,
                  const std::string& property);  // without the variant around it

  [[nodiscard]] Message new_call(const std::string& destination, const std::string& path,
                                 const std::string& interface, const std::string& member);
  std::string send(const Message& message);

  // 0 or sd-bus's negative errno.
  int own(const std::string& name) { return sd_bus_request_name(bus_.get(), name.c_str(), 0); }
  int release(const std::string& name) { return sd_bus_release_name(bus_.get(), name.c_str()); }

  // Collects the signals that match, from now on.
  void watch(const std::string& match);
  // Handles messages until `enough` holds for the signals collected so far, one line each: "MEMBER PATH
  // BODY". False after ten seconds.
  bool wait(const std::function<bool(const std::string& signals)>& enough);
  bool wait_for(const std::string& part) {
    return wait([&](const std::string& signals) { return signals.find(part) != std::string::npos; });
  }
  [[nodiscard]] const std::string& signals() const { return signals_; }
  void forget_signals() { signals_.clear(); }

  [[nodiscard]] sd_bus* bus() const { return bus_.get(); }
  [[nodiscard]] std::string unique_name() const;

 private:
  static void check(int r, const char* what);
  static int on_signal(sd_bus_message* message, void* client, sd_bus_error*) noexcept;

  BusHandle bus_;
  std::string signals_;
};

// What is left of `message` to be read: strings in quotes, arrays in [], dictionaries as {key: value},
// structs in (), variants as <value>.
std::string to_text(sd_bus_message* message);

// Runs `work` in a thread that is uid 65534 to the rest of the system. Needs root.
void as_nobody(const std::function<void()>& work);

}  // namespace bulkhead::supervisor
