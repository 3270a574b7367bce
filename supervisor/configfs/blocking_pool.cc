#include "supervisor/configfs/blocking_pool.h"

#include <pthread.h>

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

Result<> BlockingPool::submit(std::move_only_function<void()> job) {
  const std::lock_guard lock(work_->mutex);
  const std::size_t idle = work_->threads - work_->running;
  if (idle <= work_->waiting.size() && work_->threads < most_threads_) {
    std::move_only_function<void()> body = [work = work_] { serve(work); };
    const Result<> started = start_thread(std::move(body));
    if (started)
      ++work_->threads;
    else if (work_->threads == 0)
      return started;  // otherwise it waits for one of those there are
  }
  work_->waiting.push_back(std::move(job));
  work_->something.notify_one();
  return {};
}

}  // namespace bulkhead::supervisor
