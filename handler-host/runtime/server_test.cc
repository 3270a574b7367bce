// The serving loop in this very process, where its memory and threads can be watched.
#include "handler-host/runtime/server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <thread>

#include "base/control_socket.h"
#include "handler-host/handlers/file/file_device.h"
#include "handler-host/runtime/device_services.h"
#include "handler-host/runtime/testing/channel_peer.h"

namespace {

// Allocations of threads that want theirs counted.
thread_local bool t_counted = false;
std::atomic<std::uint64_t> g_allocations{0};

void* allocate(std::size_t bytes) {
  if (t_counted) g_allocations.fetch_add(1, std::memory_order_relaxed);
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) {
  return allocate(bytes);
}
void* operator new[](std::size_t bytes) {
  return allocate(bytes);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace bulkhead::host {
namespace {

constexpr std::uint32_t kSlots = 16;
constexpr std::uint64_t kData = 1 << 20;
constexpr std::uint64_t kSize = 1 << 20;

// A file served by a thread; the test's own thread is the supervisor.
class ServedFile {
 public:
  explicit ServedFile(const std::string& options) : pair_(std::move(*make_control_pair())) {
    std::ofstream(path_).close();
    std::filesystem::resize_file(path_, kSize);
    const UniqueFd file(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
    control::Message opened;
    opened.mutable_file_opened()->set_id(1);
    const std::string bytes = opened.SerializeAsString();
    const int number = file.get();
    EXPECT_TRUE(send_packet(pair_[1], std::as_bytes(std::span(bytes)), std::span(&number, 1)));
    host_ = std::thread([this, options] { serve(options); });
  }
  ~ServedFile() {
    pair_[1].reset();
    host_.join();
    EXPECT_EQ(code_, ExitCode::Done);
    std::filesystem::remove(path_);
  }
  ServedFile(const ServedFile&) = delete;
  ServedFile& operator=(const ServedFile&) = delete;

  // Every slot once per round, half of them reading; each command must succeed.
  void run(int rounds) {
    for (int round = 0; round < rounds; ++round) {
      for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
        peer_.submit(slot, slot % 2 == 0 ? ChannelPeer::write16(slot * 8, 8, slot * 4096)
                                         : ChannelPeer::read16(slot * 8, 8, slot * 4096));
        if (slot % 4 == 3) peer_.publish();
      }
      for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
        const auto entry = peer_.wait_completion();
        ASSERT_TRUE(entry);
        ASSERT_EQ(entry->scsi_status, 0);
      }
    }
  }

 private:
  void serve(const std::string& options) {
    auto loop = std::move(*EventLoop::create());
    ControlClient control(std::move(pair_[0]));
    Journal journal(control);
    DeviceServices services(*loop, control, journal);
    IdentityClient identity(*loop, control);
    HostChannel channel = std::move(*HostChannel::map(peer_.take_host_fds(), kSlots, kData));
    auto device = handler::FileDevice::open(
        services, {.device = "d", .config = path_ + options, .size = {kSize}, .block_bytes = 512});
    ASSERT_TRUE(device) << device.error().what;
    scsi::LogicalUnit unit(**device, services, identity,
                           {.device = "d",
                            .config = "file/" + path_,
                            .size = {kSize},
                            .block_bytes = 512,
                            .max_sectors = 2048,
                            .largest_transfer_bytes = kData,
                            .max_commands = kSlots});
    Server server({.loop = *loop,
                   .control = control,
                   .journal = journal,
                   .services = services,
                   .identity = identity,
                   .channel = channel,
                   .device = **device,
                   .unit = unit,
                   .size = {kSize},
                   .block_bytes = 512});
    t_counted = true;
    code_ = server.run();
    t_counted = false;
  }

  const std::string path_ = ::testing::TempDir() + "/server-test-" + std::to_string(::getpid()) + ".img";
  ChannelPeer peer_{kSlots, kData};
  std::array<UniqueFd, 2> pair_;
  std::thread host_;
  ExitCode code_ = ExitCode::SystemRefused;
};

class ServerByEngine : public ::testing::TestWithParam<std::string> {};

TEST_P(ServerByEngine, AllocatesNothingOnceItIsWarm) {
  ServedFile file("?direct=off&engine=" + GetParam());
  file.run(50);
  const std::uint64_t before = g_allocations.load();
  file.run(500);
  EXPECT_EQ(g_allocations.load() - before, 0u);
}

INSTANTIATE_TEST_SUITE_P(Engines, ServerByEngine, ::testing::Values("uring", "threads"));

}  // namespace
}  // namespace bulkhead::host
