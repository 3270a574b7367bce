// Reads, writes and flushes of a file that lies in memory (tmpfs), made on the loop thread itself; everything
// else by another engine.
//
// io_uring can't do these at once: a file on tmpfs takes no "but don't wait", so each one goes to a worker
// thread of the kernel, which costs two switches between threads for a copy of a microsecond. They wait for
// no device (but for one that was swapped out). What takes several times a hand-over is left to the other
// engine, which can have several copied at once; and after so many bytes the answers made are let out first.
#pragma once

#include <cstdint>
#include <memory>

#include "handler-host/handlers/file/engine.h"

namespace bulkhead::handler {

class MemoryEngine final : public Engine {
 public:
  // `others` is not null, and tells the same finisher.
  MemoryEngine(int fd, std::unique_ptr<Engine> others, Services& services, Finisher& finisher);

  void start(Operation& operation) override;
  void kick() override;

 private:
  const int fd_;
  std::unique_ptr<Engine> others_;
  Services& services_;
  Finisher& finisher_;
  OperationQueue queued_;
  bool again_ = false;  // the rest of queued_ has been put off
};

}  // namespace bulkhead::handler
