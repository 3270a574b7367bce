// What a hundred LUNs cost in memory, measured on twenty hosts that have served something.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "handler-host/runtime/testing/host_process.h"

namespace bulkhead::host {
namespace {

constexpr std::uint64_t kMebibyte = 1 << 20;
constexpr int kHosts = 20;
constexpr std::uint64_t kGoalKibibytes = 3 * 1024;

std::uint64_t kibibytes(pid_t pid, const std::string& field) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  std::string line;
  while (std::getline(file, line))
    if (line.starts_with(field + ":")) {
      std::istringstream words(line.substr(field.size() + 1));
      std::uint64_t value = 0;
      words >> value;
      return value;
    }
  return 0;
}

TEST(HostMemory, TwentyHostsNeedLessThanThreeMebibytesEach) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr bool kCounts = false;  // a sanitizer's shadow is many times the program
#else
  constexpr bool kCounts = true;
#endif
  const std::string image = ::testing::TempDir() + "/host-memory-" + std::to_string(::getpid());
  std::vector<std::unique_ptr<HostProcess>> hosts;
  for (int i = 0; i < kHosts; ++i) {
    const std::string path = image + "-" + std::to_string(i);
    std::ofstream(path).close();
    std::filesystem::resize_file(path, kMebibyte);
    hosts.push_back(std::make_unique<HostProcess>());
    ASSERT_EQ(hosts.back()->open("file", path, kMebibyte), "");
    EXPECT_EQ(hosts.back()->execute(ChannelPeer::write16(0, 8, 0)), 0);
    EXPECT_EQ(hosts.back()->execute(ChannelPeer::read16(0, 8, 65536)), 0);
    EXPECT_EQ(hosts.back()->execute(ChannelPeer::synchronize_cache()), 0);
  }
  std::uint64_t pss = 0, dirty = 0;
  for (const auto& host : hosts) {
    pss += kibibytes(host->pid(), "Pss");
    dirty += kibibytes(host->pid(), "Private_Dirty");
  }
  std::printf("per host: PSS %lu KiB, private dirty %lu KiB\n", pss / kHosts, dirty / kHosts);
  ASSERT_GT(pss, 0u);
  if (kCounts) {
    EXPECT_LE(pss / kHosts, kGoalKibibytes);
  }
  for (int i = 0; i < kHosts; ++i) std::filesystem::remove(image + "-" + std::to_string(i));
}

}  // namespace
}  // namespace bulkhead::host
