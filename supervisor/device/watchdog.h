// Decides whether a host has stopped working. Pure: no clock, no I/O. Threads: one at a time.
//
// What is known of a host from outside: since when it has had its oldest command, what kind of command that
// is, and when it last answered any. Three limits follow:
// - It has answered nothing for `kill`, though it has had a command for so long: it is stopped, spins, or its
// storage
//   blocks. A fresh host still has time to answer the command.
// - It answers, but not this one: a deep queue on slow storage looks so, and a host that is killed for it
// only makes its
//   storage slower. Only at `stuck`, when the command's time is nearly over, has it lost the command.
// - Its oldest command is one of those that may take any time on a healthy host (FORMAT UNIT, EXTENDED COPY,
// a
//   large UNMAP: takes_long()), and others may wait for its blocks. A kill would undo its work, and a third
//   one would answer it as poison. Only at `slow`, after the kernel itself has given the command up, and only
//   if nothing at all was answered meanwhile; then it is answered, not replayed (DataPath::retire_submitted),
//   so no loop can come of it.
// The age of a command counts from when this host was given it: a replayed one is young. So one command sees
// at most two hosts die of the default limits within its cmd_time_out, and poison begins at three.
//
// When we are late ourselves, since the machine or the supervisor stood still, all hosts look silent at once.
// What we were late is given to them in addition.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace bulkhead::supervisor {

// 0: never.
struct WatchLimits {
  std::chrono::nanoseconds warn{0};
  std::chrono::nanoseconds kill{0};
  std::chrono::nanoseconds stuck{0};
  std::chrono::nanoseconds slow{0};

  // `command_timeout`: the kernel's, 0: it waits for ever. Without a setting: a quarter and half of it, and
  // not longer than that is for 30 s, since the initiators' own patience does not grow with it.
  static WatchLimits of(std::chrono::seconds command_timeout, std::optional<std::chrono::seconds> warn,
                        std::optional<std::chrono::seconds> kill);
};

class Watchdog {
 public:
  using Instant = std::chrono::nanoseconds;  // CLOCK_MONOTONIC
  // A host that has commands.
  struct Seen {
    Instant given;     // its oldest command, to it
    bool slow;         // takes_long() of that
    Instant answered;  // the host's last answer; before its time if it gave none
  };
  enum class Verdict : std::uint8_t { Nothing, Warn, Kill };
  struct Judgement {
    Verdict verdict = Verdict::Nothing;
    std::optional<Instant> look_again;
  };

  // nullopt: the host has nothing to do. Warn comes once for a command.
  Judgement judge(Instant now, const std::optional<Seen>& seen, const WatchLimits& limits);

 private:
  void forgive_our_own_delay(Instant now);
  [[nodiscard]] std::chrono::nanoseconds age(Instant since, Instant now) const;

  std::optional<Instant> asked_;  // when we wanted to look again
  std::chrono::nanoseconds late_{0};
  Instant late_until_{0};
  std::optional<Instant> warned_of_;
};

}  // namespace bulkhead::supervisor
