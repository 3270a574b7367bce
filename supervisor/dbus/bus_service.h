// The supervisor on the system bus: the door to this folder. Everything visible is exported on each
// connection before the name is requested, so whoever sees the name sees every handler.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <string>
#include <string_view>

#include "base/error.h"
#include "proto/bus_names.h"
#include "supervisor/dbus/bus_loop.h"
#include "supervisor/dbus/device_objects.h"
#include "supervisor/dbus/handler_manager.h"
#include "supervisor/dbus/legacy_service.h"
#include "supervisor/dbus/operator_root.h"
#include "supervisor/model/service_model.h"

namespace bulkhead::supervisor {

struct BusOptions {
  std::string address = bus::kDefaultAddress;  // of the message bus
  std::string version;                         // shown as Manager1.Version
  // For an external handler's CheckConfig: below the 25 s after which its client gives up, with room for
  // a machine under load: a client that waits in vain never hears why.
  std::chrono::microseconds forward_deadline = std::chrono::seconds(20);
  // For polkit, which may ask somebody for a password.
  std::chrono::microseconds authorization_deadline = std::chrono::seconds(60);
};

// What becomes of the service's name. Called on the control thread, never from within the calls of
// BusService.
class BusEvents {
 public:
  virtual ~BusEvents() = default;
  virtual void name_acquired() = 0;
  // Cause::Busy: another process owns it. Cause::Denied: the bus's policy forbids it. `what` is a whole
  // sentence. The caller may end the program; otherwise the name is requested again later, for ever.
  virtual void name_refused(const Error& error) = 0;
};

// Without a bus the devices are served all the same: trouble is logged and connecting is tried again for
// ever.
//
// Threads: the control thread. Lifetime: destroy it only after the io_context has stopped running.
class BusService final : public ServiceObserver, private BusLoop::Listener, private HandlerManager::Listener {
 public:
  BusService(boost::asio::io_context& io, ServiceModel& model, BusEvents& events, BusOptions options);

  void start();
  // Gives the name up and leaves the bus.
  void stop();

  void device_added(const DeviceKey& key) override;
  void device_changed(const DeviceKey& key) override;
  void device_removed(const DeviceKey& key) override;
  void event(const DeviceKey& key, std::string_view kind, std::string_view text) override;

 private:
  Result<> connected(sd_bus* bus) override;
  void disconnected() override;
  void trouble(const Error& error, std::chrono::milliseconds retry) override;
  Result<> handler_registered(const HandlerReport& handler) override;
  void handler_vanished(const std::string& subtype) override;

  [[nodiscard]] Result<> export_all(sd_bus* bus);
  boost::asio::awaitable<void> own_name(std::uint64_t connection);

  ServiceModel& model_;
  BusEvents& events_;
  BusLoop loop_;
  LegacyService legacy_;
  HandlerManager handler_manager_;
  DeviceObjects devices_;
  OperatorRoot root_;
  std::uint64_t connection_ = 0;  // counts connections
  std::string last_trouble_;      // the same trouble is logged once
};

}  // namespace bulkhead::supervisor
