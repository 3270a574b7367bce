// Hands one LUN's descriptors to systemd and takes them back: what the next supervisor will find of it.
//
// Threads: the control thread; systemd is written to on the pool, as it may be slow. What can't be kept costs
// a promise and not the LUN: a restart of the supervisor then blocks and resets its ring. That is logged.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "supervisor/configfs/blocking_pool.h"
#include "supervisor/keeper/fd_store.h"
#include "supervisor/keeper/kept_name.h"

namespace bulkhead::supervisor {

class LunKeeper {
 public:
  using Kept = std::vector<std::pair<KeptKind, UniqueFd>>;

  // `label` names the device in log lines. All but the strings outlive this.
  LunKeeper(BlockingPool& pool, const FdStore& store, std::uint32_t minor, std::string label)
      : pool_(pool), store_(store), minor_(minor), label_(std::move(label)) {}

  boost::asio::awaitable<void> keep(Kept kept) const;
  boost::asio::awaitable<void> drop_host() const;
  // When it returns, systemd has closed its copies of whatever there was of this LUN, or did not in time.
  boost::asio::awaitable<void> drop_all() const;

  // Without one of these a host can't be adopted.
  static constexpr KeptKind kOfTheHost[] = {KeptKind::Control,  KeptKind::Pidfd,       KeptKind::Stderr,
                                            KeptKind::Requests, KeptKind::Completions, KeptKind::Data,
                                            KeptKind::Doorbell, KeptKind::Eventfd};

 private:
  enum class Then : std::uint8_t { GoOn, Settle };
  boost::asio::awaitable<void> take_back(std::vector<KeptKind> kinds, Then then) const;

  BlockingPool& pool_;
  const FdStore& store_;
  std::uint32_t minor_;
  std::string label_;
};

}  // namespace bulkhead::supervisor
