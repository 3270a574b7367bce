// Operations by io_uring: one ring, used by the loop thread alone.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <memory>

#include "handler-host/handlers/file/engine.h"

namespace bulkhead::handler {

// Discard is not for this engine: io_uring has no BLKDISCARD before Linux 6.12.
class UringEngine final : public Engine {
 public:
  // Errors: Denied or NotFound when the kernel has no io_uring for us (io_uring_disabled, seccomp, no such
  // call).
  [[nodiscard]] static Result<std::unique_ptr<UringEngine>> create(int fd, Services& services,
                                                                   Finisher& finisher);
  ~UringEngine() override;
  UringEngine(const UringEngine&) = delete;
  UringEngine& operator=(const UringEngine&) = delete;

  void start(Operation& operation) override { queued_.push(operation); }
  void kick() override;

 private:
  UringEngine(const io_uring& ring, Services& services, Finisher& finisher);
  void prepare(io_uring_sqe& entry, Operation& operation) const;
  void submit();
  void reap();

  io_uring ring_;
  Services& services_;
  Finisher& finisher_;
  OperationQueue queued_;
  std::uint32_t under_way_ = 0;  // never above the completion ring's size, so that it can't overflow
  bool retry_coming_ = false;
};

}  // namespace bulkhead::handler
