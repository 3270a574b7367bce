#include "bench/scale/simulated_lun.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/doorbell.h"
#include "base/endian.h"

namespace bulkhead::bench {
namespace {

using supervisor::testing::FakeKernel;

constexpr std::uint32_t kRingPerCommand = 256;
constexpr int kPatienceMs = 20'000;

}  // namespace

SimulatedLun::SimulatedLun(std::uint32_t depth, std::uint64_t bytes)
    : kernel_({.ring_bytes = std::max(4096u, depth * kRingPerCommand), .data_blocks = depth + 1}),
      events_(make_doorbell_pipe().value()),
      kicks_(make_eventfd().value()),
      places_(bytes / kBlock) {}

void SimulatedLun::kick() {
  kernel_.kick();
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(kicks_.get(), &one, sizeof one);
}

Result<std::uint64_t> SimulatedLun::queue() {
  std::array<std::uint8_t, 10> cdb{0x28};  // READ(10)
  const auto lba = static_cast<std::uint32_t>(random_() % places_ * (kBlock / 512));
  put_be32(std::span<std::uint8_t, 4>(cdb.data() + 2, 4), lba);
  put_be16(std::span<std::uint8_t, 2>(cdb.data() + 7, 2), kBlock / 512);
  const auto ticket = kernel_.queue(cdb, FakeKernel::Data::In, kBlock);
  if (!ticket) return fail(Cause::PeerBroken, EPROTO, "the ring is full: answers are not taken back");
  int unread = 0;
  // A pump that watches edge-triggered need not have read the last event, and is woken all the same.
  if (::ioctl(events_[1].get(), FIONREAD, &unread) == 0 && unread != 0) drain_doorbell(events_[0]);
  const std::int32_t event = 1;
  [[maybe_unused]] const ssize_t written = ::write(events_[1].get(), &event, sizeof event);
  return *ticket;
}

Result<std::vector<std::uint32_t>> SimulatedLun::read(std::uint32_t depth, Clock::time_point end) {
  std::vector<std::uint32_t> latencies;
  std::map<std::uint64_t, Clock::time_point> under_way;
  bool more = true;
  while (more || !under_way.empty()) {
    while (more && under_way.size() < depth) {
      const auto begin = Clock::now();
      auto ticket = queue();
      if (!ticket) return std::unexpected(std::move(ticket.error()));
      under_way.emplace(*ticket, begin);
    }
    pollfd kicked{.fd = kicks_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&kicked, 1, kPatienceMs) != 1) return fail(Cause::TimedOut, ETIMEDOUT, "no answer");
    drain_doorbell(kicks_);
    const auto now = Clock::now();
    for (const auto& [ticket, answer] : kernel_.take_finished()) {
      if (answer.status != 0) return fail(Cause::PeerBroken, EPROTO, "a READ has failed");
      const auto begin = under_way.find(ticket);
      latencies.push_back(static_cast<std::uint32_t>(
          std::chrono::duration_cast<std::chrono::nanoseconds>(now - begin->second).count()));
      under_way.erase(begin);
    }
    more = now < end;
  }
  if (std::string fault = kernel_.fault(); !fault.empty())
    return fail(Cause::PeerBroken, EPROTO, std::move(fault));
  return latencies;
}

Result<> SimulatedLun::begin_one() {
  auto ticket = queue();
  if (!ticket) return std::unexpected(std::move(ticket.error()));
  one_ = *ticket;
  return {};
}

Result<> SimulatedLun::wait_for_one() {
  const auto answer = kernel_.wait(one_);
  (void)kernel_.take_finished();
  if (!answer || answer->status != 0) return fail(Cause::TimedOut, ETIMEDOUT, "a READ has failed");
  return {};
}

}  // namespace bulkhead::bench
