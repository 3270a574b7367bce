// The operators' view of devices: one object per device beneath /org/kernel/TCMUDevices1.
//
// Signals: what describes the device's state is announced at once. Counters are announced at most once a
// second, and only for a minute after somebody read a device: an idle or unobserved supervisor is not woken
// for them.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/bus_handles.h"
#include "base/error.h"
#include "supervisor/dbus/authorization.h"
#include "supervisor/dbus/bus_loop.h"
#include "supervisor/dbus/device_properties.h"
#include "supervisor/model/service_model.h"

namespace bulkhead::supervisor {

// Threads: the control thread. Lifetime: as BusLoop; calls in progress refer to it.
class DeviceObjects {
 public:
  // `authorization_deadline`: see Authorization.
  DeviceObjects(BusLoop& loop, ServiceModel& model, std::chrono::microseconds authorization_deadline)
      : loop_(loop), model_(model), authorization_(loop, authorization_deadline), timer_(loop.io()) {}

  // Exports every device of the model on a new connection; the ObjectManager above them is there already.
  [[nodiscard]] Result<> attach();
  void detach();

  void add(const DeviceKey& key);  // with InterfacesAdded
  void changed(const DeviceKey& key);
  void remove(const DeviceKey& key);  // with InterfacesRemoved

  [[nodiscard]] std::size_t size() const { return objects_.size(); }
  [[nodiscard]] std::map<std::string, std::uint32_t> count_by_state() const;

 private:
  class Object final : public DeviceView {
   public:
    Object(DeviceObjects& set, DeviceKey key);
    [[nodiscard]] Result<> publish();
    void announce_added();
    void announce_removed();
    void announce_state();
    void announce_counters();
    [[nodiscard]] DeviceState state() const { return announced_state_.state; }

    const DeviceReport& report_for_client() override;
    void operate(sd_bus_message* call, Operation operation) override;

   private:
    void refresh();
    void announce(const std::vector<const char*>& properties);

    DeviceObjects& set_;
    const DeviceKey key_;
    const std::string path_;
    DeviceReport report_;
    std::uint64_t read_in_turn_ = 0;
    DeviceReport announced_state_;  // what clients were told of last
    DeviceReport announced_counters_;
    Slot exported_;
  };

  void somebody_reads();
  void announce_counters_every_second();
  boost::asio::awaitable<void> serve(Message call, DeviceKey key, DeviceView::Operation operation);

  BusLoop& loop_;
  ServiceModel& model_;
  Authorization authorization_;
  boost::asio::steady_timer timer_;
  bool timer_runs_ = false;
  std::chrono::steady_clock::time_point last_read_;
  std::map<DeviceKey, std::unique_ptr<Object>> objects_;  // sd-bus keeps pointers to them
};

}  // namespace bulkhead::supervisor
