#include "supervisor/pump/testing/crash_world.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <stdexcept>
#include <utility>

#include "supervisor/journal/crash_point.h"
#include "supervisor/pump/guarded_copy.h"

namespace bulkhead::supervisor::testing {
namespace {

constexpr std::uint32_t kPages = 4;
constexpr ChannelSize kSize{.slots = 4, .data_bytes = kPages * channel::kPage};
constexpr std::size_t kBytes = 4096;
constexpr std::size_t kFileBlocks = 256;
constexpr std::byte kMark{0xee};  // no pattern
constexpr std::uint8_t kGood = 0x00, kCheckCondition = 0x02, kTaskAborted = 0x40;

struct SupervisorDied {};

std::function<bool()>* asked = nullptr;

#ifdef BULKHEAD_CRASH_POINTS
void ask() {
  if (asked != nullptr && (*asked)()) throw SupervisorDied();
}
#endif

UniqueFd copy_of(const UniqueFd& fd) {
  return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
}

std::byte pattern(std::size_t command) {
  return static_cast<std::byte>(command * 37 + 11);
}

bool holds(std::span<const std::byte> bytes, std::byte byte) {
  return std::ranges::all_of(bytes, [byte](std::byte one) { return one == byte; });
}

// One for all worlds: to make one takes longer than most worlds live.
DirectReads& storage() {
  static const std::unique_ptr<DirectReads> made = DirectReads::create().value();
  return *made;
}

class Hash {
 public:
  template <class T>
  void add(const T& value) {
    static_assert(std::has_unique_object_representations_v<T>);
    add(std::as_bytes(std::span(&value, 1)));
  }
  void add(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) value_ = (value_ ^ static_cast<std::uint8_t>(byte)) * 0x100000001b3u;
  }
  [[nodiscard]] std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

}  // namespace

CrashWorld::CrashWorld(std::function<bool()> dies, Grants grants) : dies_(std::move(dies)) {
  install_bus_error_guard();
  if (grants == Grants::DirectReads) reads_ = &storage();
  if (grants != Grants::None) {
    file_ = std::make_shared<const UniqueFd>(::memfd_create("image", MFD_CLOEXEC));
    if (::ftruncate(file_->get(), kFileBlocks * kBytes) != 0) throw std::runtime_error("no file");
  }
#ifdef BULKHEAD_CRASH_POINTS
  crash_hook = ask;
#endif
  journal_ = Journal::create(kSize.slots, kPages).value();
  journal_fd_ = copy_of(journal_->fd());
  stats_ = std::make_shared<DeviceStats>();
  start_supervisor(CommandRing::attach(kernel_.region(), journal_->cursors()).value());
}

CrashWorld::~CrashWorld() {
  asked = nullptr;
  if (reads_ == nullptr) return;
  reads_->leave(*this);
  let_storage_do_all();
}

void CrashWorld::wrong(std::string text) {
  if (violation_.empty()) violation_ = std::move(text);
}

void CrashWorld::start_supervisor(const CommandRing& ring) {
  ++supervisors_;
  DataPath::Events& events = *this;
  path_ = std::make_unique<DataPath>(ring, journal_, stats_, events, [this] { kernel_.kick(); });
  path_->set_direct_reads(reads_, this);
  held_ = false;
}

// False: the supervisor died in the middle of it.
bool CrashWorld::lives_through(const std::function<void()>& work) {
  asked = &dies_;
  try {
    work();
  } catch (const SupervisorDied&) {
    return false;
  }
  asked = nullptr;
  return true;
}

// Does a supervisor's work; if it dies meanwhile, the next one takes over, which may die too.
void CrashWorld::survive(const std::function<void()>& work) {
  if (lives_through(work)) return;
  do {
    path_.reset();
    journal_.reset();
    read_.clear();
    if (reads_ != nullptr) reads_->leave(*this);
  } while (!lives_through([this] { take_over(); }));
}

// As the device does it (supervisor/device/device_adoption.cc).
void CrashWorld::take_over() {
  journal_ = Journal::adopt(copy_of(journal_fd_)).value();
  auto ring = CommandRing::adopt(kernel_.region(), journal_->cursors());
  if (!ring) throw std::runtime_error("the ring can't be adopted: " + ring.error().what);
  start_supervisor(*ring);
  if (journal_->cursors().host_link == HostLink::Attached) {
    ChannelFds fds{copy_of(kept_.requests), copy_of(kept_.completions), copy_of(kept_.data),
                   copy_of(kept_.host_doorbell), copy_of(kept_.doorbell)};
    path_->adopt_host(Channel::adopt(kSize, std::move(fds)).value());
    grant();
    if (!host_alive_) path_->detach();
  } else {
    host_alive_ = false;
    with_host_.clear();
    path_->lose_adopted_host();
  }
  path_->drop_retired();
}

void CrashWorld::turn() {
  survive([this] {
    while (path_->turn()) {
    }
  });
}

void CrashWorld::at_once(const std::function<void()>& events) {
  all_at_once_ = true;
  events();
  all_at_once_ = false;
  settle();
}

// Until nothing moves any more: whoever took over needs a turn of its own.
void CrashWorld::settle() {
  if (all_at_once_) return;
  std::uint64_t before = 0;
  do {
    before = supervisors_;
    turn();
  } while (before != supervisors_);
  host_takes();
  judge();
}

void CrashWorld::initiator_sends(Work work) {
  const std::size_t index = commands_.size();
  std::array<std::uint8_t, 16> cdb{};
  cdb[9] = static_cast<std::uint8_t>(index);
  if (file_) {
    cdb[13] = 1;  // block
    set_block(index, work == Work::Read ? pattern(index) : std::byte{0});
  }
  const std::vector<std::uint8_t> data(kBytes, static_cast<std::uint8_t>(pattern(index)));
  std::optional<std::uint64_t> ticket;
  switch (work) {
    case Work::Read:
      cdb[0] = 0x88;
      ticket = kernel_.queue(cdb, FakeKernel::Data::In, kBytes);
      break;
    case Work::Write:
      cdb[0] = 0x8a;
      ticket = kernel_.queue(cdb, FakeKernel::Data::Out, kBytes, data);
      break;
    case Work::CompareAndWrite:
      cdb[0] = 0x89;
      ticket = kernel_.queue(cdb, FakeKernel::Data::Out, kBytes, data);
      break;
    case Work::TooLarge:
      cdb[0] = 0x88;
      ticket = kernel_.queue(cdb, FakeKernel::Data::In, (kPages + 1) * channel::kPage);
      break;
    case Work::AbortOldest:
      for (Command& command : commands_) {
        if (kernel_.finished(command.ticket)) continue;
        command.aborted = true;
        kernel_.queue_tmr(1, std::array{command.ticket});
        break;
      }
      settle();
      return;
  }
  if (!ticket) return wrong("the test's ring is too small");
  commands_.push_back({work, *ticket});
  settle();
}

void CrashWorld::host_starts() {
  while (!has_host()) {
    auto ends = Channel::create(kSize).value();
    host_ = std::make_unique<FakeHost>(std::move(ends.host));
    kept_ = std::move(ends.kept);
    host_alive_ = true;
    with_host_.clear();
    if (file_)
      host_->set_grant(1 << channel::kGrantBits | channel::kGrantReads |
                       (reads_ != nullptr ? 0 : channel::kGrantWrites));
    survive([this, &ends] {
      path_->attach(std::move(ends.channel));
      grant();
    });
  }
  settle();
}

void CrashWorld::grant() {
  if (file_)
    path_->set_grant(IoGrant({.file = file_,
                              .number = 1,
                              .size = {kFileBlocks * kBytes},
                              .block_bytes = kBytes,
                              .largest_bytes = kBytes,
                              .writable = reads_ == nullptr,
                              .in_memory = reads_ == nullptr,
                              .direct = reads_ != nullptr}));
}

void CrashWorld::let_storage_do_all() {
  reads_->submit();
  while (reads_->under_way() != 0) {
    pollfd done{.fd = reads_->fd(), .events = POLLIN, .revents = 0};
    if (::poll(&done, 1, 20'000) != 1) throw std::runtime_error("a read is never done");
    reads_->reap();
  }
}

void CrashWorld::storage_answers(bool can_read) {
  let_storage_do_all();
  survive([this, can_read] {
    for (const Read& read : std::exchange(read_, {}))
      path_->read_done(read.slot, read.data, read.whole && can_read);
  });
  settle();
}

void CrashWorld::read_done(SlotIndex slot, std::span<const std::byte> data, bool whole) {
  read_.push_back({slot, {data.begin(), data.end()}, whole});
}

void CrashWorld::hold_host(bool held) {
  held_ = held;
  path_->set_held(held);
  settle();
}

std::vector<std::byte> CrashWorld::block(std::size_t index) const {
  std::vector<std::byte> bytes(kBytes);
  const auto at = static_cast<off_t>(index * kBytes);
  if (::pread(file_->get(), bytes.data(), kBytes, at) != static_cast<ssize_t>(kBytes))
    throw std::runtime_error("the image was cut");
  return bytes;
}

void CrashWorld::set_block(std::size_t index, std::byte byte) {
  const std::vector<std::byte> bytes(kBytes, byte);
  const auto at = static_cast<off_t>(index * kBytes);
  if (::pwrite(file_->get(), bytes.data(), kBytes, at) != static_cast<ssize_t>(kBytes))
    throw std::runtime_error("the image can't be written");
}

// By host or by grant, it is in the file; and what is written afterwards stays.
void CrashWorld::judge_file(std::size_t index) {
  Command& command = commands_[index];
  if (command.work != Work::Write) return;
  if (!holds(block(index), std::exchange(command.seen_good, true) ? kMark : pattern(index)))
    wrong(fmt::format("command {} is GOOD, and its block holds other bytes", index));
  set_block(index, kMark);
}

void CrashWorld::host_dies() {
  host_alive_ = false;
  any_host_died_ = true;
  with_host_.clear();
  survive([this] { path_->detach(); });
  path_->drop_retired();
  settle();
}

void CrashWorld::host_takes() {
  if (!has_host()) return;
  while (auto slot = host_->next()) {
    const Command& command = command_of(*slot);
    if (kernel_.finished(command.ticket))
      wrong(fmt::format("command {} came to a host after it was answered", &command - commands_.data()));
    with_host_.push_back(*slot);
  }
}

CrashWorld::Command& CrashWorld::command_of(std::uint32_t slot) {
  return commands_.at(host_->slot(slot).cdb[9]);
}

void CrashWorld::execute(Command& command, std::uint32_t slot) {
  const std::size_t index = static_cast<std::size_t>(&command - commands_.data());
  ++command.executions;
  if (kernel_.finished(command.ticket)) wrong(fmt::format("command {} ran after it was answered", index));
  if (command.work == Work::CompareAndWrite && command.executions > 1)
    wrong(fmt::format("command {} ran twice, which it must not", index));
  const auto buffer = host_->buffer(slot);
  if (buffer.size() != kBytes) return wrong(fmt::format("command {} has a buffer of another size", index));
  if (command.work == Work::Read)
    std::ranges::fill(buffer, pattern(index));
  else if (std::ranges::any_of(buffer, [index](std::byte byte) { return byte != pattern(index); }))
    wrong(fmt::format("command {} brought other bytes than its initiator's", index));
  else if (file_)
    set_block(index, pattern(index));
}

void CrashWorld::host_answers(std::size_t which) {
  const std::uint32_t slot = with_host_[which];
  with_host_.erase(with_host_.begin() + static_cast<std::ptrdiff_t>(which));
  Command& command = command_of(slot);
  execute(command, slot);
  host_->answer(slot, kGood, command.work == Work::Read ? kBytes : 0);
  settle();
}

void CrashWorld::judge() {
  if (!kernel_.fault().empty()) wrong(kernel_.fault());
  const PathLook seen = path_->look();
  if (has_host() && seen.with_host != 0 && seen.oldest.given_ns == 0)
    wrong("the host has commands, and the oldest is not known");
  for (std::size_t i = 0; i < commands_.size(); ++i) {
    const Command& command = commands_[i];
    const auto end = kernel_.finished(command.ticket);
    if (!end) continue;
    if (end->status == kGood) {
      if (file_)
        judge_file(i);
      else if (command.executions == 0)
        wrong(fmt::format("command {} is GOOD and never ran", i));
      if (command.work == Work::Read &&
          (end->data.size() != kBytes || std::ranges::any_of(end->data, [i](std::uint8_t byte) {
             return static_cast<std::byte>(byte) != pattern(i);
           })))
        wrong(fmt::format("command {} brought its initiator wrong bytes", i));
      continue;
    }
    const bool refused = command.work == Work::TooLarge && end->status == kCheckCondition;
    const bool given_up =
        command.work == Work::CompareAndWrite && any_host_died_ && end->status == kCheckCondition;
    const bool aborted = command.aborted && end->status == kTaskAborted;
    if (!refused && !given_up && !aborted)
      wrong(fmt::format("command {} ends with status {}", i, end->status));
  }
}

std::size_t CrashWorld::unanswered() const {
  auto& kernel = const_cast<FakeKernel&>(kernel_);
  return kernel.running();
}

std::uint64_t CrashWorld::state_hash() {
  Hash hash;
  const JournalCursors& cursors = journal_->cursors();
  hash.add(cursors.taken.count());
  hash.add(cursors.answered.count());
  hash.add(cursors.answered.offset());
  hash.add(cursors.host_link);
  for (const InFlightCommand& slot : journal_->commands()) {
    hash.add(slot.progress.generation);
    hash.add(slot.progress.state);
    if (slot.progress.state == CommandState::Free) continue;
    hash.add(slot.progress.aborted);
    hash.add(slot.progress.replays);
    hash.add(slot.sequence);
    hash.add(slot.first_page);
  }
  hash.add(kernel_.head());
  hash.add(kernel_.tail());
  hash.add(std::as_bytes(std::span(with_host_)));
  hash.add(has_host());
  hash.add(held_);
  if (reads_ != nullptr) hash.add(reads_->under_way());
  hash.add(any_host_died_);
  for (const Command& command : commands_) {
    hash.add(command.work);
    hash.add(command.executions);
    hash.add(kernel_.finished(command.ticket).has_value());
  }
  return hash.value();
}

void CrashWorld::host_broke_rule(std::string_view rule) {
  wrong(fmt::format("an honest host broke a rule: {}", rule));
}
void CrashWorld::ring_broken(const Error& error) {
  wrong("the ring broke: " + error.what);
}
void CrashWorld::poisoned(const InFlightCommand& /*command*/) {
  wrong("a command counts as poison after fewer deaths than it takes");
}
// A host that has been told ends what waits; here it goes on and answers as always.
void CrashWorld::task_management(const AbortedTasks& tasks) {
  for (const auto& listed : tasks.with_host)
    if (listed.slot.value >= kSize.slots) wrong("task management names a slot that does not exist");
}

}  // namespace bulkhead::supervisor::testing
