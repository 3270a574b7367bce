// What this host grants its supervisor: the offer by control message, and the channel's word that says what
// of it counts now. Source: proto/control.proto (IoGrant), proto/channel_abi.h ("I/O grants").
//
// Threads: the loop thread.
#pragma once

#include <cstdint>
#include <optional>

#include "base/quantity.h"
#include "handler-host/api/handler.h"
#include "handler-host/channel/host_channel.h"
#include "handler-host/scsi/logical_unit.h"
#include "proto/control.pb.h"

namespace bulkhead::host {

class Grants {
 public:
  explicit Grants(HostChannel& channel) : channel_(channel) {}

  // A new offer, in the place of the last, which is void from now on. `granted`: handler::Device::io_grant().
  // nullopt: nothing is offered.
  [[nodiscard]] std::optional<control::Message> offer(const std::optional<handler::IoGrant>& granted,
                                                      ByteCount size, std::uint32_t largest_transfer_bytes);
  // The last one, again: for another supervisor.
  [[nodiscard]] std::optional<control::Message> offered() const { return offered_; }
  // To be called before answers are published.
  void show(const scsi::Granted& granted);
  void withdraw() { show({}); }

 private:
  HostChannel& channel_;
  std::optional<control::Message> offered_;
  bool direct_ = false;  // the last one: there is nothing to write by it
  std::uint32_t number_ = 0;
  std::uint32_t shown_ = 0;
};

}  // namespace bulkhead::host
