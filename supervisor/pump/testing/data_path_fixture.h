// A data path between a kernel and hosts that are neither: what its tests start from.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "supervisor/pump/cdb_text.h"
#include "supervisor/pump/data_path.h"
#include "supervisor/pump/guarded_copy.h"
#include "supervisor/pump/testing/fake_host.h"
#include "supervisor/ring/testing/fake_kernel.h"

namespace bulkhead::supervisor::testing {

inline constexpr std::array<std::uint8_t, 10> kRead10{0x28};
inline constexpr std::array<std::uint8_t, 10> kWrite10{0x2a};
inline constexpr std::array<std::uint8_t, 6> kTestUnitReady{};
inline constexpr std::array<std::uint8_t, 16> kCompareAndWrite{0x89};
inline constexpr std::array<std::uint8_t, 10> kVendorCommand{0xc1};
inline constexpr std::uint32_t kPages = 16;
inline constexpr ChannelSize kSize{.slots = 8, .data_bytes = kPages * channel::kPage};

class DataPathTest : public ::testing::Test, public DataPath::Events {
 protected:
  DataPathTest() { install_bus_error_guard(); }

  void host_broke_rule(std::string_view rule) override { broken_rules.emplace_back(rule); }
  void ring_broken(const Error& error) override { ring_error = error.what; }
  void took(const InFlightCommand& command) override { taken.emplace_back(CdbText(command).view()); }
  void poisoned(const InFlightCommand& command) override { poison_cdbs.push_back(command.cdb[0]); }
  void task_management(const AbortedTasks& tasks) override {
    managed.push_back({tasks.function, {tasks.with_host.begin(), tasks.with_host.end()}, tasks.answered});
  }
  void idle() override { ++idle_calls; }
  void busy() override { ++busy_calls; }

  // A fresh host in front of the path.
  FakeHost& start_host() {
    auto ends = Channel::create(kSize).value();
    path.attach(std::move(ends.channel));
    hosts.push_back(std::make_unique<FakeHost>(std::move(ends.host)));
    turn();
    return *hosts.back();
  }
  void kill_host() { path.detach(); }
  void turn() {
    while (path.turn()) {
    }
  }
  static std::vector<std::uint8_t> pattern(std::size_t bytes) {
    std::vector<std::uint8_t> data(bytes);
    for (std::size_t i = 0; i < bytes; ++i) data[i] = static_cast<std::uint8_t>(i * 7 + 3);
    return data;
  }

  FakeKernel kernel{{.ring_bytes = 8192, .data_blocks = 256, .read_len = true}};
  std::shared_ptr<DeviceStats> stats = std::make_shared<DeviceStats>();
  std::shared_ptr<Journal> journal = Journal::create(kSize.slots, kPages).value();
  DataPath path{CommandRing::attach(kernel.region(), journal->cursors()).value(), journal, stats, *this,
                [this] { kernel.kick(); }};
  std::vector<std::unique_ptr<FakeHost>> hosts;
  std::vector<std::string> broken_rules;
  std::string ring_error;
  struct Managed {
    TaskFunction function;
    std::vector<AbortedTasks::Listed> with_host;
    std::uint32_t answered;
  };
  std::vector<Managed> managed;
  int idle_calls = 0;
  int busy_calls = 0;
  std::vector<std::uint8_t> poison_cdbs;
  std::vector<std::string> taken;
};

}  // namespace bulkhead::supervisor::testing
