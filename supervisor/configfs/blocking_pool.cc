#include "supervisor/configfs/blocking_pool.h"

#include <pthread.h>

#include <cerrno>
#include <csignal>
#include <system_error>
#include <thread>

namespace bulkhead::supervisor {
namespace {

// Signals are for the control thread: a thread that hangs in the kernel would sit on one. Detached, because
// joining a thread that hangs hangs too.
Result<> start_thread(std::move_only_function<void()> body) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  Result<> started;
  try {
    std::thread(std::move(body)).detach();
  } catch (const std::system_error& refused) {
    started = fail_errno(refused.code().value(), "start a thread for blocking calls");
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

}  // namespace

BlockingPool::~BlockingPool() {
  std::deque<std::move_only_function<void()>> never;
  const std::lock_guard lock(work_->mutex);
  work_->closed = true;
  never.swap(work_->waiting);
  work_->something.notify_all();
}

std::size_t BlockingPool::running() const {
  const std::lock_guard lock(work_->mutex);
  return work_->running;
}

void BlockingPool::serve(const std::shared_ptr<Work>& work) {
  ::pthread_setname_np(::pthread_self(), "blocking");
  std::unique_lock lock(work->mutex);
  for (;;) {
    work->something.wait(lock, [&] { return work->closed || !work->waiting.empty(); });
    if (work->closed) return;
    std::move_only_function<void()> job = std::move(work->waiting.front());
    work->waiting.pop_front();
    ++work->running;
    lock.unlock();
    job();
    job = nullptr;  // what it owned goes before anyone is told that it ended
    lock.lock();
    --work->running;
  }
}

Result<> BlockingPool::submit(const std::shared_ptr<Work>& work, std::move_only_function<void()> job) {
  const std::lock_guard lock(work->mutex);
  if (work->closed) return fail(Cause::Busy, ESHUTDOWN, "the pool of threads for blocking calls has ended");
  const std::size_t idle = work->threads - work->running;
  if (idle <= work->waiting.size() && work->threads < work->most_threads) {
    std::move_only_function<void()> body = [work] { serve(work); };
    const Result<> started = start_thread(std::move(body));
    if (started)
      ++work->threads;
    else if (work->threads == 0)
      return started;  // otherwise it waits for one of those there are
  }
  work->waiting.push_back(std::move(job));
  work->something.notify_one();
  return {};
}

std::shared_ptr<const UniqueFd> BlockingPool::closed_here(UniqueFd fd) const {
  return {new UniqueFd(std::move(fd)), [work = work_](UniqueFd* last) {
            std::unique_ptr<UniqueFd> owned(last);
            std::move_only_function<void()> close = [owned = std::move(owned)] {};
            // Without a pool or a thread it is closed with the job, here.
            [[maybe_unused]] const Result<> queued = submit(work, std::move(close));
          }};
}

void BlockingPool::close_here(std::vector<UniqueFd> fds) const {
  if (fds.empty()) return;
  std::move_only_function<void()> close = [fds = std::move(fds)] {};
  [[maybe_unused]] const Result<> queued = submit(work_, std::move(close));
}

}  // namespace bulkhead::supervisor
