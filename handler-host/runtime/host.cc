#include "handler-host/runtime/host.h"

#include <fmt/format.h>
#include <malloc.h>

#include <bit>
#include <cerrno>
#include <chrono>

#include "handler-host/runtime/config_string.h"
#include "handler-host/runtime/handler_library.h"
#include "handler-host/runtime/server.h"

namespace bulkhead::host {
namespace {

constexpr std::uint32_t kProtocolVersion = 1;  // proto/control.proto
constexpr std::chrono::milliseconds kSupervisorPatience{60'000};
constexpr std::uint32_t kSmallestBlock = 512;
constexpr std::uint32_t kLargestBlock = 65536;

void put_failure(control::Failure& failure, const Error& error) {
  failure.set_sys_errno(errno_of(error));
  failure.set_text(error.what);
}

void put_walls(control::Opened& opened, const Walls& walls) {
  for (const Wall& wall : walls.all()) {
    control::Wall& told = *opened.add_walls();
    told.set_name(std::string(wall.name));
    told.set_state(wall.state);
  }
}

// What handler.h promises to every handler.
Result<> check_lun(const control::Open& open) {
  const std::uint32_t block = open.block_bytes();
  if (!std::has_single_bit(block) || block < kSmallestBlock || block > kLargestBlock)
    return fail(
        Cause::BadInput, EINVAL,
        fmt::format(
            "a block size of {} bytes is not possible: set hw_block_size to a power of two from {} to {}",
            block, kSmallestBlock, kLargestBlock));
  if (open.size_bytes() == 0)
    return fail(Cause::BadInput, EINVAL, "the LUN has no size: create it with a size, for instance size=1G");
  if (open.size_bytes() > INT64_MAX)
    return fail(Cause::BadInput, EFBIG, fmt::format("a LUN of {} bytes is too large", open.size_bytes()));
  if (open.size_bytes() % block != 0)
    return fail(
        Cause::BadInput, EINVAL,
        fmt::format("the LUN's size of {} bytes is not a multiple of its block size of {} bytes: use {}",
                    open.size_bytes(), block, open.size_bytes() / block * block));
  return {};
}

}  // namespace

Host::Host(std::unique_ptr<EventLoop> loop, UniqueFd control, LockdownPlan plan, Walls walls,
           std::chrono::microseconds busy_poll)
    : loop_(std::move(loop)),
      control_(std::move(control)),
      plan_(std::move(plan)),
      walls_(std::move(walls)),
      busy_poll_(busy_poll),
      journal_(control_),
      services_(*loop_, control_, journal_),
      identity_(*loop_, control_) {}

ExitCode Host::run() {
  greet();
  begin(next_message("Start"));
  const Received received = next_message("Open or Check");
  if (received.message.has_open() && channel_) return open_and_serve(received.message.open());
  if (received.message.has_check() && !channel_) return check(received.message.check());
  // Gone before it ever was in use, e.g. because targetcli gave up.
  if (received.message.has_close()) return ExitCode::Done;
  end_process(ExitCode::ProtocolBroken,
              fmt::format("the supervisor sent message {} instead of {}",
                          static_cast<int>(received.message.kind_case()), channel_ ? "Open" : "Check"));
}

void Host::greet() {
  control::Message message;
  message.mutable_hello()->set_protocol_version(kProtocolVersion);
  message.mutable_hello()->set_channel_version(channel::kChannelVersion);
  send(message);
}

Received Host::next_message(const char* waiting_for) {
  auto received = control_.receive_within(kSupervisorPatience);
  if (received) return std::move(*received);
  if (supervisor_gone(received.error()))
    end_process(ExitCode::Done,
                fmt::format("the supervisor is gone; this host was waiting for {}", waiting_for));
  end_process(received.error().cause == Cause::TimedOut ? ExitCode::TimedOut : ExitCode::ProtocolBroken,
              fmt::format("waiting for {}: {}", waiting_for, received.error().what));
}

void Host::begin(Received start) {
  if (!start.message.has_start())
    end_process(ExitCode::ProtocolBroken, fmt::format("the supervisor sent message {} instead of Start",
                                                      static_cast<int>(start.message.kind_case())));
  const control::Start& message = start.message.start();
  subtype_ = message.subtype();
  if (message.slots() != 0) {
    auto channel = HostChannel::map(std::move(start.fds), message.slots(), message.data_bytes());
    if (!channel) end_process(ExitCode::ChannelUnusable, channel.error().what);
    channel_.emplace(std::move(*channel));
    services_.set_channel(*channel_);
  }
  module_ = load_handler(message.library(), subtype_);
}

std::string Host::handler_config(const std::string& config) {
  DaemonOptions options = take_daemon_options(config);
  if (options.command_timeout)
    journal_.log(
        handler::LogLevel::Warning,
        fmt::format("option tcmur_cmd_time_out={} has no effect: slow commands are bounded by the LUN's "
                    "attribute cmd_time_out in configfs; take the option out",
                    *options.command_timeout));
  return std::move(options.rest);
}

ExitCode Host::refuse_open(std::uint64_t id, const Error& error) {
  control::Message message;
  message.mutable_opened()->set_id(id);
  put_failure(*message.mutable_opened()->mutable_failure(), error);
  send(message);
  return ExitCode::OpenFailed;
}

Result<std::unique_ptr<handler::Device>> Host::open_device(const control::Open& open,
                                                           const std::string& config) {
  if (!module_) return std::unexpected(module_.error());
  if (auto good = check_lun(open); !good) return std::unexpected(std::move(good.error()));
  auto device = (*module_)->open(services_, handler::OpenRequest{.device = open.device(),
                                                                 .config = config,
                                                                 .size = {open.size_bytes()},
                                                                 .block_bytes = open.block_bytes()});
  if (device && (*device)->geometry().size.value < open.size_bytes())
    return fail(Cause::Backend, EINVAL,
                fmt::format("handler {} opened a back end of {} bytes for a LUN of {}", subtype_,
                            (*device)->geometry().size.value, open.size_bytes()));
  return device;
}

ExitCode Host::open_and_serve(const control::Open& open) {
  const std::string config = handler_config(open.config());
  auto device = open_device(open, config);
  if (!device) return refuse_open(open.id(), device.error());
  scsi::LogicalUnit unit(**device, services_, identity_,
                         scsi::Parameters{.device = open.device(),
                                          .config = subtype_ + "/" + config,
                                          .size = {open.size_bytes()},
                                          .block_bytes = open.block_bytes(),
                                          .max_sectors = open.max_sectors(),
                                          .largest_transfer_bytes = open.largest_transfer_bytes(),
                                          .max_commands = channel_->slots()});
  const std::string& remembered = open.unit_state();
  unit.restore({reinterpret_cast<const std::uint8_t*>(remembered.data()), remembered.size()});
  if (open.writes_lost()) unit.writes_lost();
  tighten_walls();
  control::Message opened;
  opened.mutable_opened()->set_id(open.id());
  put_walls(*opened.mutable_opened(), walls_);
  send(opened);
  // Opening may have taken memory that serving does not need.
  ::malloc_trim(0);
  Server server(ServerParts{.loop = *loop_,
                            .control = control_,
                            .journal = journal_,
                            .services = services_,
                            .identity = identity_,
                            .channel = *channel_,
                            .device = **device,
                            .unit = unit,
                            .size = {open.size_bytes()},
                            .block_bytes = open.block_bytes(),
                            .largest_transfer_bytes = open.largest_transfer_bytes(),
                            .busy_poll = busy_poll_});
  const ExitCode code = server.run();
  services_.tell_counters();
  return code;
}

ExitCode Host::check(const control::Check& check) {
  // Before the first byte of what anybody may ask about is read.
  tighten_walls();
  const std::string config = handler_config(check.config());
  Result<> verdict;
  if (!module_)
    verdict = std::unexpected(module_.error());
  else
    verdict = check_kernel_carries(subtype_, check.config());
  if (verdict) verdict = (*module_)->check(services_, config, check.may_open());
  control::Message message;
  message.mutable_checked()->set_id(check.id());
  if (!verdict) put_failure(*message.mutable_checked()->mutable_failure(), verdict.error());
  send(message);
  return ExitCode::Done;
}

// Nothing is opened or loaded from now on.
void Host::tighten_walls() {
  if (auto done = tighten(plan_, walls_); !done)
    end_process(ExitCode::LockdownFailed, fmt::format("lock-down: {}", done.error().what));
}

void Host::send(const control::Message& message) {
  auto sent = control_.send(message);
  if (sent) return;
  if (supervisor_gone(sent.error())) end_process(ExitCode::Done, "the supervisor is gone");
  end_process(ExitCode::TimedOut, sent.error().what);
}

}  // namespace bulkhead::host
