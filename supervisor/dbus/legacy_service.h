// The service that tcmu-runner's clients know, unchanged: an ObjectManager with one object per handler
// beneath it and nothing else, because targetcli makes a backstore of every object it finds there, whatever
// its interfaces.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "base/bus_handles.h"
#include "base/error.h"
#include "supervisor/dbus/bus_loop.h"
#include "supervisor/model/service_model.h"

namespace bulkhead::supervisor {

// Threads: the control thread. Lifetime: as BusLoop; calls in progress refer to it.
class LegacyService {
 public:
  // `forward_deadline`: what an external handler has for a CheckConfig.
  LegacyService(BusLoop& loop, ServiceModel& model, std::chrono::microseconds forward_deadline)
      : loop_(loop), model_(model), forward_deadline_(forward_deadline) {}

  // Exports the ObjectManager on a new connection. Handlers follow by add().
  [[nodiscard]] Result<> attach(sd_bus* bus);
  void detach();

  // One object more, with InterfacesAdded. Errors: BadInput when the subtype can't be an object path; Busy
  // when it is there already.
  [[nodiscard]] Result<> add(const HandlerReport& handler);
  void remove(const std::string& subtype);  // with InterfacesRemoved; nothing happens if there is none
  [[nodiscard]] bool has(const std::string& subtype) const { return objects_.contains(subtype); }

 private:
  struct Object {
    LegacyService* service;
    HandlerReport handler;
    Slot exported;
  };

  static int get_description(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply,
                             void* object, sd_bus_error*) noexcept;
  static int on_check_config(sd_bus_message* call, void* object, sd_bus_error* error) noexcept;
  static int on_root_message(sd_bus_message* call, void* service, sd_bus_error*) noexcept;
  static const sd_bus_vtable kVtable[];

  [[nodiscard]] int reply_managed_objects(sd_bus_message* call) const;
  boost::asio::awaitable<void> check(Message call, HandlerReport handler, std::string config);
  boost::asio::awaitable<ConfigVerdict> judge(const Message& call, HandlerReport handler, std::string config);
  boost::asio::awaitable<ConfigVerdict> judge_by_owner(HandlerReport handler, std::string config);

  BusLoop& loop_;
  ServiceModel& model_;
  const std::chrono::microseconds forward_deadline_;
  Slot root_;
  Slot manager_;
  std::map<std::string, std::unique_ptr<Object>> objects_;  // by subtype; sd-bus keeps pointers to them
  int checks_of_others_ = 0;                                // in progress, for callers that are not root
};

}  // namespace bulkhead::supervisor
