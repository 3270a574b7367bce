#include "tcmuctl/watch.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include <utility>
#include <vector>

#include "base/unique_fd.h"

namespace bulkhead::tcmuctl {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kHomeAndClear = "\033[H\033[2J";

// Readable once the user wants to end.
UniqueFd interruptions() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGINT);
  ::sigaddset(&signals, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  return UniqueFd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

bool interrupted_within(const UniqueFd& interrupted, std::chrono::milliseconds wait) {
  pollfd waiting{interrupted.get(), POLLIN, 0};
  return ::poll(&waiting, 1, static_cast<int>(wait.count())) == 1;
}

}  // namespace

Outcome<> watch(const WatchOptions& options, const std::function<Outcome<Inventory>()>& read,
                const std::function<Screen()>& screen, std::FILE* out) {
  UniqueFd interrupted = interruptions();
  std::vector<Device> before;
  Clock::time_point read_before{};
  for (unsigned round = 1;; ++round) {
    Outcome<Inventory> inventory = read();
    Clock::time_point read_now = Clock::now();
    std::string text;
    if (inventory) {
      auto elapsed = std::chrono::duration_cast<std::chrono::microseconds>(read_now - read_before);
      text = watch_view(before, inventory->devices, static_cast<std::uint64_t>(elapsed.count()), screen());
      before = inventory->devices;
      read_before = read_now;
    } else {
      text = inventory.error().text + "\n";
      before.clear();
    }
    if (options.terminal)
      fmt::print(out, "{}{}", kHomeAndClear, text);
    else
      fmt::print(out, "{}{}", round == 1 ? "" : "\n", text);
    std::fflush(out);
    if (round == options.rounds) return inventory ? Outcome<>{} : std::unexpected(inventory.error());
    if (interrupted_within(interrupted, options.interval)) return {};
  }
}

}  // namespace bulkhead::tcmuctl
