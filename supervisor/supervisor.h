// The whole supervisor: makes the parts, joins them, runs the control thread's loop.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "supervisor/broker/image_claims.h"
#include "supervisor/config/manifests.h"
#include "supervisor/config/settings.h"
#include "supervisor/configfs/blocking_pool.h"
#include "supervisor/dbus/bus_service.h"
#include "supervisor/device/device_manager.h"
#include "supervisor/keeper/kept_lun.h"
#include "supervisor/netlink/kernel_link.h"
#include "supervisor/process/service_state.h"
#include "supervisor/pump/pump.h"
#include "supervisor/spawn/cgroups.h"

namespace bulkhead::supervisor {

// Everything that is made once, before the loop, and may fail.
struct Parts {
  HandlerRegistry handlers;
  std::vector<std::unique_ptr<Pump>> pumps;
  Cgroups cgroups;
  std::unique_ptr<TcmUserPort> port;
  FdStore store;
  KeptLuns kept;
};

class Supervisor final : private BusEvents {
 public:
  Supervisor(SettingsLoader loader, Settings settings, Parts parts);

  // Until a signal ends it, or it has no chance to work. Result: the exit code.
  int run();

 private:
  // Devices are made with an observer, the bus with a model of the devices: this closes the circle.
  struct ObserverRelay final : ServiceObserver {
    ServiceObserver* to = nullptr;
    void device_added(const DeviceKey& key) override { to->device_added(key); }
    void device_changed(const DeviceKey& key) override { to->device_changed(key); }
    void device_removed(const DeviceKey& key) override { to->device_removed(key); }
    void event(const DeviceKey& key, std::string_view kind, std::string_view text) override {
      to->event(key, kind, text);
    }
  };

  boost::asio::awaitable<void> follow_kernel();
  boost::asio::awaitable<void> watch_kernel_interface();
  boost::asio::awaitable<void> follow_signals();
  boost::asio::awaitable<void> reload_settings();
  void take(LoadedSettings loaded);
  boost::asio::awaitable<void> start_without_bus();
  boost::asio::awaitable<void> stop(int exit_code);
  boost::asio::awaitable<void> stop_or_make_way();
  void give_up(const std::string& why);
  void show_status();
  void name_acquired() override;
  void name_refused(const Error& error) override;

  SettingsLoader loader_;
  Settings settings_;
  Parts parts_;
  const SysRoot root_;
  const HostSettings hosts_;
  boost::asio::io_context io_{1};
  BlockingPool pool_;         // configfs, sysfs
  BlockingPool files_{1024};  // backing files: storage may hang, and must not take configfs with it
  ImageClaims images_;
  StartGate starts_{io_};
  ObserverRelay relay_;
  DeviceManager manager_;
  BusService bus_;
  ServiceState state_;
  KernelLink link_;
  boost::asio::signal_set signals_;
  std::string kernel_lacks_;  // and the remedy; empty: nothing
  bool named_once_ = false;
  bool stopping_ = false;
  int exit_code_ = 0;
};

}  // namespace bulkhead::supervisor
