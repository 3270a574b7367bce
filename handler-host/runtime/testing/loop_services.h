// handler::Services over an EventLoop alone, for tests of handlers: opens files itself, keeps lines and
// counters.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "handler-host/api/handler.h"
#include "handler-host/runtime/event_loop.h"

namespace bulkhead::host {

class LoopServices final : public handler::Services {
 public:
  explicit LoopServices(EventLoop& loop) : loop_(loop) {}

  // As the supervisor's broker does, without its policy.
  [[nodiscard]] Result<UniqueFd> open_file(const handler::FileRequest& request) override;
  void watch(int fd, std::uint32_t events, std::move_only_function<void()> ready) override;
  void unwatch(int fd) override { loop_.unwatch(fd); }
  void post(std::move_only_function<void()> work) override { loop_.post(std::move(work)); }
  void after(std::uint32_t delay_ms, std::move_only_function<void()> work) override;
  void log(handler::LogLevel level, std::string_view text) override;
  void count(std::string_view name, std::uint64_t amount) override;

  [[nodiscard]] std::uint64_t counted(std::string_view name) const;
  // The lines of this level, joined.
  [[nodiscard]] std::string logged(handler::LogLevel level) const;

  std::vector<handler::FileRequest> requests;
  int open_errno = 0;  // above 0: open_file() fails with it

 private:
  EventLoop& loop_;
  std::map<std::string, std::uint64_t, std::less<>> counters_;
  std::vector<std::pair<handler::LogLevel, std::string>> lines_;
};

// Waits for its answer by running the loop; a test's command.
class WaitingIo final : public handler::Io {
 public:
  void done(handler::IoStatus status) noexcept override {
    ++answers;
    result = status;
  }
  // Runs the loop until answered; fails the test after some seconds.
  handler::IoStatus wait(EventLoop& loop);

  int answers = 0;
  handler::IoStatus result = handler::IoStatus::NotSupported;
};

}  // namespace bulkhead::host
