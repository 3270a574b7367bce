// A device across supervisors: what is left for the next one, and how that one goes on.
#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>

#include "base/log.h"
#include "proto/device_record.pb.h"
#include "supervisor/device/device.h"
#include "supervisor/pump/journal_stats.h"
#include "supervisor/version.h"

namespace bulkhead::supervisor {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kConfigfsDeadline{10'000};
constexpr seconds kTakeOverDeadline{10};

Result<UniqueFd> duplicate(const UniqueFd& fd) {
  UniqueFd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return fail_errno(errno, "duplicate a descriptor for the next supervisor");
  return copy;
}

bool complete(KeptLun& kept) {
  for (const KeptKind kind : LunKeeper::kOfTheHost)
    if (!kept.has(kind)) return false;
  return true;
}

Result<std::unique_ptr<DeviceRecord>> record_in(const Journal& journal, const DeviceKey& key) {
  auto record = std::make_unique<DeviceRecord>();
  if (!record->ParseFromString(journal.record()))
    return fail(Cause::BadInput, EPROTO, "the journal holds no record that can be read");
  if (record->hba() == key.hba && record->name() == key.name) return record;
  return fail(Cause::BadInput, ESTALE,
              fmt::format("it was kept for {}/{}, which is gone", record->hba(), record->name()));
}

}  // namespace

// Before a command is taken from the ring: a supervisor that dies earlier leaves a device that nobody has
// served.
awaitable<void> Device::keep_kernel_side() {
  auto journal = duplicate(journal_->fd());
  auto uio = duplicate(kernel_->uio);
  if (!journal || !uio) {
    log(Level::Warning, log_fields(), (journal ? uio : journal).error().what);
    co_return;
  }
  LunKeeper::Kept kept;
  kept.emplace_back(KeptKind::Journal, std::move(*journal));
  kept.emplace_back(KeptKind::Uio, std::move(*uio));
  co_await keeper_.keep(std::move(kept));
}

// Before a command is given to the host.
awaitable<void> Device::keep_host(ChannelFds channel) {
  auto process = host_->duplicate();
  if (!process) {
    log(Level::Warning, log_fields(), process.error().what);
    co_return;
  }
  LunKeeper::Kept kept;
  kept.emplace_back(KeptKind::Control, std::move(process->control));
  kept.emplace_back(KeptKind::Pidfd, std::move(process->pidfd));
  kept.emplace_back(KeptKind::Stderr, std::move(process->standard_error));
  kept.emplace_back(KeptKind::Requests, std::move(channel.requests));
  kept.emplace_back(KeptKind::Completions, std::move(channel.completions));
  kept.emplace_back(KeptKind::Data, std::move(channel.data));
  kept.emplace_back(KeptKind::Doorbell, std::move(channel.host_doorbell));
  kept.emplace_back(KeptKind::Eventfd, std::move(channel.doorbell));
  if (witness_) {
    auto witness = duplicate(*witness_);
    if (witness) kept.emplace_back(KeptKind::Witness, std::move(*witness));
  }
  co_await keeper_.keep(std::move(kept));
}

void Device::save_record() {
  if (!journal_ || !kernel_) return;
  DeviceRecord record;
  record.set_hba(key_.hba);
  record.set_name(key_.name);
  record.set_dev_config(uio_.name.dev_config);
  record.set_build(kVersion);
  record.set_size_bytes(kernel_->facts.size.value);
  record.set_block_bytes(kernel_->facts.block_bytes);
  record.set_max_sectors(kernel_->facts.max_sectors);
  record.set_write_cache_attribute(kernel_->facts.write_cache);
  record.set_write_cache_set(write_cache_set_);
  record.set_blocked(blocked_);
  record.set_wwn(wwn_);
  record.set_held(held_);
  if (limits_) {
    record.set_limit_iops(limits_->iops);
    record.set_limit_bytes_per_second(limits_->bytes_per_second);
  }
  record.set_write_cache_off(write_cache_off_);
  record.set_unit_state(unit_state_);
  record.set_served(ever_served_);
  record.set_writes_lost(writes_lost_);
  if (host_) record.set_question_id(host_->next_question_id());
  record.set_host_since_usec(host_since_usec_);
  record.set_hosts_started(hosts_started_);
  record.set_last_exit(last_exit_);
  record.set_read_only(facts_.read_only);
  record.set_write_cache(facts_.write_cache);
  record.set_host_size_bytes(facts_.size_bytes);
  record.set_adoptions(adoptions_);
  record.set_deaths(deaths_);
  record.set_watchdog_kills(watchdog_kills_);
  record.mutable_walls()->insert(told_walls_.begin(), told_walls_.end());
  auto stored = journal_->store_record(record.SerializeAsString());
  if (!stored)
    log(Level::Warning, log_fields(), fmt::format("not left for a successor: {}", stored.error().what));
}

void Device::restore(const DeviceRecord& record) {
  write_cache_set_ = record.write_cache_set();
  blocked_ = record.blocked();
  wwn_ = record.wwn();
  held_ = record.held();
  if (record.has_limit_iops()) limits_ = {record.limit_iops(), record.limit_bytes_per_second()};
  write_cache_off_ = record.write_cache_off();
  unit_state_ = record.unit_state();
  writes_lost_ = record.writes_lost();
  host_since_usec_ = record.host_since_usec();
  hosts_started_ = record.hosts_started();
  last_exit_ = record.last_exit();
  facts_ = {record.read_only(), record.write_cache(), record.host_size_bytes(), record.unit_state()};
  adoptions_ = record.adoptions() + 1;
  deaths_ = record.deaths();
  watchdog_kills_ = record.watchdog_kills();
  told_walls_.insert(record.walls().begin(), record.walls().end());
  ever_served_ = !record.has_served() || record.served();
}

// Errors: nothing can be made of what was kept. It is taken over like one that somebody else has served.
awaitable<Result<>> Device::adopt(KeptLun kept) {
  if (kept.has(KeptKind::Witness)) {
    witness_ = context_.files.closed_here(kept.take(KeptKind::Witness));
    files_.claim(handler_config(), *witness_);
  }
  if (!kept.has(KeptKind::Journal) || !kept.has(KeptKind::Uio))
    co_return fail(Cause::NotFound, ENOENT, "its journal or its uio device was not kept");
  auto journal = Journal::adopt(kept.take(KeptKind::Journal));
  if (!journal) co_return std::unexpected(std::move(journal.error()));
  auto record = record_in(**journal, key_);
  if (!record) co_return std::unexpected(std::move(record.error()));
  // Also for a ring that can't be gone on with: what operators and initiators have set holds.
  restore(**record);
  // Its supervisor ended while it was changed, before the kernel was told.
  if ((*record)->dev_config() != uio_.name.dev_config)
    co_return fail(Cause::BadInput, ESTALE, "its host was to serve another configuration");
  auto job = [root = context_.root, uio = uio_, fd = kept.take(KeptKind::Uio)]() mutable {
    return adopt_kernel_device(root, uio, std::move(fd));
  };
  auto opened =
      co_await context_.pool.run<KernelDevice>("adopt the uio device", kConfigfsDeadline, std::move(job));
  if (!opened) co_return std::unexpected(std::move(opened.error()));
  auto ring = CommandRing::adopt(opened->region.bytes(), (*journal)->cursors());
  if (!ring) co_return std::unexpected(std::move(ring.error()));
  kernel_ = std::move(*opened);
  journal_ = std::move(*journal);
  make_path(*ring);
  expired_told_ = stats_->expired.get();
  // What is too old to be run must not be given to anybody. Nobody else looks at the path yet.
  path_->set_wait_limits(WaitLimits::of(kernel_->facts.command_timeout_s));
  co_await adopt_host(std::move(kept), (*record)->question_id());
  Result<> added;
  auto add = [this, &added] { added = pump_.add(*this); };
  co_await pump_do(std::move(add));
  if (!added) co_return added;
  path_on_pump_ = true;
  if (host_ && !host_end_) co_await greet_adopted_host();
  co_return Result<>();
}

// The channel first, whatever became of the process: its last answers count.
awaitable<void> Device::adopt_host(KeptLun kept, std::uint64_t question_id) {
  std::unique_ptr<Channel> channel;
  const bool attached = journal_->cursors().host_link == HostLink::Attached;
  const bool whole = complete(kept);
  if (attached && whole) {
    ChannelFds fds{kept.take(KeptKind::Requests), kept.take(KeptKind::Completions), kept.take(KeptKind::Data),
                   kept.take(KeptKind::Doorbell), kept.take(KeptKind::Eventfd)};
    auto adopted = Channel::adopt(channel_size(), std::move(fds));
    if (adopted)
      channel = std::move(*adopted);
    else
      log(Level::Error, log_fields(), fmt::format("its host can't go on: {}", adopted.error().what));
  }
  if (whole) {
    HostDescriptors descriptors{kept.take(KeptKind::Pidfd), kept.take(KeptKind::Control),
                                kept.take(KeptKind::Stderr)};
    adopted_host_ = channel != nullptr;
    const auto sound = check_walls(descriptors.pidfd, told_walls_);
    auto process = HostProcess::adopt(std::move(descriptors));
    if (process) {
      // Also one that has ended: what it said last is heard.
      host_ =
          HostSession::adopt(context_.io, context_.files, std::move(*process), label_, *this, question_id);
      if (!channel)
        host_->kill("was not serving yet when its supervisor died");
      else if (!sound && sound.error().cause != Cause::NotFound)
        host_->kill(sound.error().what);
    }
  }
  Result<> watched;
  attached_ = channel != nullptr;
  auto work = [this, &watched, limit = busy_poll(), channel = std::move(channel)]() mutable {
    if (channel == nullptr) return path_->lose_adopted_host();
    path_->adopt_host(std::move(channel));
    path_->set_busy_poll(limit);
    watched = pump_.watch_channel(*this);
  };
  co_await pump_do(std::move(work));
  if (!watched && host_) host_->kill(watched.error().what);
  // Nobody will tell of its end. Asked first: aborted commands are answered with the channel's end.
  if (!host_) {
    ask_witness();
    co_await take_channel_away();
  }
  // Else the next host's would be kept beside them.
  if (!attached_) co_await keeper_.drop_host();
}

// What it told the dead supervisor may not have been written down.
awaitable<void> Device::greet_adopted_host() {
  auto taken = co_await host_->take_over(kVersion, kTakeOverDeadline);
  if (taken && facts_.size_bytes != kernel_->facts.size.value) {
    const seconds limit = open_limit();
    taken = co_await host_->resize(kernel_->facts.size.value, limit);
  }
  if (!taken && host_ && !host_end_)
    host_->kill(fmt::format("did not accept its new supervisor: {}", taken.error().what));
}

// Nothing could be made of what was kept: whoever still writes to this LUN's data is ended, and systemd keeps
// nothing of it any more.
awaitable<void> Device::give_up_adoption(const Error& error) {
  log(Level::Warning, log_fields(),
      fmt::format("can't go on where the last supervisor stopped: {}; the ring is reset, initiators retry",
                  error.what));
  if (host_) {
    host_->kill("is replaced");
    co_await host_gone(Wake::kNever);
  }
  ask_witness();
  co_await take_channel_away();
  co_await close_kernel_side();
  (void)files_.begin_anew();    // what was claimed for it may be of another configuration
  co_await keeper_.drop_all();  // also when there was no kernel side to close
  drop_host();
}

// We end, the device goes on being served.
void Device::leave_running() {
  save_record();
  if (host_) host_->leave_running();
}

}  // namespace bulkhead::supervisor
