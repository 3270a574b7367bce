#include "supervisor/process/service_state.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "base/log.h"

namespace bulkhead::supervisor {

namespace asio = boost::asio;

void ServiceState::tell(std::string state) {
  waiting_.push_back(std::move(state));
  if (waiting_.size() == 1) asio::co_spawn(io_, send_waiting(), asio::detached);
}

asio::awaitable<void> ServiceState::send_waiting() {
  while (!waiting_.empty()) {
    auto send = [store = store_, state = waiting_.front()] { return store.tell(state); };
    const auto sent = co_await pool_.run<void>("tell systemd", 2 * FdStore::kPatience, std::move(send));
    if (!sent)
      log(Level::Warning, {},
          fmt::format("systemd does not know \"{}\": {}", waiting_.front(), sent.error().what));
    // Without READY=1 it would end us: it may be late.
    if (sent || sent.error().cause != Cause::TimedOut) waiting_.pop_front();
  }
  told_.cancel();
}

asio::awaitable<void> ServiceState::told() {
  if (waiting_.empty()) co_return;
  told_.expires_after(FdStore::kPatience);
  boost::system::error_code ended;
  co_await told_.async_wait(asio::redirect_error(asio::use_awaitable, ended));
}

}  // namespace bulkhead::supervisor
