// Who may change something: root, and where polkit runs, whom it allows. The question is put to polkit by a
// call like any other, so that nothing here waits for an administrator who types a password.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/bus_handles.h"
#include "base/error.h"
#include "base/rate_limit.h"
#include "supervisor/dbus/bus_loop.h"

namespace bulkhead::supervisor {

// Threads: the control thread. Lifetime: as BusLoop; calls in progress refer to it.
class Authorization {
 public:
  // `deadline`: for polkit's answer, in which somebody may have been asked for a password.
  Authorization(BusLoop& loop, std::chrono::microseconds deadline) : loop_(loop), deadline_(deadline) {}

  // May the sender of `call` do what it asks of `device`? polkit's action is org.kernel.TCMUService1.MEMBER,
  // in small letters (dbus-policy/org.kernel.TCMUService1.policy). Errors, fit for the caller: Denied;
  // Exhausted while as many questions of its user, or of all, wait for polkit as may.
  boost::asio::awaitable<Result<>> check(Message call, std::string device);

 private:
  class Asking;
  boost::asio::awaitable<Result<>> ask_polkit(const Message& call, std::string action, std::string device);
  void cancel(const std::string& question);

  BusLoop& loop_;
  const std::chrono::microseconds deadline_;
  // Questions that polkit has not answered. Shared with them: a coroutine that never ends dies with the
  // io_context, after this.
  struct UnderWay {
    unsigned all = 0;
    std::map<uid_t, unsigned> of;
  };
  const std::shared_ptr<UnderWay> under_way_ = std::make_shared<UnderWay>();
  RateLimit trouble_{3, std::chrono::minutes(1)};  // anybody may cause it
  std::uint64_t questions_ = 0;                    // names them, for cancel()
};

}  // namespace bulkhead::supervisor
