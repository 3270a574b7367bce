#include "bench/path/simulated_kernel.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/doorbell.h"
#include "base/endian.h"

namespace bulkhead::bench {
namespace {

using supervisor::testing::FakeKernel;

constexpr std::uint32_t kKernelBlock = 4096;
constexpr std::uint32_t kLargestEntry = 1024;  // a command of that many segments is not made here
constexpr int kPatienceMs = 20'000;
constexpr std::size_t kLikelyCommands = 1 << 20;

}  // namespace

FakeKernel::Options SimulatedKernel::options_for(const Job& job) {
  const std::uint32_t blocks = (job.block_bytes + kKernelBlock - 1) / kKernelBlock;
  // A ring is never full here: what a full one costs is another question.
  return {.ring_bytes = std::max(65'536u, job.depth * 2 * kLargestEntry),
          .data_blocks = blocks * (job.depth + 1)};
}

Result<std::unique_ptr<SimulatedKernel>> SimulatedKernel::create(const Job& job) {
  const std::size_t bytes = FakeKernel::region_bytes(options_for(job));
  auto region = make_sealed_memfd("simulated-uio", bytes);
  if (!region) return std::unexpected(std::move(region.error()));
  auto memory = Mapping::map(*region, bytes, Mapping::Access::ReadWrite, "simulated region");
  if (!memory) return std::unexpected(std::move(memory.error()));
  auto events = make_doorbell_pipe();
  if (!events) return std::unexpected(std::move(events.error()));
  auto kick = make_eventfd();
  if (!kick) return std::unexpected(std::move(kick.error()));
  return std::unique_ptr<SimulatedKernel>(
      new SimulatedKernel(job, std::move(*region), std::move(*memory), std::move(*events), std::move(*kick)));
}

SimulatedKernel::SimulatedKernel(const Job& job, UniqueFd region, Mapping memory,
                                 std::array<UniqueFd, 2> events, UniqueFd kick)
    : job_(job),
      region_(std::move(region)),
      memory_(std::move(memory)),
      events_(std::move(events)),
      kick_(std::move(kick)),
      kernel_([this] {
        auto options = options_for(job_);
        options.memory = memory_.bytes();
        return options;
      }()),
      data_(job.block_bytes, 0x5a) {
  under_way_.reserve(job.depth * 2);
}

Result<> SimulatedKernel::queue_one() {
  const std::uint64_t places = job_.file_bytes / job_.block_bytes;
  const auto lba = static_cast<std::uint32_t>(random_() % places * (job_.block_bytes / 512));
  const bool writes = random_() % 100 < job_.write_percent;
  std::array<std::uint8_t, 10> cdb{};
  cdb[0] = writes ? 0x2a : 0x28;  // WRITE(10), READ(10)
  put_be32(std::span<std::uint8_t, 4>(cdb.data() + 2, 4), lba);
  put_be16(std::span<std::uint8_t, 2>(cdb.data() + 7, 2), static_cast<std::uint16_t>(job_.block_bytes / 512));
  const auto now = Clock::now();
  const auto ticket = kernel_.queue(cdb, writes ? FakeKernel::Data::Out : FakeKernel::Data::In,
                                    job_.block_bytes, writes ? data_ : std::span<const std::uint8_t>{});
  if (!ticket)
    return fail(Cause::PeerBroken, EPROTO, "the ring is full: the daemon does not take answers back");
  under_way_.emplace(*ticket, now);
  notify();
  return {};
}

void SimulatedKernel::notify() const {
  int unread = 0;
  // A daemon that watches edge-triggered need not have read the last one, and is woken all the same.
  if (::ioctl(events_[1].get(), FIONREAD, &unread) == 0 && unread != 0) drain_doorbell(events_[0]);
  const std::int32_t event = 1;
  [[maybe_unused]] const ssize_t written = ::write(events_[1].get(), &event, sizeof event);
}

Result<> SimulatedKernel::wait_for_answers() {
  pollfd event{.fd = kick_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&event, 1, kPatienceMs) != 1)
    return fail(
        Cause::TimedOut, ETIMEDOUT,
        fmt::format("no answer within {} s, {} commands under way", kPatienceMs / 1000, under_way_.size()));
  drain_doorbell(kick_);
  kernel_.kick();
  return {};
}

Result<std::vector<std::uint32_t>> SimulatedKernel::run(std::chrono::milliseconds duration) {
  latencies_.clear();
  latencies_.reserve(kLikelyCommands);
  const auto end = Clock::now() + duration;
  bool more = true;
  while (more || !under_way_.empty()) {
    while (more && under_way_.size() < job_.depth)
      if (auto queued = queue_one(); !queued) return std::unexpected(std::move(queued.error()));
    if (auto waited = wait_for_answers(); !waited) return std::unexpected(std::move(waited.error()));
    const auto now = Clock::now();
    for (const auto& [ticket, answer] : kernel_.take_finished()) {
      if (answer.status != 0)
        return fail(Cause::PeerBroken, EPROTO,
                    fmt::format("a command ended with status {:#x}", answer.status));
      const auto began = under_way_.find(ticket);
      latencies_.push_back(static_cast<std::uint32_t>(
          std::chrono::duration_cast<std::chrono::nanoseconds>(now - began->second).count()));
      under_way_.erase(began);
    }
    more = now < end;
  }
  if (const std::string fault = kernel_.fault(); !fault.empty())
    return fail(Cause::PeerBroken, EPROTO, fault);
  return latencies_;
}

}  // namespace bulkhead::bench
