// Who may change which blocks now: sections over ranges of blocks, granted in the order of arrival.
//
// Rule: a section is granted when no section that arrived before it and overlaps it is left. So two
// overlapping sections never hold at the same time, an early one is never overtaken by a later overlapping
// one (nobody starves), and sections that do not overlap know nothing of each other.
//
// What it is for: a handler is promised that no two changes under way overlap (handler-host/api/handler.h),
// and a command replayed after a host's death must never run after an overlapping later one was answered (so
// a section is released only after its command was completed). A section is exclusive among sections, which
// is also what a command that compares and then writes needs.
//
// Sections may be shared: two of them that overlap do hold at the same time. All the rest of the rule is the
// same, so those who share can't starve one who does not.
//
// Reads take no section among the changes. A read beside an overlapping write that is not answered yet may
// return, block by block, the old or the new content, which is what SCSI promises; once a write is answered
// every later read returns it, because the handler has it then. Waiting would cost readers latency and would
// promise nothing more. WRITE ATOMIC alone promises more: it has a second lock, which reads share
// (write_atomic.cc).
//
// Memory: none but the Sections, which the callers own. Time: acquire and release look at the sections under
// way, but at none while all of them are shared. Threads: one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bulkhead::scsi {

// Blocks first .. end-1; nothing if end <= first.
struct BlockRange {
  std::uint64_t first = 0;
  std::uint64_t end = 0;
  [[nodiscard]] constexpr bool empty() const { return end <= first; }
  [[nodiscard]] constexpr bool overlaps(const BlockRange& other) const {
    return !empty() && !other.empty() && first < other.end && other.first < end;
  }
};

class RangeLock {
 public:
  enum class Mode : std::uint8_t { Exclusive, Shared };

  class Waiter {
   public:
    // The section is held now. May acquire and release sections, also this one.
    virtual void granted() noexcept = 0;

   protected:
    ~Waiter() = default;
  };

  // One place in the queue. Must stay where it is from acquire() to release() or cancel().
  class Section {
   public:
    Section() = default;
    ~Section();
    Section(const Section&) = delete;
    Section& operator=(const Section&) = delete;
    [[nodiscard]] bool held() const { return state_ == State::Held; }
    [[nodiscard]] bool idle() const { return state_ == State::Idle; }
    [[nodiscard]] bool waiting() const { return state_ == State::Waiting; }

   private:
    friend class RangeLock;
    enum class State : std::uint8_t { Idle, Waiting, Held };
    [[nodiscard]] bool excludes(const Section& other) const {
      return (mode_ == Mode::Exclusive || other.mode_ == Mode::Exclusive) && range_.overlaps(other.range_);
    }

    BlockRange range_;
    Mode mode_ = Mode::Exclusive;
    Section* earlier_ = nullptr;
    Section* later_ = nullptr;
    Section* next_ready_ = nullptr;
    Waiter* waiter_ = nullptr;
    std::uint32_t blockers_ = 0;  // earlier sections still there that this one excludes
    State state_ = State::Idle;
  };

  RangeLock() = default;
  ~RangeLock();
  RangeLock(const RangeLock&) = delete;
  RangeLock& operator=(const RangeLock&) = delete;

  // True: held at once. False: waiter.granted() is called when it is, from within some release() or cancel().
  [[nodiscard]] bool acquire(Section& section, BlockRange range, Waiter& waiter, Mode mode = Mode::Exclusive);
  // Of a held section. Grants what waited for it, oldest first, before it returns, unless a release is
  // already under way on this stack: then that one does, so a chain of waiters does not become a deep stack.
  void release(Section& section);
  // Of a waiting section: its waiter will not be called. What waited only for it is granted, as by release().
  void cancel(Section& section);

  [[nodiscard]] std::size_t sections() const { return sections_; }

 private:
  void leave(Section& section);
  void unlink(Section& section);
  void grant_ready();

  Section* oldest_ = nullptr;
  Section* newest_ = nullptr;
  Section* first_ready_ = nullptr;
  Section* last_ready_ = nullptr;
  std::size_t sections_ = 0;
  std::size_t exclusive_sections_ = 0;
  bool granting_ = false;
};

}  // namespace bulkhead::scsi
