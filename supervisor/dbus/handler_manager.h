// RegisterHandler: another process that serves a subtype makes itself known, by owning
// org.kernel.TCMUService1.HandlerManager1.SUBTYPE and calling us. It stays known until that name loses its
// owner.
//
// Unlike tcmu-runner: the caller must be root and be the owner itself, and no handler that exists is
// replaced.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "base/bus_handles.h"
#include "base/error.h"
#include "supervisor/dbus/bus_loop.h"
#include "supervisor/model/service_model.h"

namespace bulkhead::supervisor {

// Threads: the control thread. Lifetime: as BusLoop; calls in progress refer to it.
class HandlerManager {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // `handler.bus_name` is the unique name of the process. Errors: `what` becomes the reply's message.
    virtual Result<> handler_registered(const HandlerReport& handler) = 0;
    virtual void handler_vanished(const std::string& subtype) = 0;
  };

  HandlerManager(BusLoop& loop, Listener& listener) : loop_(loop), listener_(listener) {}

  // Exports HandlerManager1 on a new connection. It never shows in GetManagedObjects: LegacyService answers
  // that.
  [[nodiscard]] Result<> attach(sd_bus* bus);
  // Forgets every registration: their unique names mean nothing on the next connection, where clients call
  // again.
  void detach();

 private:
  static int on_register(sd_bus_message* call, void* manager, sd_bus_error* error) noexcept;
  static int on_owner_changed(sd_bus_message* signal, void* manager, sd_bus_error*) noexcept;
  static const sd_bus_vtable kVtable[];

  boost::asio::awaitable<void> serve(Message call, std::string subtype, std::string description);
  boost::asio::awaitable<Result<>> register_handler(const Message& call, std::string subtype,
                                                    std::string description);

  BusLoop& loop_;
  Listener& listener_;
  Slot exported_;
  Slot watch_;
  std::map<std::string, std::string> owners_;  // subtype -> unique name
  // (subtype, caller) while the bus daemon is asked for the owner. One that loses the name meanwhile is
  // struck off: that news may overtake the resumption of register_handler().
  std::set<std::pair<std::string, std::string>> claims_;
};

}  // namespace bulkhead::supervisor
