// Notices that a configuration file was written, replaced or removed.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <string>

namespace bulkhead::supervisor {

struct WatchTimes {
  std::chrono::milliseconds quiet{200};          // how long changes are gathered before they are told
  std::chrono::milliseconds look_again{30'000};  // while the folder is missing
};

// Calls `changed` on the caller's executor after each change of `path`: written and closed, renamed into
// place, removed. It watches the folder, so a file that is missing now is noticed when it comes; a folder
// that is missing is looked for again. Runs until its coroutine is destroyed; returns only if the system has
// no inotify left, which is logged.
boost::asio::awaitable<void> watch_config(std::string path, std::move_only_function<void()> changed,
                                          WatchTimes times = {});

}  // namespace bulkhead::supervisor
