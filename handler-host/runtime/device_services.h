// What the host does for its handler: the implementation of handler::Services.
//
// Threads: see there.
#pragma once

#include <cstdint>
#include <string_view>

#include "handler-host/api/handler.h"
#include "handler-host/channel/host_channel.h"
#include "handler-host/runtime/control_client.h"
#include "handler-host/runtime/counters.h"
#include "handler-host/runtime/event_loop.h"
#include "handler-host/runtime/journal.h"

namespace bulkhead::host {

class DeviceServices final : public handler::Services {
 public:
  DeviceServices(EventLoop& loop, ControlClient& control, Journal& journal)
      : loop_(loop), control_(control), journal_(journal), counters_(loop, control) {}

  [[nodiscard]] Result<UniqueFd> open_file(const handler::FileRequest& request) override;
  void watch(int fd, std::uint32_t events, std::move_only_function<void()> ready) override;
  void unwatch(int fd) override { loop_.unwatch(fd); }
  void post(std::move_only_function<void()> work) override { loop_.post(std::move(work)); }
  void after(std::uint32_t delay_ms, std::move_only_function<void()> work) override;
  void log(handler::LogLevel level, std::string_view text) override { journal_.log(level, text); }
  void count(std::string_view name, std::uint64_t amount) override { counters_.count(name, amount); }

  [[nodiscard]] std::uint32_t granted_writes() const override {
    return channel_ == nullptr ? 0 : channel_->granted_writes();
  }

  // The device's, once there is one; lives as long as this object is asked.
  void set_channel(const HostChannel& channel) { channel_ = &channel; }
  void tell_counters() { counters_.tell(); }
  void tell_counters_again() { counters_.tell_again(); }

 private:
  EventLoop& loop_;
  ControlClient& control_;
  Journal& journal_;
  Counters counters_;
  const HostChannel* channel_ = nullptr;
};

}  // namespace bulkhead::host
