// Operations by blocking calls on a few threads.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "handler-host/handlers/file/engine.h"

namespace bulkhead::handler {

// Threads are started when there is work for them, so an engine that is never used costs nothing.
class ThreadEngine final : public Engine {
 public:
  ThreadEngine(int fd, std::size_t threads, Services& services, Finisher& finisher);
  ~ThreadEngine() override;

  void start(Operation& operation) override { queued_.push(operation); }
  void kick() override;

 private:
  void serve();
  void hand_back();
  // False: no thread could be started and there is none.
  [[nodiscard]] bool add_thread();

  const int fd_;
  const std::size_t most_threads_;
  Services& services_;
  Finisher& finisher_;

  // Loop thread only.
  OperationQueue queued_;
  std::size_t under_way_ = 0;
  std::vector<std::thread> threads_;

  std::mutex mutex_;
  std::condition_variable work_came_;
  OperationQueue todo_;    // under mutex_
  OperationQueue done_;    // under mutex_
  bool told_ = false;      // under mutex_: hand_back() is posted already
  bool stopping_ = false;  // under mutex_
};

}  // namespace bulkhead::handler
