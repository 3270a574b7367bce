// The walls around a device's host: what it may use, what stands, and what has to.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/processors.h"
#include "supervisor/device/device.h"
#include "supervisor/device/sandbox_arguments.h"
#include "supervisor/device/wall_check.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::uint64_t kMebibyte = 1 << 20;
// A busy file host was charged 2 MiB, and may be charged the 16 of its channel's data; what is above is cache
// of its backstore, which is given back when it is short.
constexpr std::uint64_t kLeastMemory = 1024 * kMebibyte;
constexpr std::uint32_t kProcesses = 512;
constexpr std::chrono::seconds kLimitDeadline{10};

std::uint64_t quarter_of_the_machine() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) / 4;
}

}  // namespace

HostLimits Device::host_limits() const {
  const DeviceSettings settings = context_.policies.of(label_);
  HostLimits limits;
  limits.memory_bytes = settings.memory_mebibytes ? *settings.memory_mebibytes * kMebibyte
                                                  : std::max(kLeastMemory, quarter_of_the_machine());
  limits.processes = settings.processes.value_or(kProcesses);
  limits.cpu_weight = settings.cpu_weight.value_or(limits.cpu_weight);
  limits.io_weight = settings.io_weight.value_or(limits.io_weight);
  limits.cpus = settings.host_cpus.value_or("");
  limits.memory_nodes = settings.host_memory_nodes.value_or("");
  return limits;
}

// It refuses to go on without walls that are its own to build, before it opens anything. The others are known
// already: those of its control group.
std::vector<std::string> Device::host_arguments() const {
  const auto required = context_.policies.of(label_).required_walls.value_or(std::vector<std::string>());
  auto arguments = sandbox_arguments(handler_.manifest, handler_.library, required, sandbox_);
  arguments.push_back(fmt::format("--busy-poll-usec={}", busy_poll().count()));
  return arguments;
}

// On a small machine a thread that looks for work takes the processor from one that has some.
std::chrono::microseconds Device::busy_poll() const {
  constexpr std::uint32_t kBusyPollUsec = 50;
  constexpr unsigned kManyProcessors = 4;
  const std::uint32_t usual = usable_processors() >= kManyProcessors ? kBusyPollUsec : 0;
  return std::chrono::microseconds(context_.policies.of(label_).busy_poll_usec.value_or(usual));
}

// Once for each host, and once for each supervisor that goes on with it. Errors: it must not serve.
Result<> Device::check_walls(const UniqueFd& pidfd, const Walls& told) {
  const auto seen = check_host(
      pidfd,
      {.uid = host_uid(), .cgroup = context_.cgroups.leaf_in_proc(leaf_name()), .adopted = adopted_host_});
  if (!seen)
    return fail(seen.error().cause, seen.error().sys_errno,
                "is not what it was started as: " + seen.error().what);
  told_walls_ = told;
  if (auto believed = believe_walls(told, *seen, handler_.manifest.needs().network(), sandbox_); !believed) {
    auto fields = log_fields();
    fields.message_id = kMsgHostLied;
    log(Level::Error, fields, fmt::format("handler-host {}; it is ended", believed.error().what));
    return believed;
  }
  return require_walls(sandbox_,
                       context_.policies.of(label_).required_walls.value_or(std::vector<std::string>()));
}

// What an earlier host, or one of a supervisor before us, left running must not write any more.
boost::asio::awaitable<Result<UniqueFd>> Device::make_leaf() {
  std::move_only_function<Result<Cgroups::Leaf>()> make = [&cgroups = context_.cgroups, name = leaf_name(),
                                                           limits = host_limits()] {
    return cgroups.make_leaf(name, limits);
  };
  auto leaf =
      co_await context_.pool.run<Cgroups::Leaf>("end left-over hosts", kLimitDeadline, std::move(make));
  if (!leaf) co_return std::unexpected(std::move(leaf.error()));
  sandbox_ = std::move(leaf->walls);
  co_return std::move(leaf->fd);
}

// Its limits are set anew: tcmu.conf may have changed, and somebody may have switched controllers off
// meanwhile.
boost::asio::awaitable<void> Device::limit_again() {
  std::move_only_function<Result<Walls>()> limit = [&cgroups = context_.cgroups, name = leaf_name(),
                                                    limits = host_limits()]() -> Result<Walls> {
    return cgroups.limit(name, limits);
  };
  auto limited = co_await context_.pool.run<Walls>("limit a host", kLimitDeadline, std::move(limit));
  sandbox_ = limited ? std::move(*limited) : Walls{{"memory-limit", "off: " + limited.error().what}};
}

}  // namespace bulkhead::supervisor
