#include "supervisor/device/watchdog.h"

#include <algorithm>

namespace bulkhead::supervisor {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;
using namespace std::chrono_literals;

constexpr nanoseconds kLongestWarn = 7500ms, kLongestKill = 15s;
// At least so often while a host has commands: what we can be late unnoticed.
constexpr nanoseconds kRound = 2s;
// Timers and pools of a busy machine are late by so much.
constexpr nanoseconds kSlack = 500ms;

bool over(nanoseconds value, nanoseconds limit) {
  return limit > 0ns && value >= limit;
}

}  // namespace

WatchLimits WatchLimits::of(seconds command_timeout, std::optional<seconds> warn,
                            std::optional<seconds> kill) {
  const nanoseconds timeout = command_timeout;
  WatchLimits limits;
  limits.kill = kill.value_or(0s);
  if (!kill) limits.kill = std::min(timeout / 2, kLongestKill);
  limits.warn = warn.value_or(0s);
  if (!warn) {
    limits.warn = limits.kill > 0ns ? limits.kill / 2 : timeout / 4;
    limits.warn = std::min(limits.warn, kLongestWarn);
  }
  if (limits.kill == 0ns) return limits;
  limits.stuck = 2 * limits.kill;
  if (timeout > 0ns) limits.stuck = std::max(limits.kill, std::min(limits.stuck, timeout / 10 * 9));
  limits.slow = std::max(4 * limits.kill, 2 * timeout);
  return limits;
}

Watchdog::Judgement Watchdog::judge(Instant now, const std::optional<Seen>& seen, const WatchLimits& limits) {
  if (!seen || (limits.warn == 0ns && limits.kill == 0ns)) {
    asked_.reset();
    return {};
  }
  // It, and so every other command and answer of the host, came after our last delay.
  if (seen->given >= late_until_) late_ = 0ns;
  forgive_our_own_delay(now);
  const nanoseconds old = age(seen->given, now);
  const nanoseconds silent = age(std::max(seen->given, seen->answered), now);
  Judgement judgement;
  if (seen->slow ? over(silent, limits.slow) : over(silent, limits.kill) || over(old, limits.stuck)) {
    judgement.verdict = Verdict::Kill;
  } else if (seen->slow ? over(old, 4 * limits.warn)
                        : over(silent, limits.warn) || over(old, 2 * limits.warn)) {
    if (warned_of_ != seen->given) judgement.verdict = Verdict::Warn;
    warned_of_ = seen->given;
  }
  nanoseconds pause = kRound;
  auto not_after = [&pause](nanoseconds value, nanoseconds limit) {
    if (limit > value) pause = std::min(pause, limit - value);
  };
  not_after(silent, limits.warn);
  not_after(silent, limits.kill);
  not_after(old, limits.stuck);
  asked_ = now + pause;
  judgement.look_again = asked_;
  return judgement;
}

void Watchdog::forgive_our_own_delay(Instant now) {
  if (!asked_ || now <= *asked_ + kSlack) return;
  late_ += now - *asked_;
  late_until_ = now;
}

nanoseconds Watchdog::age(Instant since, Instant now) const {
  // What came after our last delay has not suffered from it.
  const nanoseconds age = now - since - (since < late_until_ ? late_ : 0ns);
  return std::max(age, nanoseconds(0));
}

}  // namespace bulkhead::supervisor
