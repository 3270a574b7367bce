#include "handler-host/handlers/file/thread_engine.h"

#include <pthread.h>
#include <signal.h>

#include <system_error>

#include "handler-host/handlers/file/attempt.h"

namespace bulkhead::handler {

ThreadEngine::ThreadEngine(int fd, std::size_t threads, Services& services, Finisher& finisher)
    : fd_(fd), most_threads_(threads), services_(services), finisher_(finisher) {
  threads_.reserve(threads);
}

ThreadEngine::~ThreadEngine() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_came_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool ThreadEngine::add_thread() {
  if (threads_.size() >= most_threads_) return true;
  try {
    threads_.emplace_back([this] { serve(); });
    return true;
  } catch (const std::system_error&) {
    return !threads_.empty();
  }
}

void ThreadEngine::kick() {
  while (Operation* operation = queued_.pop()) {
    if (under_way_ >= threads_.size() && !add_thread()) {
      finisher_.finished(*operation, kNeverStarted);
      continue;
    }
    ++under_way_;
    {
      const std::lock_guard lock(mutex_);
      todo_.push(*operation);
    }
    work_came_.notify_one();
  }
}

void ThreadEngine::serve() {
  // Signals are the loop thread's business.
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
  ::pthread_setname_np(::pthread_self(), "tcmu-file-io");
  std::unique_lock lock(mutex_);
  while (true) {
    work_came_.wait(lock, [this] { return stopping_ || !todo_.empty(); });
    Operation* operation = todo_.pop();
    if (operation == nullptr) return;
    lock.unlock();
    operation->result = attempt(fd_, *operation);
    lock.lock();
    done_.push(*operation);
    if (told_) continue;
    told_ = true;
    services_.post([this] { hand_back(); });
  }
}

void ThreadEngine::hand_back() {
  OperationQueue done;
  {
    const std::lock_guard lock(mutex_);
    std::swap(done, done_);
    told_ = false;
  }
  while (Operation* operation = done.pop()) {
    --under_way_;
    finisher_.finished(*operation, operation->result);
  }
}

}  // namespace bulkhead::handler
