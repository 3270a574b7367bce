// The parts of a command's way alone, by google-benchmark: ring, CDB, channel.
#include <benchmark/benchmark.h>
#include <poll.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "base/doorbell.h"
#include "base/endian.h"
#include "handler-host/channel/host_channel.h"
#include "handler-host/scsi/cdb.h"
#include "handler-host/scsi/device_type.h"
#include "handler-host/scsi/opcode_table.h"
#include "supervisor/channel/channel.h"
#include "supervisor/journal/journal_abi.h"
#include "supervisor/ring/command_ring.h"
#include "supervisor/ring/testing/fake_kernel.h"

namespace bulkhead::bench {
namespace {

using host::HostChannel;
using supervisor::Channel;
using supervisor::ChannelSize;
using supervisor::CommandRing;
using supervisor::JournalCursors;
using supervisor::KernelSegment;
using supervisor::RingAnswer;
using supervisor::RingCommand;
using supervisor::testing::FakeKernel;

constexpr std::uint32_t kBytes = 4096;
constexpr ChannelSize kSize{.slots = 128, .data_bytes = 1 << 20};

constexpr std::array<std::uint8_t, 10> kRead10{0x28, 0, 0, 0x12, 0x34, 0x50, 0, 0, 8, 0};

// Peek, take, answer, publish: what the supervisor does to the ring for one command.
void ring_command(benchmark::State& state) {
  const auto batch = static_cast<std::size_t>(state.range(0));
  FakeKernel kernel({.ring_bytes = 65536, .data_blocks = 256});
  JournalCursors cursors{};
  CommandRing ring = CommandRing::attach(kernel.region(), cursors).value();
  std::array<KernelSegment, 1> segments{};
  std::vector<RingCommand> taken;
  taken.reserve(batch);
  for (auto _ : state) {
    state.PauseTiming();
    for (std::size_t i = 0; i < batch; ++i) kernel.queue(kRead10, FakeKernel::Data::In, kBytes);
    taken.clear();
    state.ResumeTiming();
    while (true) {
      const auto entry = ring.peek();
      const auto* command = std::get_if<RingCommand>(&*entry);
      if (command == nullptr) break;
      ring.take(*command, segments);
      taken.push_back(*command);
    }
    for (const RingCommand& command : taken) ring.answer(RingAnswer{.id = command.id});
    ring.publish();
    state.PauseTiming();
    kernel.kick();
    benchmark::DoNotOptimize(kernel.take_finished());
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(ring_command)->Arg(64);  // many: stopping the clock costs more than one command

void cdb_decode(benchmark::State& state) {
  std::array<std::uint8_t, 10> cdb = kRead10;
  std::uint32_t lba = 0;
  for (auto _ : state) {
    put_be32(std::span<std::uint8_t, 4>(cdb.data() + 2, 4), ++lba);
    const scsi::Cdb decoded(cdb);
    const scsi::Lookup found = scsi::look_up(scsi::disk().opcodes, decoded, {});
    benchmark::DoNotOptimize(scsi::reserved_bit_set(*found.row, decoded, {}));
    benchmark::DoNotOptimize(scsi::extent_of(decoded, decoded.size()));
  }
}
BENCHMARK(cdb_decode);

// Both ends of a channel.
struct Ends {
  std::unique_ptr<Channel> supervisor;
  HostChannel host;

  static Ends make() {
    auto ends = Channel::create(kSize).value();
    std::vector<UniqueFd> fds;
    for (UniqueFd* fd : {&ends.host.requests, &ends.host.completions, &ends.host.data, &ends.host.doorbell,
                         &ends.host.supervisor_doorbell})
      fds.push_back(std::move(*fd));
    return {std::move(ends.channel), HostChannel::map(std::move(fds), kSize.slots, kSize.data_bytes).value()};
  }
};

channel::Slot read_slot(std::uint32_t generation) {
  channel::Slot slot{
      .generation = generation, .cdb_bytes = 10, .direction = channel::Direction::In, .data_bytes = kBytes};
  std::ranges::copy(kRead10, slot.cdb);
  return slot;
}

std::uint32_t answer_all(HostChannel& host) {
  std::uint32_t answered = 0;
  while (auto submission = host.take().value()) {
    host.put(
        {.slot = submission->slot.value, .generation = submission->request.generation, .data_bytes = kBytes});
    ++answered;
  }
  host.publish();
  return answered;
}

std::uint32_t take_all(Channel& supervisor) {
  std::uint32_t taken = 0;
  while (auto entry = supervisor.next_completion().value()) {
    benchmark::DoNotOptimize(entry->generation);
    supervisor.completion_done();
    ++taken;
  }
  return taken;
}

// No doorbell: neither end ever sleeps.
void channel_one_thread(benchmark::State& state) {
  Ends ends = Ends::make();
  std::uint32_t generation = 0;
  const auto batch = static_cast<std::uint32_t>(state.range(0));
  for (auto _ : state) {
    ++generation;
    for (std::uint32_t i = 0; i < batch; ++i) ends.supervisor->submit({i}, read_slot(generation));
    ends.supervisor->publish();
    answer_all(ends.host);
    take_all(*ends.supervisor);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(channel_one_thread)->Arg(1)->Arg(32);

enum class Waiting : std::uint8_t { Blocking, Spinning };

void host_thread(HostChannel& host, Waiting waiting, const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    if (answer_all(host) != 0 || waiting == Waiting::Spinning || !host.prepare_sleep()) continue;
    pollfd event{.fd = host.doorbell().get(), .events = POLLIN, .revents = 0};
    if (::poll(&event, 1, 100) == 1) host.drain();
    host.wake();
  }
}

// Between two threads: with both sleeping on their doorbells, as the code does today, and with both looking
// again and again, which is the least that a hop between two processors can cost.
void channel_two_threads(benchmark::State& state, Waiting waiting) {
  Ends ends = Ends::make();
  std::jthread host([&](const std::stop_token& stop) { host_thread(ends.host, waiting, stop); });
  const auto batch = static_cast<std::uint32_t>(state.range(0));
  std::uint32_t generation = 0;
  for (auto _ : state) {
    ++generation;
    for (std::uint32_t i = 0; i < batch; ++i) ends.supervisor->submit({i}, read_slot(generation));
    ends.supervisor->publish();
    for (std::uint32_t left = batch; (left -= take_all(*ends.supervisor)) != 0;) {
      if (waiting == Waiting::Spinning || !ends.supervisor->prepare_sleep()) continue;
      pollfd event{.fd = ends.supervisor->doorbell().get(), .events = POLLIN, .revents = 0};
      if (::poll(&event, 1, 20'000) == 1) drain_doorbell(ends.supervisor->doorbell());
      ends.supervisor->wake();
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK_CAPTURE(channel_two_threads, blocking, Waiting::Blocking)->Arg(1)->Arg(32)->UseRealTime();
BENCHMARK_CAPTURE(channel_two_threads, spinning, Waiting::Spinning)->Arg(1)->Arg(32)->UseRealTime();

}  // namespace
}  // namespace bulkhead::bench

BENCHMARK_MAIN();
