// Blocking calls off the control thread, with an end: configfs can block for as long as the kernel waits for
// a netlink reply that only the control thread can send (and a thread that blocks there can't be
// interrupted).
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace bulkhead::supervisor {

class BlockingPool {
 public:
  // `threads` is how many calls may hang before others wait; they are started when they are needed.
  explicit BlockingPool(std::size_t threads = 16) : work_(std::make_shared<Work>(threads)) {}
  // Waits for no call: one that hangs keeps its thread, and the thread what it needs.
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  // Runs `job` on a thread of the pool and resumes the caller on its own executor (one thread or a strand).
  // Error TimedOut: the limit passed. A job that runs then goes on alone and its result is dropped, so it
  // must own all it touches; one that had not begun never will. `what` names the call in that error. The
  // io_context of the caller must outlive its coroutines, not the job.
  template <class T>
  boost::asio::awaitable<Result<T>> run(std::string what, std::chrono::milliseconds limit,
                                        std::move_only_function<Result<T>()> job);

  // A descriptor whose close may take long (the last one of a disk writes back): wherever its last holder
  // lets go, a thread of the pool closes it. May outlive the pool.
  [[nodiscard]] std::shared_ptr<const UniqueFd> closed_here(UniqueFd fd) const;

  // The same for descriptors that nobody holds any more.
  void close_here(std::vector<UniqueFd> fds) const;

  // Calls that run now, hanging ones included.
  [[nodiscard]] std::size_t running() const;

 private:
  struct Work {  // shared with the threads, which may outlive the pool
    explicit Work(std::size_t most) : most_threads(most) {}
    const std::size_t most_threads;
    std::mutex mutex;
    std::condition_variable something;
    std::deque<std::move_only_function<void()>> waiting;
    std::size_t threads = 0;
    std::size_t running = 0;
    bool closed = false;
  };
  static void serve(const std::shared_ptr<Work>& work);
  [[nodiscard]] static Result<> submit(const std::shared_ptr<Work>& work,
                                       std::move_only_function<void()> job);
  // What caller and job share. The caller's timer is its wake-up; only under the mutex may the job reach for
  // it, and only until the caller is gone.
  template <class T>
  struct Call {
    std::mutex mutex;
    boost::asio::any_io_executor executor;
    boost::asio::steady_timer* timer = nullptr;
    std::optional<Result<T>> result;
  };
  template <class T>
  struct CallerLeaves {
    Call<T>& call;
    ~CallerLeaves() {
      const std::lock_guard lock(call.mutex);
      call.timer = nullptr;
      call.executor = {};
    }
  };
  template <class T>
  static bool wanted(const std::shared_ptr<Call<T>>& call);
  template <class T>
  static void deliver(const std::shared_ptr<Call<T>>& call, Result<T> result);

  const std::shared_ptr<Work> work_;
};

template <class T>
bool BlockingPool::wanted(const std::shared_ptr<Call<T>>& call) {
  const std::lock_guard lock(call->mutex);
  return call->timer != nullptr;
}

template <class T>
void BlockingPool::deliver(const std::shared_ptr<Call<T>>& call, Result<T> result) {
  const std::lock_guard lock(call->mutex);
  if (call->timer == nullptr) return;
  call->result = std::move(result);
  // A timer belongs to its executor's thread.
  boost::asio::post(call->executor, [call] {
    const std::lock_guard again(call->mutex);
    if (call->timer != nullptr) call->timer->cancel();
  });
}

template <class T>
boost::asio::awaitable<Result<T>> BlockingPool::run(std::string what, std::chrono::milliseconds limit,
                                                    std::move_only_function<Result<T>()> job) {
  const auto call = std::make_shared<Call<T>>();
  call->executor = co_await boost::asio::this_coro::executor;
  boost::asio::steady_timer timer(call->executor, limit);
  call->timer = &timer;
  const CallerLeaves<T> leaves{*call};
  std::move_only_function<void()> task = [call, job = std::move(job)]() mutable {
    if (wanted(call)) deliver(call, job());
  };
  const Result<> submitted = submit(work_, std::move(task));
  if (!submitted) co_return std::unexpected(submitted.error());
  boost::system::error_code expired_or_cancelled;
  auto token = boost::asio::redirect_error(boost::asio::use_awaitable, expired_or_cancelled);
  co_await timer.async_wait(token);
  std::unique_lock lock(call->mutex);
  if (call->result) co_return std::move(*call->result);
  lock.unlock();
  co_return fail(Cause::TimedOut, ETIMEDOUT,
                 what + ": no answer within " + std::to_string(limit.count()) +
                     " ms; the kernel holds it, perhaps until a netlink reply (" + std::to_string(running()) +
                     " such calls run now)");
}

}  // namespace bulkhead::supervisor
