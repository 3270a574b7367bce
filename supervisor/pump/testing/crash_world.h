// Everything around a data path that a dying supervisor leaves behind: the kernel's ring, the journal, the
// channel, the host. The supervisor itself can be ended at any crash point; the next one takes over from what
// is left. Judges that each command is answered once, with the right data, and never executed afterwards.
//
// Needs a build with BULKHEAD_CRASH_POINTS. Threads: one.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "supervisor/pump/data_path.h"
#include "supervisor/pump/direct_reads.h"
#include "supervisor/pump/testing/fake_host.h"
#include "supervisor/ring/testing/fake_kernel.h"

namespace bulkhead::supervisor::testing {

enum class Work : std::uint8_t { Read, Write, CompareAndWrite, TooLarge, AbortOldest };

// What the host grants of its file: nothing; reads and writes, which are done at once; or reads that storage
// does in its own time.
enum class Grants : std::uint8_t { None, All, DirectReads };

class CrashWorld final : private DataPath::Events, private DirectReads::Reader {
 public:
  // `dies`: asked at every crash point; true ends the supervisor there.
  explicit CrashWorld(std::function<bool()> dies, Grants grants = Grants::None);
  ~CrashWorld() override;
  CrashWorld(const CrashWorld&) = delete;
  CrashWorld& operator=(const CrashWorld&) = delete;

  // What may happen, in any order. Each leaves the supervisor with nothing to do, but for what happens at
  // once: then it finds all of it together.
  void at_once(const std::function<void()>& events);
  void initiator_sends(Work work);
  void host_starts();
  void host_answers(std::size_t which);  // of those it has, oldest first
  void host_dies();
  void storage_answers(bool can_read);  // all that is being read, now
  void hold_host(bool held);            // it gets no more commands; until the supervisor dies, too

  [[nodiscard]] bool has_host() const { return host_ != nullptr && host_alive_; }
  [[nodiscard]] std::size_t with_host() const { return with_host_.size(); }
  [[nodiscard]] bool held() const { return held_; }
  [[nodiscard]] bool storage_is_busy() const { return reads_ != nullptr && reads_->under_way() != 0; }
  [[nodiscard]] std::size_t unanswered() const;
  // Empty: all is as it must be, so far.
  [[nodiscard]] const std::string& violation() const { return violation_; }
  // All that decides what can happen from here on, boiled down.
  [[nodiscard]] std::uint64_t state_hash();

 private:
  struct Read {
    SlotIndex slot;
    std::vector<std::byte> data;
    bool whole;
  };
  struct Command {
    Work work;
    std::uint64_t ticket;
    unsigned executions = 0;
    bool aborted = false;
    bool seen_good = false;
  };

  void host_broke_rule(std::string_view rule) override;
  void ring_broken(const Error& error) override;
  void took(const InFlightCommand& /*command*/) override {}
  void poisoned(const InFlightCommand& command) override;
  void task_management(const AbortedTasks& tasks) override;
  void idle() override {}
  void busy() override {}
  void read_done(SlotIndex slot, std::span<const std::byte> data, bool whole) override;

  void start_supervisor(const CommandRing& ring);
  void take_over();
  bool lives_through(const std::function<void()>& work);
  void survive(const std::function<void()>& work);
  void turn();
  void settle();
  void host_takes();
  void judge();
  void judge_file(std::size_t index);
  void grant();
  void let_storage_do_all();
  [[nodiscard]] std::vector<std::byte> block(std::size_t index) const;
  void set_block(std::size_t index, std::byte byte);
  void execute(Command& command, std::uint32_t slot);
  [[nodiscard]] Command& command_of(std::uint32_t slot);
  void wrong(std::string text);

  FakeKernel kernel_{{.ring_bytes = 1024, .data_blocks = 12}};
  std::function<bool()> dies_;
  std::shared_ptr<const UniqueFd> file_;  // command i's block is the one at i
  DirectReads* reads_ = nullptr;
  std::vector<Read> read_;  // and not told of yet
  UniqueFd journal_fd_;
  std::shared_ptr<Journal> journal_;
  std::shared_ptr<DeviceStats> stats_;
  std::unique_ptr<DataPath> path_;
  std::unique_ptr<FakeHost> host_;
  ChannelFds kept_;
  std::uint64_t supervisors_ = 0;  // there were
  bool all_at_once_ = false;
  bool host_alive_ = false;
  bool held_ = false;
  bool any_host_died_ = false;
  std::vector<std::uint32_t> with_host_;
  std::vector<Command> commands_;
  std::string violation_;
};

}  // namespace bulkhead::supervisor::testing
