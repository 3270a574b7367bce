#include "supervisor/pump/pump.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <future>
#include <random>
#include <thread>

#include "base/doorbell.h"
#include "supervisor/pump/guarded_copy.h"
#include "supervisor/pump/testing/fake_host.h"
#include "supervisor/pump/testing/image_file.h"
#include "supervisor/ring/testing/fake_kernel.h"

namespace bulkhead::supervisor {
namespace {

using testing::FakeHost;
using testing::FakeKernel;
using testing::ImageFile;

constexpr ChannelSize kSize{.slots = 16, .data_bytes = 64 * channel::kPage};
constexpr std::uint8_t kRead10 = 0x28;
constexpr std::array<std::uint8_t, 10> kWrite10{0x2a};

// One device on a pump: fake kernel, a pipe in the uio device's place, honest hosts on threads of their
// own.
class TestDevice : public PumpClient, public DataPath::Events {
 public:
  explicit TestDevice(Pump& pump) : pump_(pump) {
    on_pump([this] { ASSERT_TRUE(pump_.add(*this)); });
  }
  ~TestDevice() {
    stop_host();
    on_pump([this] { pump_.remove(*this); });
  }

  DataPath& path() override { return path_; }
  const UniqueFd& uio() override { return pipe_[0]; }
  void device_gone() override {}
  void host_broke_rule(std::string_view) override { ++broken_rules; }
  void ring_broken(const Error&) override { ++broken_rules; }
  void took(const InFlightCommand&) override {}
  void poisoned(const InFlightCommand&) override {}
  void task_management(const AbortedTasks&) override {}
  void idle() override {}
  void busy() override {}

  // Queues and notifies as the kernel does: the event follows the entry.
  std::optional<std::uint64_t> queue(std::size_t bytes) {
    const std::vector<std::uint8_t> data(bytes, 0x5a);
    auto ticket = kernel.queue(kWrite10, FakeKernel::Data::Out, bytes, data);
    notify();
    return ticket;
  }
  std::optional<std::uint64_t> queue_read(std::uint8_t lba) {
    const std::vector<std::uint8_t> cdb{kRead10, 0, 0, 0, 0, lba, 0, 0, 1, 0};
    auto ticket = kernel.queue(cdb, FakeKernel::Data::In, ImageFile::kBlock);
    notify();
    return ticket;
  }
  void notify() {
    const std::int32_t event = 1;
    // A uio device counts and is never full.
    if (::write(pipe_[1].get(), &event, sizeof event) < 0) {
      drain_doorbell(pipe_[0]);
      EXPECT_EQ(::write(pipe_[1].get(), &event, sizeof event), ssize_t{sizeof event});
    }
  }
  void grant(const ImageFile& image) {
    on_pump([this, &image] {
      path_.set_grant(IoGrant({.file = image.file(),
                               .number = 1,
                               .size = {std::uint64_t{ImageFile::kBlocks} * ImageFile::kBlock},
                               .block_bytes = ImageFile::kBlock,
                               .largest_bytes = ImageFile::kBlock,
                               .direct = true,
                               .is_disk = true}));
    });
  }

  void limit(const RateLimits& limits) {
    on_pump([this, limits] { path_.set_rate_limits(limits); });
  }

  // The host answers everything until it is stopped, or dies silently after `lifetime` commands.
  void start_host(int lifetime = 1 << 30) {
    auto ends = Channel::create(kSize).value();
    on_pump([this, channel = std::move(ends.channel)]() mutable {
      path_.attach(std::move(channel));
      ASSERT_TRUE(pump_.watch_channel(*this));
    });
    alive_ = true;
    host_ = std::thread([this, lifetime, end = std::move(ends.host)]() mutable {
      FakeHost host(std::move(end));
      host.set_grant(1 << channel::kGrantBits | channel::kGrantReads);
      for (int served = 0; alive_ && served < lifetime;) {
        if (auto slot = host.next()) {
          serve(host, *slot);
          ++served;
        } else {
          host.wait(100);
        }
      }
    });
  }
  void stop_host() {
    if (!host_.joinable()) return;
    alive_ = false;
    host_.join();
    on_pump([this] { pump_.detach(*this); });
  }
  // A host that takes nothing, and rings until it is told to stop.
  void start_ringing_host() {
    auto ends = Channel::create(kSize).value();
    on_pump([this, channel = std::move(ends.channel)]() mutable {
      path_.attach(std::move(channel));
      ASSERT_TRUE(pump_.watch_channel(*this));
    });
    alive_ = true;
    host_ = std::thread([this, end = std::move(ends.host)] {
      const std::uint64_t one = 1;
      while (alive_) [[maybe_unused]]
        const ssize_t written = ::write(end.supervisor_doorbell.get(), &one, sizeof one);
    });
  }
  // The host ends by itself; then it is taken away.
  void reap_host() {
    host_.join();
    on_pump([this] { pump_.detach(*this); });
  }

  FakeKernel kernel{{.ring_bytes = 4096, .data_blocks = 64, .read_len = true}};
  std::shared_ptr<DeviceStats> stats = std::make_shared<DeviceStats>();
  std::atomic<int> broken_rules{0};
  std::atomic<int> wrong_data{0};

 private:
  // Reads come here too: before the grant is seen, and when storage can't do one at once.
  void serve(FakeHost& host, std::uint32_t slot) {
    const std::span<std::byte> buffer = host.buffer(slot);
    const auto& cdb = host.slot(slot).cdb;
    if (cdb[0] == kRead10) {
      std::ranges::fill(buffer, std::byte{ImageFile::content_of(cdb[5])});
      host.answer(slot, 0, static_cast<std::uint32_t>(buffer.size()));
      return;
    }
    wrong_data += std::ranges::any_of(buffer, [](std::byte b) { return b != std::byte{0x5a}; });
    host.answer(slot);
  }

  template <class Work>
  void on_pump(Work work) {
    std::promise<void> done;
    pump_.post([&done, work = std::move(work)]() mutable {
      work();
      done.set_value();
    });
    ASSERT_EQ(done.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
  }

  Pump& pump_;
  std::array<UniqueFd, 2> pipe_ = make_doorbell_pipe().value();
  std::shared_ptr<Journal> journal_ = Journal::create(kSize.slots, 64).value();
  DataPath path_{CommandRing::attach(kernel.region(), journal_->cursors()).value(), journal_, stats, *this,
                 [this] { kernel.kick(); }};
  std::thread host_;
  std::atomic<bool> alive_{false};
};

TEST(Pump, CommandsOfTwoDevicesAreServedWhileTheirKernelsAndHostsRunOnOtherThreads) {
  install_bus_error_guard();
  auto pump = Pump::start(0).value();
  TestDevice a(*pump), b(*pump);
  a.start_host();
  b.start_host();
  auto load = [](TestDevice& device) {
    std::mt19937 random(5);
    for (int i = 0; i < 2000;) {
      auto ticket = device.queue(random() % 3 * 4096);
      if (!ticket) {
        std::this_thread::yield();
        continue;
      }
      // Sometimes wait, so that both sides also go to sleep.
      if (++i % 16 == 0) {
        ASSERT_TRUE(device.kernel.wait(*ticket)) << "lost wake-up";
      }
    }
  };
  std::thread other([&] { load(b); });
  load(a);
  other.join();
  auto last = a.queue(0);
  ASSERT_TRUE(a.kernel.wait(*last));
  EXPECT_EQ(a.kernel.fault() + b.kernel.fault(), "");
  EXPECT_EQ(a.broken_rules + b.broken_rules + a.wrong_data + b.wrong_data, 0);
}

TEST(Pump, HostsThatDieUnderLoadLoseNoCommand) {
  install_bus_error_guard();
  auto pump = Pump::start(0).value();
  TestDevice device(*pump);
  std::vector<std::uint64_t> tickets;
  for (int life = 0; life < 30; ++life) {
    device.start_host(5);
    for (int i = 0; i < 12; ++i)
      if (auto ticket = device.queue(4096)) tickets.push_back(*ticket);
    device.reap_host();
  }
  device.start_host();
  for (auto ticket : tickets) {
    auto result = device.kernel.wait(ticket);
    ASSERT_TRUE(result);
  }
  EXPECT_EQ(device.kernel.fault(), "");
  EXPECT_EQ(device.wrong_data, 0);
}

TEST(Pump, WhatStorageHasReadIsAnsweredThoughNothingElseHappens) {
  install_bus_error_guard();
  const ImageFile image;
  auto pump = Pump::start(0).value();
  ASSERT_TRUE(pump->reads_direct()) << "no io_uring: see /proc/sys/kernel/io_uring_disabled";
  {
    TestDevice a(*pump), b(*pump);
    for (TestDevice* device : {&a, &b}) {
      device->start_host();
      device->grant(image);
    }
    for (int i = 0; i < 200; ++i) {
      const auto block = static_cast<std::uint8_t>(i % ImageFile::kBlocks);
      const auto of_a = a.queue_read(block), of_b = b.queue_read(0);
      ASSERT_TRUE(of_a && of_b);
      const auto from_a = a.kernel.wait(*of_a), from_b = b.kernel.wait(*of_b);
      ASSERT_TRUE(from_a && from_b) << i;
      EXPECT_EQ(from_a->data, std::vector<std::uint8_t>(ImageFile::kBlock, ImageFile::content_of(block)));
      EXPECT_EQ(from_b->data.front(), ImageFile::content_of(0));
    }
    EXPECT_GT(a.stats->granted_reads.get(), 0u);
    EXPECT_GT(b.stats->granted_reads.get(), 0u);
    EXPECT_EQ(a.kernel.fault() + b.kernel.fault(), "");
    // Some are under way when their device goes.
    for (std::uint8_t i = 0; i < 8; ++i) b.queue_read(i);
  }
}

// Nothing else wakes the pump: no command comes and no host answers.
TEST(Pump, WhatWaitsForALimitGoesOnByItself) {
  install_bus_error_guard();
  auto pump = Pump::start(0).value();
  TestDevice limited(*pump), free(*pump);
  constexpr int kCommands = 30;
  constexpr RateLimits kLimits{.commands_per_second = 200, .burst_ms = 10};
  limited.limit(kLimits);
  limited.start_host();
  free.start_host();
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::uint64_t> tickets;
  for (int i = 0; i < kCommands;) {
    if (const auto ticket = limited.queue(512)) {
      tickets.push_back(*ticket);
      ++i;
    } else {
      auto other = free.queue(512);
      ASSERT_TRUE(other && free.kernel.wait(*other)) << "a device without limits waits for one that has some";
    }
  }
  for (const auto ticket : tickets) ASSERT_TRUE(limited.kernel.wait(ticket));
  const auto took = std::chrono::steady_clock::now() - begin;
  // However slow the machine: never faster than the limit.
  EXPECT_GE(took, std::chrono::milliseconds(5 * (kCommands - 1) - 10));
  EXPECT_GT(limited.stats->throttled.get(), 0u);
  EXPECT_EQ(limited.kernel.fault(), "");
}

TEST(Pump, AHostThatOnlyRingsIsEndedAndTheOtherDeviceIsServedMeanwhile) {
  install_bus_error_guard();
  auto pump = Pump::start(0).value();
  TestDevice abuser(*pump), bystander(*pump);
  bystander.start_host();
  abuser.start_ringing_host();
  int served = 0;
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (abuser.broken_rules == 0 && std::chrono::steady_clock::now() < limit) {
    auto ticket = bystander.queue(4096);
    ASSERT_TRUE(ticket && bystander.kernel.wait(*ticket));
    ++served;
  }
  EXPECT_EQ(abuser.broken_rules, 1);
  EXPECT_GT(served, 0);
  abuser.stop_host();
  EXPECT_EQ(bystander.broken_rules, 0);
}

}  // namespace
}  // namespace bulkhead::supervisor
