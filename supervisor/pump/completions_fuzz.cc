// A host that answers anything: entries of any content, honest ones with a lie in them, any head index, while
// initiators go on sending. Whatever it does costs its own life at most: the kernel sees nothing wrong, each
// command is answered once, and with an honest host afterwards none is left.
//
// Input: steps, a byte each (see step()), with what they take behind them.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "supervisor/pump/data_path.h"
#include "supervisor/pump/guarded_copy.h"
#include "supervisor/pump/testing/fake_host.h"
#include "supervisor/ring/testing/fake_kernel.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::supervisor;
using namespace bulkhead::supervisor::testing;

constexpr std::uint32_t kPages = 16;
constexpr ChannelSize kSize{.slots = 8, .data_bytes = kPages * channel::kPage};
constexpr std::array<std::uint8_t, 10> kRead{0x28}, kWrite{0x2a}, kVendor{0xc1};
constexpr std::size_t kMostSteps = 200;

class World final : private DataPath::Events {
 public:
  World() { start_host(); }

  void step(std::uint8_t what, std::span<const std::uint8_t>& rest) {
    switch (what % 8) {
      case 0:
        send(kRead, FakeKernel::Data::In, std::size_t{take(rest)} * 64);
        break;
      case 1:
        send(kWrite, FakeKernel::Data::Out, std::size_t{take(rest)} * 64);
        break;
      case 2:
        send(kVendor, FakeKernel::Data::Out, std::size_t{take(rest)} * 64);
        break;
      case 3:
        if (const auto slot = host_->next()) host_->answer(*slot);
        break;
      case 4:
        answer_raw(lie(honest_answer(take(rest)), rest));
        break;
      case 5:
        // Near what is true, or far away.
        host_->set_completion_head(std::uint32_t{take(rest)} | std::uint32_t{take(rest)} << 24);
        break;
      case 6:
        path_.detach();
        start_host();
        break;
      default:
        break;
    }
    turn();
    if (!dead_) return;
    start_host();
    turn();
  }

  // An honest host finds nothing that it could not end.
  void finish() {
    path_.detach();
    start_host();
    for (int rounds = 0; kernel_.running() != 0; ++rounds) {
      BULKHEAD_CHECK(rounds < 1000 && !dead_);
      turn();
      while (const auto slot = host_->next()) host_->answer(*slot);
    }
    BULKHEAD_CHECK(kernel_.fault().empty());
  }

 private:
  void host_broke_rule(std::string_view rule) override {
    BULKHEAD_CHECK(!rule.empty() && !dead_);
    dead_ = true;
  }
  void ring_broken(const Error& /*error*/) override { BULKHEAD_CHECK(false); }
  void took(const InFlightCommand& /*command*/) override {}
  void poisoned(const InFlightCommand& /*command*/) override {}
  void task_management(const AbortedTasks& /*tasks*/) override {}
  void idle() override {}
  void busy() override {}

  static std::uint8_t take(std::span<const std::uint8_t>& rest) {
    if (rest.empty()) return 0;
    const std::uint8_t byte = rest.front();
    rest = rest.subspan(1);
    return byte;
  }

  void start_host() {
    path_.drop_retired();
    auto ends = Channel::create(kSize).value();
    path_.attach(std::move(ends.channel));
    host_ = std::make_unique<FakeHost>(std::move(ends.host));
    dead_ = false;
  }
  void turn() {
    while (path_.turn()) {
    }
    BULKHEAD_CHECK(kernel_.fault().empty());
  }
  void send(std::span<const std::uint8_t> cdb, FakeKernel::Data direction, std::size_t bytes) {
    const std::vector<std::uint8_t> data(direction == FakeKernel::Data::Out ? bytes : 0, 0x5a);
    (void)kernel_.queue(cdb, bytes == 0 ? FakeKernel::Data::None : direction, bytes, data);
  }
  // Some lies need no context to be one, and must be seen through.
  void answer_raw(const channel::CompletionEntry& entry) {
    const bool lie = entry.slot >= kSize.slots || entry.reserved != 0 ||
                     entry.sense_bytes > channel::kSenseBytes ||
                     entry.generation != host_->slot(entry.slot).generation;
    host_->answer_raw(entry);
    turn();
    BULKHEAD_CHECK(dead_ || !lie);
  }
  [[nodiscard]] channel::CompletionEntry honest_answer(std::uint8_t slot) const {
    if (slot < kSize.slots) return host_->honest(slot);
    return {};
  }
  // Bytes of the entry are changed: a count, then places and values.
  static channel::CompletionEntry lie(channel::CompletionEntry entry, std::span<const std::uint8_t>& rest) {
    std::array<std::uint8_t, sizeof entry> bytes;
    std::memcpy(bytes.data(), &entry, sizeof entry);
    for (std::uint8_t left = take(rest) % 20; left != 0; --left) {
      const std::size_t at = take(rest) % sizeof entry;
      bytes[at] = take(rest);
    }
    std::memcpy(&entry, bytes.data(), sizeof entry);
    return entry;
  }

  FakeKernel kernel_{{.ring_bytes = 4096, .data_blocks = 64}};
  std::shared_ptr<DeviceStats> stats_ = std::make_shared<DeviceStats>();
  std::shared_ptr<Journal> journal_ = Journal::create(kSize.slots, kPages).value();
  DataPath path_{CommandRing::attach(kernel_.region(), journal_->cursors()).value(), journal_, stats_, *this,
                 [this] { kernel_.kick(); }};
  std::unique_ptr<FakeHost> host_;
  bool dead_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  install_bus_error_guard();
  World world;
  std::span<const std::uint8_t> rest(data, size);
  for (std::size_t steps = 0; !rest.empty() && steps < kMostSteps; ++steps) {
    const std::uint8_t what = rest.front();
    rest = rest.subspan(1);
    world.step(what, rest);
  }
  world.finish();
  return 0;
}
