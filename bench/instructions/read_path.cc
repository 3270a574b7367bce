// read_path [COMMANDS]: so many READ(10)s of 4 KiB from the kernel's ring to a file in memory and back, in
// one thread and in a fixed order, so that callgrind counts the same instructions every time. Each step is a
// function of its own, which `check` looks for by name.
//
// Supervisor's and host's code meet here in one process; the order of the host's steps is that of
// Server::serve_round.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/control_socket.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "handler-host/channel/host_channel.h"
#include "handler-host/handlers/file/file_device.h"
#include "handler-host/runtime/commands.h"
#include "handler-host/runtime/control_client.h"
#include "handler-host/runtime/device_services.h"
#include "handler-host/runtime/event_loop.h"
#include "handler-host/runtime/identity_client.h"
#include "handler-host/runtime/journal.h"
#include "handler-host/scsi/logical_unit.h"
#include "proto/control.pb.h"
#include "supervisor/channel/channel.h"
#include "supervisor/journal/journal.h"
#include "supervisor/pump/data_path.h"
#include "supervisor/pump/guarded_copy.h"
#include "supervisor/ring/testing/fake_kernel.h"

namespace bulkhead::bench {
namespace {

using host::HostChannel;
using supervisor::Channel;
using supervisor::CommandRing;
using supervisor::DataPath;
using supervisor::testing::FakeKernel;

constexpr supervisor::ChannelSize kSize{.slots = 16, .data_bytes = 1 << 20};
constexpr std::uint64_t kLunBytes = 1 << 20;
constexpr std::uint32_t kBytes = 4096;

class NoEvents final : public DataPath::Events {
 public:
  void host_broke_rule(std::string_view) override { std::abort(); }
  void ring_broken(const Error&) override { std::abort(); }
  void took(const supervisor::InFlightCommand&) override {}
  void poisoned(const supervisor::InFlightCommand&) override {}
  void task_management(const supervisor::AbortedTasks&) override {}
  void idle() override {}
  void busy() override {}
};

// The host without its process: everything behind the channel.
class HostParts {
 public:
  HostParts(const UniqueFd& file, std::array<UniqueFd, 2> sockets, supervisor::HostEnds ends)
      : loop_(host::EventLoop::create().value()),
        supervisor_(std::move(sockets[1])),
        control_(std::move(sockets[0])),
        channel_(HostChannel::map(in_order(std::move(ends)), kSize.slots, kSize.data_bytes).value()),
        device_(open(file)),
        unit_(*device_, services_, identity_,
              {.device = "d",
               .config = "file/counted",
               .size = {kLunBytes},
               .block_bytes = 512,
               .max_sectors = 2048,
               .largest_transfer_bytes = kSize.data_bytes,
               .max_commands = kSize.slots}),
        commands_(channel_) {}

  void take() { BULKHEAD_CHECK(commands_.start_all(unit_).value()); }
  void execute() { loop_->run_posted(); }
  void publish() {
    changed_ |= unit_.state() != told_;
    channel_.publish();
    if (unit_.answers_are_out()) changed_ |= unit_.state() != told_;
  }
  void look_again() {
    BULKHEAD_CHECK(!commands_.start_all(unit_).value());
    loop_->run_posted();
    publish();
    BULKHEAD_CHECK(channel_.prepare_sleep());
    channel_.wake();
  }

 private:
  static std::vector<UniqueFd> in_order(supervisor::HostEnds ends) {
    std::vector<UniqueFd> fds;
    for (UniqueFd* fd :
         {&ends.requests, &ends.completions, &ends.data, &ends.doorbell, &ends.supervisor_doorbell})
      fds.push_back(std::move(*fd));
    return fds;
  }
  // The supervisor's answer to the question for the file is there before it is asked.
  std::unique_ptr<handler::Device> open(const UniqueFd& file) {
    control::Message opened;
    opened.mutable_file_opened()->set_id(1);
    const std::string bytes = opened.SerializeAsString();
    const int number = file.get();
    BULKHEAD_CHECK(send_packet(supervisor_, std::as_bytes(std::span(bytes)), std::span(&number, 1)));
    return handler::FileDevice::open(services_, {.device = "d",
                                                 .config = "/counted?direct=off&lock=off",
                                                 .size = {kLunBytes},
                                                 .block_bytes = 512})
        .value();
  }

  std::unique_ptr<host::EventLoop> loop_;
  UniqueFd supervisor_;
  host::ControlClient control_;
  host::Journal journal_{control_};
  host::DeviceServices services_{*loop_, control_, journal_};
  host::IdentityClient identity_{*loop_, control_};
  HostChannel channel_;
  std::unique_ptr<handler::Device> device_;
  scsi::LogicalUnit unit_;
  host::Commands commands_;
  scsi::LogicalUnit::State told_{};
  bool changed_ = false;
};

// noipa: neither inlined nor merged with one that does the same.
[[gnu::noipa]] void step_pump_takes(DataPath& path) {
  path.turn();
}
[[gnu::noipa]] void step_host_takes(HostParts& host) {
  host.take();
}
[[gnu::noipa]] void step_host_executes(HostParts& host) {
  host.execute();
}
[[gnu::noipa]] void step_host_publishes(HostParts& host) {
  host.publish();
}
[[gnu::noipa]] void step_host_looks_again(HostParts& host) {
  host.look_again();
}
[[gnu::noipa]] void step_pump_answers(DataPath& path) {
  path.turn();
}

void read_one(FakeKernel& kernel, DataPath& path, HostParts& host, std::uint32_t lba) {
  std::array<std::uint8_t, 10> cdb{0x28, 0, 0, 0, 0, 0, 0, 0, kBytes / 512, 0};
  put_be32(std::span<std::uint8_t, 4>(cdb.data() + 2, 4), lba);
  BULKHEAD_CHECK(kernel.queue(cdb, FakeKernel::Data::In, kBytes).has_value());
  step_pump_takes(path);
  step_host_takes(host);
  step_host_executes(host);
  step_host_publishes(host);
  step_host_looks_again(host);
  step_pump_answers(path);
  kernel.kick();
  const auto finished = kernel.take_finished();
  BULKHEAD_CHECK(finished.size() == 1 && finished.begin()->second.status == 0);
}

int run(std::uint32_t commands) {
  supervisor::install_bus_error_guard();
  const UniqueFd file(::memfd_create("counted", MFD_CLOEXEC));
  BULKHEAD_CHECK(::ftruncate(file.get(), kLunBytes) == 0);
  auto ends = Channel::create(kSize).value();
  HostParts host(file, make_control_pair().value(), std::move(ends.host));
  FakeKernel kernel({.ring_bytes = 65536, .data_blocks = 64});
  auto journal = supervisor::Journal::create(kSize.slots, kSize.data_bytes / channel::kPage).value();
  NoEvents events;
  DataPath path(CommandRing::attach(kernel.region(), journal->cursors()).value(), journal,
                std::make_shared<supervisor::DeviceStats>(), events, [] {});
  path.attach(std::move(ends.channel));
  path.turn();
  for (std::uint32_t i = 0; i < commands; ++i) read_one(kernel, path, host, i * 8 % (kLunBytes / 512));
  return 0;
}

}  // namespace
}  // namespace bulkhead::bench

int main(int argc, char** argv) {
  const long commands = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 0;
  if (commands <= 0) {
    fmt::print(stderr, "usage: read_path COMMANDS\n");
    return 2;
  }
  return bulkhead::bench::run(static_cast<std::uint32_t>(commands));
}
