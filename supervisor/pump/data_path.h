// One device's data path: kernel ring -> our own record -> channel -> host, and back.
//
// Threads: the device's pump, except the constructor. Nothing here blocks, allocates or takes a lock; what
// may take long (a host that is gone, a device that vanished) is told to `Events` and settled by the control
// thread. Data is copied once each way, between the kernel's data area and the channel's data file; or, by an
// I/O grant, moved between the data area and the host's file without the host.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/busy_poll.h"
#include "base/error.h"
#include "base/quantity.h"
#include "proto/task_management.h"
#include "supervisor/channel/channel.h"
#include "supervisor/pump/answer.h"
#include "supervisor/pump/device_stats.h"
#include "supervisor/pump/direct_reads.h"
#include "supervisor/pump/in_flight.h"
#include "supervisor/pump/io_grant.h"
#include "supervisor/pump/rate_limits.h"
#include "supervisor/pump/waiting.h"
#include "supervisor/ring/command_ring.h"

namespace bulkhead::supervisor {

// The kernel has aborted commands that are under way.
struct AbortedTasks {
  struct Listed {
    SlotIndex slot;
    std::uint32_t generation;
  };
  TaskFunction function;
  std::span<const Listed> with_host;  // oldest first; valid within the call. The host must end them
  std::uint32_t answered;             // those that no host had
};

class DataPath {
 public:
  // Told on the pump's thread.
  class Events {
   public:
    // The host lied; its channel is detached already and the host must be ended.
    virtual void host_broke_rule(std::string_view rule) = 0;
    // The kernel's ring can't be read any more; the device is of no use until it is reset.
    virtual void ring_broken(const Error& error) = 0;
    // A command came from the kernel. Told only while log_level asks for every command.
    virtual void took(const InFlightCommand& command) = 0;
    // A command that killed the hosts it was given to was answered with HARDWARE ERROR.
    virtual void poisoned(const InFlightCommand& command) = 0;
    // Told also when none of the commands is under way (any more).
    virtual void task_management(const AbortedTasks& tasks) = 0;
    // What call_when_idle() asked for.
    virtual void idle() = 0;
    // There is a command, for the first time since look() found none: from now on somebody should look.
    virtual void busy() = 0;

   protected:
    ~Events() = default;
  };

  // `kick` is the daemon's write to the uio device: it makes the kernel walk up to the tail we published.
  // `journal`: the ring's cursors are in it. From an adopted one the commands of a dead supervisor are taken
  // over; then exactly one of adopt_host() and lose_adopted_host() follows.
  DataPath(CommandRing ring, std::shared_ptr<Journal> journal, std::shared_ptr<DeviceStats> stats,
           Events& events, std::move_only_function<void()> kick);

  // The host that the dead supervisor's commands are with goes on, by its old channel: what was not given to
  // it yet is, and what the kernel has aborted it is told again. A host that has died meanwhile is detached
  // afterwards, like any other: its last answers count.
  void adopt_host(std::unique_ptr<Channel> channel);
  // There is no such host, or no channel to it any more: what it had waits for the next one.
  void lose_adopted_host();

  // Does what there is to do, a bounded batch of it. True: there is more, call again soon. False: everything
  // is waiting, and rest() comes next.
  bool work();
  // Looks for a while, where that has paid, whether something to do comes. True: it has.
  bool comes_soon();
  // True: from now on the host knows that it must ring. False: something came, work() again.
  [[nodiscard]] bool rest();
  // All of it but the looking. True: there is more, call again soon.
  bool turn() { return work() || !rest(); }

  // How long comes_soon() looks at most; 0: not at all.
  void set_busy_poll(std::chrono::microseconds limit) { for_commands_ = for_answers_ = BusyPoll(limit); }

  // From now on this counts, if the host's grant word agrees; an empty one: nothing is granted. It is gone
  // with the channel.
  void set_grant(const IoGrant& grant) { grant_ = grant; }
  // While it is paused, nothing is done by grant.
  void pause_grant(bool pause) { grant_paused_ = pause; }
  // Where reads by a grant past the page cache are done, and in whose name; the two live until others are
  // set. null: nowhere. Those under way are the next host's.
  void set_direct_reads(DirectReads* reads, DirectReads::Reader* reader);
  // A read that was begun there has ended. A turn must follow.
  void read_done(SlotIndex index, std::span<const std::byte> data, bool whole);
  // Other devices wait for this one's turns to end.
  void set_shares_pump(bool shares) { shares_pump_ = shares; }

  // The host rang, before this turn. One that does so without end and without answers only takes our time
  // (channel_abi.h, "Doorbells"), and is ended.
  void rung();

  // From now on commands go to this host; those in flight are given to it first, oldest first.
  void attach(std::unique_ptr<Channel> channel);
  // The host has ended (or is about to be ended and can't write any more). Its last honest completions count;
  // what it had is kept for the next host, or answered if it must not run twice.
  void detach();

  // Held: no command goes to the host; those it has may finish.
  void set_held(bool held) { held_ = held; }
  // Once, when the host has nothing to do any more: all is answered, or it is held and has answered what it
  // had.
  void call_when_idle() { tell_idle_ = true; }
  // How long commands may wait for a host; those that have waited longer are answered at once.
  void set_wait_limits(const WaitLimits& limits);
  // How fast commands are given on; a turn must follow. Those beyond it wait like those that wait for a host.
  void set_rate_limits(const RateLimits& limits);
  // When a turn is due, though nothing may happen until then: the oldest command waits for its device's
  // limits. 0: never.
  [[nodiscard]] std::uint64_t turn_due_ns() const { return turn_due_ns_; }
  // Answers whose wait is over, and tells what is under way.
  PathLook look();
  // Commands the present host has and has not answered.
  [[nodiscard]] std::uint32_t submitted() const { return submitted_; }
  [[nodiscard]] std::uint32_t in_flight() const { return table_.size(); }
  [[nodiscard]] const Channel* channel() const { return channel_.get(); }
  // The channel that was detached last, until it is dropped: whoever waits for its doorbell must stop that
  // first, since the host still holds the other descriptor of it.
  [[nodiscard]] const Channel* retired() const { return retired_.get(); }
  void drop_retired() { retired_.reset(); }

 private:
  [[nodiscard]] bool has_news() const;
  bool reap();
  [[nodiscard]] bool dealt_with_before(const channel::CompletionEntry& entry);
  bool consume();
  bool refuse_too_large(const RingCommand& command);
  bool no_room();
  [[nodiscard]] std::uint64_t arrival_ns() const;  // of what is taken from the ring now
  void manage(const RingTaskManagement& request);
  bool submit_waiting();
  bool submit(SlotIndex index);
  void with_host(const InFlightCommand& command, int change);
  [[nodiscard]] bool within_limits(SlotIndex index);  // waiting.cc
  void finish(SlotIndex index, std::uint8_t status, std::span<const std::uint8_t> sense,
              std::uint32_t data_bytes);
  void answer(SlotIndex index, const RingAnswer& answer, std::uint32_t data_bytes);
  [[nodiscard]] bool ring_is_ours() const;  // so its data area is
  [[nodiscard]] bool return_data(SlotIndex index, std::uint32_t data_bytes, RingAnswer& answer);
  void fail_command(SlotIndex index, const FixedSense& sense);
  void retire_submitted(SlotIndex index);
  void lose_host(std::string_view rule);
  // data_path_grants.cc
  [[nodiscard]] bool taken_by_grant(SlotIndex index);
  [[nodiscard]] bool done_by_grant(SlotIndex index, const BlockTransfer& transfer);
  [[nodiscard]] bool flushed_by_grant(SlotIndex index);
  void granted_read(SlotIndex index, std::uint64_t began_ns);
  void granted(SlotIndex index, std::uint64_t began_ns, Counter& kind, std::uint32_t data_bytes);
  [[nodiscard]] bool apart_from_changes(const BlockTransfer& transfer);
  // data_path_reads.cc
  [[nodiscard]] bool reading(SlotIndex index) const { return reads_of_[index.value] < kReadInVain; }
  [[nodiscard]] bool begin_read(SlotIndex index, const BlockTransfer& transfer);
  [[nodiscard]] bool fill_from(SlotIndex index, std::span<const std::byte> data);
  void forget_read(SlotIndex index);
  std::uint64_t end_late_reads();
  void leave_to_host(SlotIndex index);
  // data_path_adoption.cc
  void end_adopted_stall();
  void tell_aborted_again();
  // waiting.cc
  [[nodiscard]] bool given_up_by_kernel(const InFlightCommand& command) const;
  void expire(SlotIndex index);
  void end_waits();
  void flush();
  void count(const InFlightCommand& command, std::uint8_t status, std::span<const std::uint8_t> sense,
             std::uint32_t data_bytes);
  void show_load();

  std::shared_ptr<Journal> journal_;
  CommandRing ring_;
  InFlightTable table_;
  std::shared_ptr<DeviceStats> stats_;  // shared with the control thread, which shows it
  Events& events_;
  std::move_only_function<void()> kick_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<Channel> retired_;
  std::vector<AbortedTasks::Listed> listed_;  // reused
  std::optional<SlotIndex> next_to_submit_;   // oldest that waits for a host; newer ones may be taken already
  std::uint32_t submitted_ = 0;
  // Of them, those beside which nothing may be written, or read, by grant.
  std::uint32_t exclude_writes_ = 0;
  std::uint32_t exclude_all_ = 0;
  IoGrant grant_;
  DirectReads* reads_ = nullptr;
  DirectReads::Reader* reader_ = nullptr;
  // For each slot: its read that is under way, by its number; or that it has none.
  static constexpr DirectReads::Number kNoRead = 0xffff, kReadInVain = 0xfffe;
  std::vector<DirectReads::Number> reads_of_;
  std::uint32_t reading_ = 0;  // commands with one
  bool grant_paused_ = false;
  bool shares_pump_ = false;
  std::uint32_t empty_rings_ = 0;  // of the present host, more than it has given answers
  std::uint32_t suspects_ = 0;     // commands two hosts died with: while there are any, one command at a time
  bool held_ = false;
  bool tell_idle_ = false;
  bool broken_ = false;
  bool kick_owed_ = false;      // a dead supervisor may have published without a kick
  bool perhaps_again_ = false;  // the next completion may be one it had dealt with
  bool watched_ = false;        // busy() has been told
  WaitLimits limits_;
  RateMeter meter_;
  std::uint64_t turn_due_ns_ = 0;
  std::uint64_t refused_ns_ = 0;  // when the meter refused last, while commands of that time wait
  // An answer comes soon or it does not, whatever the initiator does until its next command.
  BusyPoll for_commands_{std::chrono::microseconds(0)}, for_answers_{std::chrono::microseconds(0)};
  std::uint32_t seen_head_ = 0;  // the kernel's, before the latest look for commands
  std::uint64_t now_ns_ = 0;
  std::uint64_t no_room_ns_ = 0;        // since then the ring's next command waits for room in the table
  std::uint64_t host_answered_ns_ = 0;  // its last answer
  std::uint64_t detached_ns_ = 0;
};

}  // namespace bulkhead::supervisor
