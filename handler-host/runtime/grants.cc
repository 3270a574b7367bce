#include "handler-host/runtime/grants.h"

#include "proto/channel_abi.h"

namespace bulkhead::host {
namespace {

constexpr std::uint32_t kLastNumber = UINT32_MAX >> channel::kGrantBits;

}  // namespace

std::optional<control::Message> Grants::offer(const std::optional<handler::IoGrant>& granted, ByteCount size,
                                              std::uint32_t largest_transfer_bytes) {
  withdraw();
  offered_.reset();
  if (!granted || number_ == kLastNumber) return std::nullopt;
  control::Message message;
  control::IoGrant& grant = *message.mutable_io_grant();
  grant.set_number(++number_);
  grant.set_first_byte(granted->first.value);
  grant.set_bytes(size.value);
  grant.set_largest_transfer_bytes(largest_transfer_bytes);
  direct_ = granted->direct;
  if (direct_) grant.set_direct(true);
  if (granted->nothing_to_flush) grant.set_nothing_to_flush(true);
  offered_ = message;
  return message;
}

void Grants::show(const scsi::Granted& granted) {
  std::uint32_t word = 0;
  const bool writes = granted.writes && !direct_;
  if (offered_ && (granted.reads || writes))
    word = number_ << channel::kGrantBits | (granted.reads ? channel::kGrantReads : 0) |
           (writes ? channel::kGrantWrites : 0);
  if (word == shown_) return;
  shown_ = word;
  channel_.set_grant(word);
}

}  // namespace bulkhead::host
