#include "supervisor/device/lun_keeper.h"

#include <fmt/format.h>

#include "base/log.h"

namespace bulkhead::supervisor {
namespace {

using boost::asio::awaitable;

// For all of a LUN's together; the store's own patience is for one.
constexpr std::chrono::milliseconds kDeadline{8'000};

}  // namespace

awaitable<void> LunKeeper::keep(Kept kept) const {
  if (!store_.available()) co_return;
  auto job = [store = store_, lun = minor_, kept = std::move(kept)]() -> Result<> {
    for (const auto& [kind, fd] : kept)
      if (auto sent = store.keep(format({lun, kind}), fd); !sent) return sent;
    return {};
  };
  auto done = co_await pool_.run<void>("hand descriptors to systemd", kDeadline, std::move(job));
  if (!done)
    log(Level::Warning, {.device = label_, .sys_errno = done.error().sys_errno},
        fmt::format("a restart of the supervisor will interrupt this LUN: {}", done.error().what));
}

awaitable<void> LunKeeper::drop_host() const {
  std::vector<KeptKind> kinds(std::begin(kOfTheHost), std::end(kOfTheHost));
  kinds.push_back(KeptKind::Witness);
  return take_back(std::move(kinds), Then::GoOn);
}

awaitable<void> LunKeeper::drop_all() const {
  std::vector<KeptKind> all(std::begin(kOfTheHost), std::end(kOfTheHost));
  all.push_back(KeptKind::Witness);
  all.push_back(KeptKind::Journal);
  all.push_back(KeptKind::Uio);
  return take_back(std::move(all), Then::Settle);
}

awaitable<void> LunKeeper::take_back(std::vector<KeptKind> kinds, Then then) const {
  if (!store_.available()) co_return;
  auto job = [store = store_, lun = minor_, kinds = std::move(kinds), then]() -> Result<> {
    for (const KeptKind kind : kinds)
      if (auto sent = store.drop(format({lun, kind})); !sent) return sent;
    return then == Then::Settle ? store.settle() : Result<>();
  };
  auto done = co_await pool_.run<void>("take descriptors back from systemd", kDeadline, std::move(job));
  if (!done)
    log(Level::Warning, {.device = label_, .sys_errno = done.error().sys_errno},
        fmt::format("systemd keeps descriptors of an ended host: {}", done.error().what));
}

}  // namespace bulkhead::supervisor
