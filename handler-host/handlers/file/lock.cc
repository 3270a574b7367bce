#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "handler-host/handlers/cfgstring/cfgstring.h"
#include "handler-host/handlers/file/backing.h"

namespace bulkhead::handler {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 3s;
constexpr auto kPause = 10ms;  // the kernel has no wait for a lock that ends at a given time

// Not 0: errno of the attempt. An "open file description" lock belongs to the open file, not to the process:
// it ends when the last reference does, requests in flight included, and another descriptor of the same
// process conflicts.
int try_lock(int fd, bool read_only) {
  struct flock range{};
  range.l_type = read_only ? F_RDLCK : F_WRLCK;
  range.l_whence = SEEK_SET;
  return ::fcntl(fd, F_OFD_SETLK, &range) == 0 ? 0 : errno;
}

}  // namespace

Result<> lock_backing(const Backing& backing, bool read_only) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    const int number = try_lock(backing.fd.get(), read_only);
    if (number == 0) return {};
    const bool held = number == EAGAIN || number == EACCES;
    if (!held)
      return fail_errno(number, fmt::format("{}: lock it against use by another LUN (?lock=off does without)",
                                            shown(backing.path)));
    if (std::chrono::steady_clock::now() >= deadline)
      return fail(
          Cause::Busy, EBUSY,
          fmt::format(
              "{} is in use by another LUN or program, which holds a lock on it: use one image for one "
              "LUN alone, or add ?lock=off if sharing is meant",
              shown(backing.path)));
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace bulkhead::handler
