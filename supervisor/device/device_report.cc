// A device as operators see it.
#include <array>
#include <chrono>
#include <string_view>

#include "supervisor/device/device.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::array<std::string_view, kAnswerErrors> kErrorNames{
    "illegal request", "not ready",  "medium error", "hardware error", "unit attention", "data protect",
    "aborted command", "miscompare", "other sense",  "busy",           "other status"};

std::uint64_t age_usec(std::uint64_t arrival_ns) {
  if (arrival_ns == 0) return 0;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const auto now_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(now).count());
  return now_ns > arrival_ns ? (now_ns - arrival_ns) / 1000 : 0;
}

}  // namespace

DeviceReport Device::report() const {
  DeviceReport report{.key = key_,
                      .subtype = handler_.manifest.subtype(),
                      .config = uio_.name.dev_config,
                      .uio_minor = uio_.minor.value,
                      .wwn = wwn_,
                      .read_only = facts_.read_only,
                      .write_cache = facts_.write_cache,
                      .state = state_,
                      .state_reason = state_reason_,
                      .state_since_usec = state_since_usec_,
                      .restarts = hosts_started_ > 0 ? hosts_started_ - 1 : 0,
                      .deaths = deaths_,
                      .watchdog_kills = watchdog_kills_,
                      .last_exit = last_exit_};
  if (kernel_) {
    report.size_bytes = kernel_->facts.size.value;
    report.block_bytes = kernel_->facts.block_bytes;
  }
  if (host_ && !host_end_) {
    report.host_pid = host_->pid();
    report.host_since_usec = host_since_usec_;
    report.host_uid = host_uid();
    report.sandbox = sandbox_;
  }
  report.adoptions = adoptions_;
  report.in_flight = static_cast<std::uint32_t>(stats_->in_flight.get());
  report.oldest_command_usec = age_usec(stats_->oldest_arrival_ns.get());
  for (std::size_t i = 0; i < kCommandKinds; ++i) {
    const DeviceStats::Kind& kind = stats_->kinds[i];
    report.kinds[i] = {kind.commands.get(), kind.bytes.get(), kind.errors.get()};
  }
  for (std::size_t i = 0; i < kAnswerErrors; ++i)
    if (const std::uint64_t count = stats_->errors[i].get(); count != 0)
      report.errors_by_sense.emplace(kErrorNames[i], count);
  report.replayed = stats_->replayed.get();
  report.expired = stats_->expired.get();
  report.poisoned = stats_->poisoned.get();
  report.longest_stall_usec = stats_->longest_stall_us.get();
  const RateLimits limits = rate_limits();
  report.limit_iops = limits.commands_per_second;
  report.limit_bytes_per_second = limits.bytes_per_second;
  report.limits_from = limits_ ? "SetLimits" : "tcmu.conf";
  report.throttled = stats_->throttled.get();
  report.throttled_usec = stats_->throttled_us.get();
  report.aborts = stats_->aborts.get();
  report.resets = stats_->resets.get();
  report.aborted_commands = stats_->aborted_commands.get();
  const std::uint64_t max = stats_->latency_max_us.get();
  auto quantile = [&](std::uint64_t per_mille) { return std::min(stats_->latency.quantile(per_mille), max); };
  report.latency = {quantile(500),
                    quantile(900),
                    quantile(990),
                    quantile(999),
                    max,
                    std::min(stats_->host_latency.quantile(500), max),
                    std::min(stats_->host_latency.quantile(990), max)};
  report.latency_histograms = {{"all", stats_->latency.counts()},
                               {"wait", stats_->wait_latency.counts()},
                               {"host", stats_->host_latency.counts()},
                               {"grant", stats_->grant_latency.counts()}};
  report.io_grants = grant_state_;
  report.granted = {{"read", stats_->granted_reads.get()},
                    {"write", stats_->granted_writes.get()},
                    {"flush", stats_->granted_flushes.get()},
                    {"in vain", stats_->grants_missed.get()}};
  report.handler_counters.insert(counters_.begin(), counters_.end());
  return report;
}

}  // namespace bulkhead::supervisor
