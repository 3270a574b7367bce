#include "supervisor/pump/rate_limits.h"

#include <algorithm>

namespace bulkhead::supervisor {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;

}  // namespace

void RateMeter::set(const RateLimits& limits, std::uint64_t now_ns) {
  if (limits == limits_) return;
  limits_ = limits;
  commands_.per_second = std::min(limits.commands_per_second, kMostPerSecond);
  bytes_.per_second = std::min(limits.bytes_per_second, kMostPerSecond);
  burst_ns_ = std::uint64_t{std::max(limits.burst_ms, kLeastBurstMs)} * 1'000'000;
  for (Bucket* bucket : {&commands_, &bytes_})
    bucket->clear_ns = bucket->per_second == 0 ? 0 : std::min(bucket->clear_ns, now_ns + burst_ns_);
}

void RateMeter::Bucket::take(std::uint64_t amount, std::uint64_t now_ns) {
  if (per_second == 0) return;
  // Whole seconds and the rest apart: the product of both would not fit for long commands at low rates.
  const std::uint64_t seconds = amount / per_second, rest = amount % per_second;
  const std::uint64_t rest_ns =
      static_cast<std::uint64_t>(static_cast<unsigned __int128>(rest) * kSecondNs / per_second);
  clear_ns = std::max(clear_ns, now_ns) + seconds * kSecondNs + rest_ns;
}

std::uint64_t RateMeter::admit(CommandKind kind, std::uint64_t bytes, std::uint64_t now_ns) {
  if (kind == CommandKind::Flush || kind == CommandKind::Other) return 0;
  const bool moves_data = kind != CommandKind::Unmap;  // what an UNMAP brings is a list
  const std::uint64_t opens =
      std::max(commands_.opens_ns(burst_ns_), moves_data && bytes != 0 ? bytes_.opens_ns(burst_ns_) : 0);
  if (opens > now_ns) return opens;
  commands_.take(1, now_ns);
  if (moves_data) bytes_.take(bytes, now_ns);
  return 0;
}

}  // namespace bulkhead::supervisor
