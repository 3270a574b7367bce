#include "supervisor/device/kernel_device.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "base/log.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::chrono::seconds kNodeDeadline{5};

// devtmpfs has the node before we hear of the device; a /dev that udev fills may be later.
Result<UniqueFd> open_node(const std::string& folder, const std::string& path) {
  using Clock = std::chrono::steady_clock;
  UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watch || ::inotify_add_watch(watch.get(), folder.c_str(), IN_CREATE | IN_ATTRIB) < 0)
    return fail_errno(errno, fmt::format("watch {}", folder));
  const auto deadline = Clock::now() + kNodeDeadline;
  for (;;) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    if (fd) return fd;
    if (errno == EBUSY)
      return fail_errno(EBUSY, fmt::format("open {}: another daemon serves this device", path));
    if (errno != ENOENT && errno != ENXIO) return fail_errno(errno, fmt::format("open {}", path));
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0)
      return fail(Cause::TimedOut, ENODEV,
                  fmt::format("{} does not appear; is /dev served by udev or devtmpfs?", path));
    pollfd event{.fd = watch.get(), .events = POLLIN, .revents = 0};
    ::poll(&event, 1, static_cast<int>(left));
    char names[4096];
    [[maybe_unused]] const ssize_t got = ::read(watch.get(), names, sizeof names);
  }
}

Result<> take_over(const Backstore& backstore) {
  auto blocked = backstore.set_blocked(Blocked::Yes);
  if (!blocked) return blocked;
  return backstore.reset_ring(ResetRing::Busy);
}

}  // namespace

Result<KernelDevice> open_kernel_device(const SysRoot& root, const std::string& dev_folder,
                                        const UioDevice& device, KernelDeviceAge age) {
  const Backstore backstore(root, device.name);
  auto facts = backstore.facts();
  if (!facts) return std::unexpected(std::move(facts.error()));
  auto uio = open_node(dev_folder, fmt::format("{}/uio{}", dev_folder, device.minor.value));
  if (!uio) return std::unexpected(std::move(uio.error()));
  // Minors are reused at once: what we opened must still be what we were told of.
  auto now = read_uio(root, device.minor);
  if (!now) return std::unexpected(std::move(now.error()));
  if (!*now || (*now)->name.hba != device.name.hba || (*now)->name.device != device.name.device)
    return fail(Cause::NotFound, ENODEV, fmt::format("uio{} is another device by now", device.minor.value));
  // Only now that it is ours alone: the ring of another daemon's device is not to be touched.
  if (age == KernelDeviceAge::Used)
    if (auto taken = take_over(backstore); !taken) return std::unexpected(std::move(taken.error()));
  auto region = Mapping::map(*uio, (*now)->map_bytes.value, Mapping::Access::ReadWrite, "uio region");
  if (!region) return std::unexpected(std::move(region.error()));
  // Not vital: without it aborted commands end as if nobody had given them up.
  if (auto asked = backstore.ask_for_task_management(); !asked && asked.error().cause != Cause::NotFound)
    log(Level::Warning, {}, fmt::format("aborts of commands will not be seen: {}", asked.error().what));
  return KernelDevice{std::move(*uio), std::move(*region), *facts};
}

Result<KernelDevice> adopt_kernel_device(const SysRoot& root, const UioDevice& device, UniqueFd uio) {
  // What was kept may be of an earlier device with this minor: then nothing can be read from it any more.
  pollfd gone{.fd = uio.get(), .events = POLLIN, .revents = 0};
  if (::poll(&gone, 1, 0) > 0 && (gone.revents & (POLLERR | POLLHUP)) != 0)
    return fail(Cause::NotFound, ENODEV, "the uio device that was kept is gone");
  auto facts = Backstore(root, device.name).facts();
  if (!facts) return std::unexpected(std::move(facts.error()));
  auto region = Mapping::map(uio, device.map_bytes.value, Mapping::Access::ReadWrite, "uio region");
  if (!region) return std::unexpected(std::move(region.error()));
  return KernelDevice{std::move(uio), std::move(*region), *facts};
}

}  // namespace bulkhead::supervisor
