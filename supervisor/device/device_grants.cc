// I/O grants of a device's host: what it offers, what becomes of it.
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

#include "base/log.h"
#include "supervisor/broker/grant_file.h"
#include "supervisor/device/device.h"

namespace bulkhead::supervisor {
namespace {

using boost::asio::awaitable;

constexpr std::chrono::milliseconds kOpenDeadline{15'000};

}  // namespace

void Device::host_offers_grant(const GrantOffer& offer) {
  offer_ = offer;
  take_grant_anew();
}

// The file is opened only when there is an offer, and closed with it: who has no use for it does not hold it.
void Device::take_grant_anew() {
  granted_ = nullptr;
  apply_grant();
  if (const char* refusal = grant_refusal())
    show_grant_state(refusal);
  else if (!opening_grant_)
    boost::asio::co_spawn(context_.io, open_grant(), boost::asio::detached);
}

// Why there is no grant, whatever file could be opened; null: there may be one.
const char* Device::grant_refusal() const {
  const DeviceSettings settings = context_.policies.of(label_);
  if (!settings.io_grants.value_or(true)) return "off: tcmu.conf says io_grants = off";
  if (!offer_ || !witness_) return kNoGrant;
  if (offer_->direct && settings.io_weight)
    return "none: tcmu.conf has a host_io_weight, which reads of the disk by grant would escape";
  return nullptr;
}

void Device::show_grant_state(std::string state) {
  if (grant_state_ == state) return;
  grant_state_ = std::move(state);
  changed();
}

// One at a time: storage may hang, and a host offers as often as it likes.
awaitable<void> Device::open_grant() {
  const auto self = shared_from_this();
  opening_grant_ = true;
  const auto witness = witness_;
  const std::uint32_t number = offer_->number;
  auto opened = co_await files_.open_grant(witness, offer_->direct, kOpenDeadline);
  opening_grant_ = false;
  if (!offer_ || offer_->number != number || witness_ != witness) {
    if (offer_) take_grant_anew();
    co_return;
  }
  if (grant_refusal() != nullptr) co_return;
  if (!opened) {
    show_grant_state(fmt::format("none: {}", opened.error().what));
    co_return;
  }
  granted_ = context_.files.closed_here(std::move(opened->file));
  granted_in_memory_ = opened->in_memory;
  granted_disk_ = opened->is_disk;
  apply_grant();
  show_grant_state(kind_of_grant());
}

std::string Device::kind_of_grant() const {
  if (offer_->direct && !pump_.reads_direct())
    return "none: past the page cache it takes io_uring (see /proc/sys/kernel/io_uring_disabled)";
  if (offer_->direct)
    return granted_disk_ ? "granted; reads alone: past the page cache"
                         : "granted; reads alone, while no other LUN shares its pump: past the page cache";
  if (granted_in_memory_) return "granted; writes while no other LUN shares its pump: the file is in memory";
  return "granted";
}

// What the host says of its own file harms its own LUN alone. What must hold for the others is that no call
// waits, and that no other file is meant. Before a host is attached a grant would be forgotten; then it is
// applied.
void Device::apply_grant() {
  if (!attached_ || !path_on_pump_) return;
  IoGrant grant;
  if (granted_ && offer_)
    grant = IoGrant({.file = granted_,
                     .number = offer_->number,
                     .first = {offer_->first_byte},
                     .size = {offer_->bytes},
                     .block_bytes = kernel_->facts.block_bytes,
                     .largest_bytes = std::min(offer_->largest_transfer_bytes, IoGrant::kLargestBytes),
                     .writable = !offer_->direct,
                     .in_memory = granted_in_memory_,
                     .nothing_to_flush = offer_->nothing_to_flush,
                     .direct = offer_->direct,
                     .is_disk = granted_disk_});
  pump_.post([this, grant] { path_->set_grant(grant); });
}

// While the host changes what writes have to be, none must be on its way beside it.
awaitable<void> Device::pause_grant(bool pause) {
  auto set = [this, pause] { path_->pause_grant(pause); };
  co_await pump_do(std::move(set));
}

}  // namespace bulkhead::supervisor
