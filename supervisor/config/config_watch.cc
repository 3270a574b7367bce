#include "supervisor/config/config_watch.h"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/log.h"

namespace bulkhead::supervisor {
namespace {

namespace asio = boost::asio;

constexpr std::uint32_t kFileEvents = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;
constexpr std::uint32_t kFolderGone = IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED;

struct Seen {
  bool file = false;  // something happened to it, or may have
  bool folder_gone = false;
};

// Everything that is there to read now.
Seen drain(int fd, const std::string& file_name) {
  Seen seen;
  alignas(inotify_event) char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return seen;
    for (const char* at = buffer; at < buffer + got;) {
      inotify_event event{};
      std::memcpy(&event, at, sizeof event);
      const char* name = at + sizeof event;  // padded with zeroes, or nothing
      if ((event.mask & kFileEvents) != 0 && event.len > 0 && file_name == name) seen.file = true;
      if ((event.mask & IN_Q_OVERFLOW) != 0) seen.file = true;
      if ((event.mask & kFolderGone) != 0) seen.folder_gone = true;
      at = name + event.len;
    }
  }
}

asio::awaitable<void> pause(asio::steady_timer& timer, std::chrono::milliseconds time) {
  timer.expires_after(time);
  co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace

asio::awaitable<void> watch_config(std::string path, std::move_only_function<void()> changed,
                                   WatchTimes times) {
  const std::filesystem::path file(path);
  const std::string folder = file.parent_path();
  const std::string name = file.filename();
  const auto executor = co_await asio::this_coro::executor;
  const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) {
    log(Level::Warning, {.message_id = kMsgConfiguration},
        system_error(errno, fmt::format("changes of {} are not noticed until a restart", path)).what);
    co_return;
  }
  asio::posix::stream_descriptor events(executor, fd);
  asio::steady_timer timer(executor);
  bool missed = false;  // the folder was away: whatever is there now is new
  for (;;) {
    const int watch =
        ::inotify_add_watch(fd, folder.c_str(), kFileEvents | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
    if (watch < 0) {
      missed = true;
      co_await pause(timer, times.look_again);
      continue;
    }
    if (std::exchange(missed, false)) changed();
    Seen seen;
    while (!seen.folder_gone) {
      co_await events.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
      seen = drain(fd, name);
      if (!seen.file) continue;
      // Editors and package managers do several things at once.
      co_await pause(timer, times.quiet);
      const Seen later = drain(fd, name);
      seen.folder_gone = seen.folder_gone || later.folder_gone;
      changed();
    }
    ::inotify_rm_watch(fd, watch);  // of a folder that was renamed
    drain(fd, name);
    missed = true;
  }
}

}  // namespace bulkhead::supervisor
