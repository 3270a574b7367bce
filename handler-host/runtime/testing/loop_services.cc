#include "handler-host/runtime/testing/loop_services.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

namespace bulkhead::host {

Result<UniqueFd> LoopServices::open_file(const handler::FileRequest& request) {
  requests.push_back(request);
  if (open_errno != 0) return fail_errno(open_errno, "open " + request.path);
  const int access = (request.writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK;
  UniqueFd fd(::open(request.path.c_str(), access));
  if (!fd && errno == ENOENT && request.create_bytes != 0) {
    fd.reset(::open(request.path.c_str(), access | O_CREAT | O_EXCL, 0600));
    if (fd && ::ftruncate(fd.get(), static_cast<off_t>(request.create_bytes)) != 0)
      return fail_errno(errno, "set the size of " + request.path);
  }
  if (!fd) return fail_errno(errno, "open " + request.path);
  return fd;
}

void LoopServices::watch(int fd, std::uint32_t events, std::move_only_function<void()> ready) {
  loop_.watch(fd, events, [ready = std::move(ready)](std::uint32_t) mutable { ready(); });
}

void LoopServices::after(std::uint32_t delay_ms, std::move_only_function<void()> work) {
  loop_.after(std::chrono::milliseconds(delay_ms), std::move(work));
}

void LoopServices::log(handler::LogLevel level, std::string_view text) {
  lines_.emplace_back(level, text);
}

void LoopServices::count(std::string_view name, std::uint64_t amount) {
  const auto found = counters_.find(name);
  if (found != counters_.end())
    found->second += amount;
  else
    counters_.emplace(name, amount);
}

std::uint64_t LoopServices::counted(std::string_view name) const {
  const auto found = counters_.find(name);
  return found == counters_.end() ? 0 : found->second;
}

std::string LoopServices::logged(handler::LogLevel level) const {
  std::string all;
  for (const auto& [of, text] : lines_)
    if (of == level) all += text + "\n";
  return all;
}

handler::IoStatus WaitingIo::wait(EventLoop& loop) {
  using namespace std::chrono_literals;
  const auto deadline = EventLoop::Clock::now() + 20s;
  while (answers == 0 && EventLoop::Clock::now() < deadline) loop.wait(1s);
  EXPECT_EQ(answers, 1) << "an operation was not answered, or more than once";
  return result;
}

}  // namespace bulkhead::host
