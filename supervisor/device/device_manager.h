// All devices: who there is, who comes and goes, and which handler and pump each one has.
//
// Threads: the control thread. Lifetime: outlives the io_context's last run.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "supervisor/config/manifests.h"
#include "supervisor/device/config_check.h"
#include "supervisor/device/device.h"
#include "supervisor/netlink/kernel_link.h"

namespace bulkhead::supervisor {

class DeviceManager final : public ServiceModel {
 public:
  // `pumps`: at least one. `kept`: what systemd kept for us when an earlier supervisor ended.
  DeviceManager(DeviceContext context, const HandlerRegistry& handlers,
                std::span<const std::unique_ptr<Pump>> pumps, KeptLuns kept);

  // Takes over the devices that are there, then serves the kernel's events for ever. Returns when the link
  // breaks.
  boost::asio::awaitable<Error> follow(KernelLink& link, bool module_loaded);
  // Every device in good order, all at the same time, each with its deadlines; they stay in the kernel,
  // blocked.
  boost::asio::awaitable<void> stop();
  // Hosts and devices stay as they are for the next supervisor. Nothing may be asked of this object any more.
  void leave_running();
  // context.policies has changed.
  void take_new_policies();

  [[nodiscard]] std::vector<HandlerReport> handlers() const override;
  [[nodiscard]] std::vector<DeviceKey> devices() const override;
  [[nodiscard]] std::optional<DeviceReport> device(const DeviceKey& key) const override;
  boost::asio::awaitable<ConfigVerdict> check_config(std::string subtype, std::string config,
                                                     CallerRights rights) override;
  boost::asio::awaitable<Result<>> restart(DeviceKey key) override;
  boost::asio::awaitable<Result<>> hold(DeviceKey key) override;
  boost::asio::awaitable<Result<>> resume(DeviceKey key) override;
  boost::asio::awaitable<Result<>> set_limits(DeviceKey key, std::optional<DeviceLimits> limits) override;

 private:
  struct Entry {
    std::shared_ptr<Device> device;          // shared with its own coroutine
    std::optional<std::uint32_t> device_id;  // the kernel's, where known
    std::size_t pump;
    PendingReply removed;  // owed for its removal, given when it is taken down
    // Came under the same name before this one was gone.
    std::optional<Announced> successor;
  };

  boost::asio::awaitable<void> scan(KernelLink& link);
  boost::asio::awaitable<void> look_at(KernelLink& link, UioDevice uio);
  boost::asio::awaitable<bool> look_once(KernelLink& link, const UioDevice& uio);
  boost::asio::awaitable<void> keep(DeviceKey key, std::shared_ptr<Device> device, KernelDeviceAge age,
                                    PendingReply added, std::optional<KeptLun> kept);
  boost::asio::awaitable<void> look_again(UioDevice uio);
  boost::asio::awaitable<void> end_stale_waits(KernelLink& link);
  boost::asio::awaitable<void> settled(KernelLink& link);  // nothing is owed, and nothing looked at
  boost::asio::awaitable<void> drop_unclaimed();
  boost::asio::awaitable<void> reconfigure(std::shared_ptr<Device> device, Change change, PendingReply reply);
  void take(Announced announced);
  void take_added(Announced announced);
  void add(UioDevice uio, KernelDeviceAge age, PendingReply added, std::optional<std::uint32_t> device_id);
  void remove(const DeviceKey& key, PendingReply reply);
  void forget(const DeviceKey& key);

  void say_if_misspelt(const UioDevice& uio) const;
  [[nodiscard]] const Handler* handler_for(const UioDevice& uio) const;
  [[nodiscard]] std::shared_ptr<Device> find(const DeviceKey& key) const;
  [[nodiscard]] std::size_t idlest_pump() const;

  DeviceContext context_;
  const HandlerRegistry& handlers_;
  std::span<const std::unique_ptr<Pump>> pumps_;
  ConfigChecks checks_;
  KeptLuns kept_;  // until the first scan has given them out
  std::map<DeviceKey, Entry> entries_;
  unsigned being_looked_at_ = 0;
  bool ending_waits_ = false;
  Wake all_gone_;  // the last entry went
  bool stopping_ = false;
};

}  // namespace bulkhead::supervisor
