#include "supervisor/device/device_manager.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.h"
#include "base/printable.h"
#include "supervisor/configfs/kernel_interface.h"

namespace bulkhead::supervisor {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr milliseconds kScanDeadline{10'000};
// To ask one device whether it is configured; a device that is being removed does not answer.
constexpr milliseconds kLookDeadline{3'000};
constexpr int kLooks = 30;
constexpr seconds kLookAgainAfter{2};
// Work for a reconfiguration that was begun is not given up, and each of its steps has a deadline of its own;
// the sum of these, at their largest, is less.
constexpr seconds kReconfigDeadline{3'600};
constexpr seconds kSettleDeadline{kReconfigDeadline + seconds(10)};  // longer than any reply is owed
constexpr milliseconds kSettlePause{50};
constexpr seconds kStopDeadline{40};

}  // namespace

DeviceManager::DeviceManager(DeviceContext context, const HandlerRegistry& handlers,
                             std::span<const std::unique_ptr<Pump>> pumps, KeptLuns kept)
    : context_(context),
      handlers_(handlers),
      pumps_(pumps),
      checks_(context),
      kept_(std::move(kept)),
      all_gone_(context.io) {}

awaitable<Error> DeviceManager::follow(KernelLink& link, bool module_loaded) {
  if (module_loaded) co_await scan(link);
  for (;;) {
    auto event = co_await link.next();
    if (!event) co_return std::move(event.error());
    if (auto* announced = std::get_if<Announced>(&*event)) {
      take(std::move(*announced));
    } else {
      log(Level::Warning, {.message_id = kMsgNetlinkResync},
          fmt::format("looking for devices again: {}", std::get<Resync>(*event).reason));
      co_await scan(link);
    }
  }
}

// What is there and not known becomes known. What a dead predecessor, or lost events, left the kernel waiting
// for is settled last: fresh devices by their verdict, everything else by a reset of all waits.
awaitable<void> DeviceManager::scan(KernelLink& link) {
  auto job = [root = context_.root] { return scan_uio(root); };
  auto found = co_await context_.pool.run<UioScan>("look for devices", kScanDeadline, std::move(job));
  if (!found) {
    log(Level::Error, {}, fmt::format("existing devices are not served: {}", found.error().what));
    co_return;
  }
  for (const std::string& problem : found->problems) log(Level::Error, {}, problem);
  for (UioDevice& uio : found->devices) {
    const DeviceKey key{uio.name.hba, uio.name.device};
    if (entries_.contains(key)) continue;
    if (handler_for(uio) == nullptr) {
      say_if_misspelt(uio);
      continue;
    }
    ++being_looked_at_;
    asio::co_spawn(context_.io, look_at(link, std::move(uio)), asio::detached);
  }
  asio::co_spawn(context_.io, end_stale_waits(link), asio::detached);
}

awaitable<void> DeviceManager::look_at(KernelLink& link, UioDevice uio) {
  const bool done = co_await look_once(link, uio);
  --being_looked_at_;
  if (done) co_return;
  // The kernel holds its folder: for a removal, its own or a neighbour's, that waits for a reply. That ends.
  for (int i = 0; i < kLooks && !stopping_; ++i) {
    asio::steady_timer pause(context_.io, kLookAgainAfter);
    co_await pause.async_wait(asio::use_awaitable);
    const bool known = co_await look_once(link, uio);
    if (known) co_return;
  }
  log(Level::Error, {.device = DeviceKey{uio.name.hba, uio.name.device}.text()},
      "not served: its folder in configfs can't be read; when it can, restart tcmu-supervisor");
}

// True: it is known now, or gone.
awaitable<bool> DeviceManager::look_once(KernelLink& link, const UioDevice& uio) {
  struct Found {
    std::optional<UioDevice> device;
    bool configured = false;
    std::optional<std::uint32_t> id;
  };
  auto ask = [root = context_.root, uio]() -> Result<Found> {
    auto now = read_uio(root, uio.minor);
    if (!now || !*now || (*now)->name.hba != uio.name.hba || (*now)->name.device != uio.name.device)
      return Found{};
    const Backstore backstore(root, uio.name);
    auto configured = backstore.configured();
    if (!configured) return std::unexpected(std::move(configured.error()));
    auto id = backstore.device_id();
    return Found{std::move(*now), *configured, id ? std::optional(*id) : std::nullopt};
  };
  auto found = co_await context_.pool.run<Found>("look at a device", kLookDeadline, std::move(ask));
  const DeviceKey key{uio.name.hba, uio.name.device};
  if (!found) {
    log(Level::Warning, {.device = key.text()}, fmt::format("looked at again later: {}", found.error().what));
    co_return false;
  }
  // From here on nothing waits: its own event may have come meanwhile, and owns the reply then.
  if (!found->device || entries_.contains(key)) co_return true;
  PendingReply added;
  if (!found->configured && found->id) added = link.owe(EventKind::Added, *found->id);
  add(std::move(*found->device), found->configured ? KernelDeviceAge::Used : KernelDeviceAge::Fresh,
      std::move(added), found->id);
  co_return true;
}

// Once at a time, and only when nothing is owed by us: the reset ends everybody's waits.
awaitable<void> DeviceManager::end_stale_waits(KernelLink& link) {
  if (std::exchange(ending_waits_, true)) co_return;
  co_await settled(link);
  co_await drop_unclaimed();
  co_await settled(link);  // a creation may have begun meanwhile
  // What is owed from here on waits for us, and not for a predecessor.
  const std::uint64_t stale = link.latest_owed();
  auto job = [root = context_.root] { return end_pending_netlink_waits(root); };
  auto ended = co_await context_.pool.run<void>("end stale netlink waits", kScanDeadline, std::move(job));
  if (!ended) log(Level::Warning, {}, ended.error().what);
  link.forget_owed(stale);
  ending_waits_ = false;
}

awaitable<void> DeviceManager::settled(KernelLink& link) {
  const auto deadline = steady_clock::now() + kSettleDeadline;
  while ((being_looked_at_ != 0 || link.owes()) && steady_clock::now() < deadline) {
    asio::steady_timer pause(context_.io, kSettlePause);
    co_await pause.async_wait(asio::use_awaitable);
  }
}

// Of devices that are gone, or of a build that kept more. Their hosts end when we close what was kept.
awaitable<void> DeviceManager::drop_unclaimed() {
  KeptLuns unclaimed = std::exchange(kept_, {});
  for (auto& [minor, lun] : unclaimed.luns) {
    // Closing a disk's last descriptor writes back: not here.
    if (lun.has(KeptKind::Witness)) {
      unclaimed.unknown.push_back(format({minor, KeptKind::Witness}));
      [[maybe_unused]] const auto closed = context_.files.closed_here(lun.take(KeptKind::Witness));
    }
    for (std::uint8_t kind = 0; kind < kKeptKinds; ++kind)
      if (lun.has(KeptKind{kind})) unclaimed.unknown.push_back(format({minor, KeptKind{kind}}));
  }
  if (unclaimed.unknown.empty()) co_return;
  log(Level::Info, {},
      fmt::format("{} descriptors of an earlier supervisor are of no use any more",
                  unclaimed.unknown.size()));
  auto job = [store = context_.store, names = std::move(unclaimed.unknown)]() -> Result<> {
    for (const std::string& name : names)
      if (auto sent = store.drop(name); !sent) return sent;
    return {};
  };
  auto dropped = co_await context_.pool.run<void>("drop what was kept", kScanDeadline, std::move(job));
  if (!dropped) log(Level::Warning, {}, dropped.error().what);
}

void DeviceManager::take(Announced announced) {
  KernelEvent& event = announced.event;
  UioDevice uio{.minor = event.minor, .name = event.name, .map_bytes = {}};
  const DeviceKey key{uio.name.hba, uio.name.device};
  if (handler_for(uio) == nullptr && !entries_.contains(key)) {
    // Not ours: its own daemon answers, and nobody else may.
    announced.reply.leave_to_another_daemon();
    if (event.kind == EventKind::Added) say_if_misspelt(uio);
    return;
  }
  switch (event.kind) {
    case EventKind::Added:
      take_added(std::move(announced));
      return;
    case EventKind::Removed:
      remove(key, std::move(announced.reply));
      return;
    case EventKind::Reconfig:
      if (auto device = find(key))
        asio::co_spawn(context_.io, reconfigure(device, std::move(event.change), std::move(announced.reply)),
                       asio::detached);
      else
        announced.reply.answer(fail(Cause::NotFound, ENODEV, "unknown device"));
      return;
  }
}

// tcmu-runner took the first handler whose name begins like the subtype. An administrator who relied on that
// is told.
void DeviceManager::say_if_misspelt(const UioDevice& uio) const {
  const std::string_view subtype = split_dev_config(uio.name.dev_config).subtype;
  if (const Handler* meant = handlers_.tcmu_runner_would_take(subtype))
    log(Level::Warning, {.device = DeviceKey{uio.name.hba, uio.name.device}.text()},
        fmt::format(
            "left alone: there is no handler {}; write {}/... for the one that tcmu-runner would have taken",
            printable(subtype), meant->manifest.subtype()));
}

void DeviceManager::take_added(Announced announced) {
  const KernelEvent& event = announced.event;
  UioDevice uio{.minor = event.minor, .name = event.name, .map_bytes = {}};
  auto at = entries_.find({uio.name.hba, uio.name.device});
  if (at == entries_.end()) {
    add(std::move(uio), KernelDeviceAge::Fresh, std::move(announced.reply), event.device_id);
  } else if (at->second.device_id && at->second.device_id == event.device_id) {
    // A scan has found it before its event was read. A second reply could meet another wait of the same
    // device.
    if (!at->second.device->take_over_wait(announced.reply)) announced.reply.leave_to_another_daemon();
  } else {
    // The removal's event was lost.
    at->second.device->leave(Device::Leave::Removed);
    at->second.successor = std::move(announced);
  }
}

void DeviceManager::add(UioDevice uio, KernelDeviceAge age, PendingReply added,
                        std::optional<std::uint32_t> device_id) {
  const Handler* handler = handler_for(uio);
  if (stopping_ || handler == nullptr) return;
  const DeviceKey key{uio.name.hba, uio.name.device};
  if (!uio.name.problem.empty()) {
    log(Level::Error, {.message_id = kMsgDeviceFailed}, uio.name.problem);
    added.answer(fail(Cause::BadInput, EINVAL, uio.name.problem));
    return;
  }
  if (!handler->problem.empty()) {
    const auto why =
        fmt::format("handler {} can't be used: {}", handler->manifest.subtype(), handler->problem);
    log(Level::Error, {.device = key.text()}, why);
    added.answer(fail(Cause::BadInput, ENOENT, why));
    return;
  }
  const std::size_t pump = idlest_pump();
  auto device = std::make_shared<Device>(context_, *pumps_[pump], std::move(uio),
                                         DeviceHandler{handler->manifest, handler->library});
  entries_.emplace(key, Entry{.device = device, .device_id = device_id, .pump = pump});
  context_.observer.device_added(key);
  std::optional<KeptLun> kept;
  if (auto node = kept_.luns.extract(device->uio_device().minor.value)) kept = std::move(node.mapped());
  asio::co_spawn(context_.io, keep(key, device, age, std::move(added), std::move(kept)), asio::detached);
}

awaitable<void> DeviceManager::keep(DeviceKey key, std::shared_ptr<Device> device, KernelDeviceAge age,
                                    PendingReply added, std::optional<KeptLun> kept) {
  co_await device->live(age, std::move(added), std::move(kept));
  const bool given_up = device->given_up();
  UioDevice uio = device->uio_device();
  forget(key);
  // A fresh device that can't be served is undone by the kernel, unless it was made without waiting for us.
  if (given_up && !stopping_) co_await look_again(std::move(uio));
}

awaitable<void> DeviceManager::look_again(UioDevice uio) {
  auto job = [root = context_.root, minor = uio.minor, name = uio.name]() -> Result<bool> {
    auto now = read_uio(root, minor);
    if (!now || !*now || (*now)->name != name) return false;
    return Backstore(root, name).configured();
  };
  auto still_there =
      co_await context_.pool.run<bool>("look again at a device", kLookDeadline, std::move(job));
  if (still_there && *still_there && find({uio.name.hba, uio.name.device}) == nullptr)
    add(std::move(uio), KernelDeviceAge::Used, PendingReply(), std::nullopt);
}

void DeviceManager::remove(const DeviceKey& key, PendingReply reply) {
  auto at = entries_.find(key);
  if (at == entries_.end()) {
    reply.answer({});
    return;
  }
  at->second.removed = std::move(reply);
  at->second.device->leave(Device::Leave::Removed);
}

void DeviceManager::forget(const DeviceKey& key) {
  auto at = entries_.find(key);
  Entry entry = std::move(at->second);
  entries_.erase(at);
  context_.observer.device_removed(key);
  entry.removed.answer({});
  if (entry.successor) take(std::move(*entry.successor));
  if (entries_.empty()) all_gone_.notify();
}

awaitable<void> DeviceManager::reconfigure(std::shared_ptr<Device> device, Change change,
                                           PendingReply reply) {
  reply.set_limit(kReconfigDeadline);
  Result<> done;
  if (const auto* size = std::get_if<NewSize>(&change))
    done = co_await device->resize(size->size.value);
  else if (const auto* cache = std::get_if<NewWriteCache>(&change))
    done = co_await device->set_write_cache(cache->on);
  else if (const auto* config = std::get_if<NewConfig>(&change))
    done = co_await device->reconfigure(config->dev_config);
  else
    done = fail(Cause::BadInput, EOPNOTSUPP, "a reconfiguration that names nothing to change");
  if (!done)
    log(Level::Error, {.device = device->key().text()}, fmt::format("not changed: {}", done.error().what));
  if (!reply.answer(done) && done)
    log(Level::Error, {.device = device->key().text()},
        "changed, but the kernel had stopped to wait for it and shows what was before: write the attribute "
        "again");
}

awaitable<void> DeviceManager::stop() {
  stopping_ = true;
  for (auto& [key, entry] : entries_) entry.device->leave(Device::Leave::Stopped);
  const auto deadline = steady_clock::now() + kStopDeadline;
  while (!entries_.empty()) {
    const bool woken = co_await all_gone_.wait_until(deadline);
    if (woken) continue;
    for (auto& [key, entry] : entries_)
      log(Level::Error, {.device = key.text()},
          "did not come to rest in time; its initiators may see timeouts");
    co_return;
  }
}

void DeviceManager::leave_running() {
  stopping_ = true;
  for (auto& [key, entry] : entries_) entry.device->leave_running();
}

const Handler* DeviceManager::handler_for(const UioDevice& uio) const {
  return handlers_.find(split_dev_config(uio.name.dev_config).subtype);
}

std::shared_ptr<Device> DeviceManager::find(const DeviceKey& key) const {
  auto at = entries_.find(key);
  return at == entries_.end() ? nullptr : at->second.device;
}

std::size_t DeviceManager::idlest_pump() const {
  std::vector<std::size_t> load(pumps_.size());
  for (const auto& [key, entry] : entries_) ++load[entry.pump];
  return static_cast<std::size_t>(std::min_element(load.begin(), load.end()) - load.begin());
}

std::vector<HandlerReport> DeviceManager::handlers() const {
  std::vector<HandlerReport> reports;
  for (const Handler& handler : handlers_.all())
    reports.push_back({.subtype = handler.manifest.subtype(),
                       .name = handler.manifest.name(),
                       .config_description = handler.manifest.config_description(),
                       .library = handler.library,
                       .bus_name = {},
                       .problem = handler.problem});
  return reports;
}

void DeviceManager::take_new_policies() {
  for (const auto& [key, entry] : entries_) entry.device->take_new_policies();
}

std::vector<DeviceKey> DeviceManager::devices() const {
  std::vector<DeviceKey> keys;
  keys.reserve(entries_.size());
  for (const auto& [key, entry] : entries_) keys.push_back(key);
  return keys;
}

std::optional<DeviceReport> DeviceManager::device(const DeviceKey& key) const {
  const auto device = find(key);
  if (!device) return std::nullopt;
  return device->report();
}

awaitable<ConfigVerdict> DeviceManager::check_config(std::string subtype, std::string config,
                                                     CallerRights rights) {
  const Handler* handler = handlers_.find(subtype);
  if (handler == nullptr) co_return ConfigVerdict{false, fmt::format("there is no handler {}", subtype)};
  if (!handler->problem.empty())
    co_return ConfigVerdict{false, fmt::format("handler {} can't be used: {}", subtype, handler->problem)};
  DeviceHandler of{handler->manifest, handler->library};
  co_return co_await checks_.check(std::move(of), std::move(config), rights);
}

awaitable<Result<>> DeviceManager::restart(DeviceKey key) {
  const auto device = find(key);
  if (!device) co_return fail(Cause::NotFound, ENODEV, fmt::format("there is no device {}", key.text()));
  co_return co_await device->restart();
}

awaitable<Result<>> DeviceManager::hold(DeviceKey key) {
  const auto device = find(key);
  if (!device) co_return fail(Cause::NotFound, ENODEV, fmt::format("there is no device {}", key.text()));
  co_return co_await device->hold();
}

awaitable<Result<>> DeviceManager::resume(DeviceKey key) {
  const auto device = find(key);
  if (!device) co_return fail(Cause::NotFound, ENODEV, fmt::format("there is no device {}", key.text()));
  co_return co_await device->resume();
}

awaitable<Result<>> DeviceManager::set_limits(DeviceKey key, std::optional<DeviceLimits> limits) {
  const auto device = find(key);
  if (!device) co_return fail(Cause::NotFound, ENODEV, fmt::format("there is no device {}", key.text()));
  co_return device->set_limits(limits);
}

}  // namespace bulkhead::supervisor
