#include "handler-host/runtime/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

namespace bulkhead::host {
namespace {

// A descriptor number may be closed and reused within one round of calls; the generation tells the two apart.
std::uint64_t token_of(int fd, std::uint32_t generation) {
  return std::uint64_t{generation} << 32 | static_cast<std::uint32_t>(fd);
}

constexpr std::size_t kRoomForWork = 16;

}  // namespace

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno(errno, "make an epoll descriptor");
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail_errno(errno, "make an eventfd");
  return std::unique_ptr<EventLoop>(new EventLoop(std::move(epoll), std::move(wake)));
}

EventLoop::EventLoop(UniqueFd epoll, UniqueFd wake) : epoll_(std::move(epoll)), wake_(std::move(wake)) {
  posted_.reserve(kRoomForWork);
  running_.reserve(kRoomForWork);
  timers_.reserve(kRoomForWork);
  watch(wake_.get(), EPOLLIN, [this](std::uint32_t) {
    std::uint64_t rings = 0;
    [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &rings, sizeof rings);
  });
}

void EventLoop::watch(int fd, std::uint32_t events, Ready ready) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = token_of(fd, ++generation_);
  BULKHEAD_CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0);
  watches_.insert_or_assign(fd, Watch{generation_, std::move(ready)});
}

void EventLoop::unwatch(int fd) {
  const auto found = watches_.find(fd);
  if (found == watches_.end()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  watches_.erase(found);
}

void EventLoop::post(Work work) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(work));
  }
  // The loop thread itself looks at posted_ before it sleeps.
  if (!first || std::this_thread::get_id() == owner_) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
}

bool EventLoop::has_posted() {
  const std::lock_guard lock(mutex_);
  return !posted_.empty();
}

void EventLoop::run_posted() {
  {
    const std::lock_guard lock(mutex_);
    std::swap(posted_, running_);
  }
  for (Work& work : running_) work();
  running_.clear();
  run_due_timers();
}

EventLoop::TimerId EventLoop::after(std::chrono::milliseconds delay, Work work) {
  timers_.push_back(Timer{Clock::now() + delay, ++timer_ids_, std::move(work)});
  std::ranges::push_heap(timers_, std::less<>());
  return TimerId{timer_ids_};
}

void EventLoop::cancel(TimerId timer) {
  const auto id = static_cast<std::uint64_t>(timer);
  if (std::erase_if(timers_, [id](const Timer& one) { return one.id == id; }) != 0)
    std::ranges::make_heap(timers_, std::less<>());
}

void EventLoop::run_due_timers() {
  if (timers_.empty()) return;
  const Clock::time_point now = Clock::now();
  while (!timers_.empty() && timers_.front().due <= now) {
    std::ranges::pop_heap(timers_, std::less<>());
    Work work = std::move(timers_.back().work);
    timers_.pop_back();
    work();
  }
}

int EventLoop::timeout_ms(std::optional<std::chrono::milliseconds> at_most) const {
  using std::chrono::ceil;
  using std::chrono::milliseconds;
  std::optional<milliseconds> wait = at_most;
  if (!timers_.empty()) {
    // Rounded up: waking a little early would mean to spin until the timer is due.
    const auto until = std::max(ceil<milliseconds>(timers_.front().due - Clock::now()), milliseconds(0));
    wait = wait ? std::min(*wait, until) : until;
  }
  if (!wait) return -1;
  return static_cast<int>(std::min<std::int64_t>(wait->count(), INT_MAX));
}

void EventLoop::wait(std::optional<std::chrono::milliseconds> at_most) {
  std::array<epoll_event, 16> events;
  const int timeout = has_posted() ? 0 : timeout_ms(at_most);
  const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), timeout);
  // EINTR: also io_uring's way to have its completions worked off in our context.
  BULKHEAD_CHECK(count >= 0 || errno == EINTR);
  for (int i = 0; i < count; ++i)
    dispatch(events[static_cast<std::size_t>(i)].data.u64, events[static_cast<std::size_t>(i)].events);
  run_posted();
}

void EventLoop::dispatch(std::uint64_t token, std::uint32_t events) {
  const auto found = watches_.find(static_cast<int>(token & UINT32_MAX));
  if (found == watches_.end() || found->second.generation != token >> 32) return;
  // Moved out while it runs: the call may unwatch this descriptor, or watch others and so move the table.
  Ready ready = std::move(found->second.ready);
  ready(events);
  const auto still = watches_.find(static_cast<int>(token & UINT32_MAX));
  if (still != watches_.end() && still->second.generation == token >> 32)
    still->second.ready = std::move(ready);
}

}  // namespace bulkhead::host
