#include "supervisor/device/request_queue.h"

#include <utility>

namespace bulkhead::supervisor {

using boost::asio::awaitable;

awaitable<std::optional<Result<>>> RequestQueue::ask(Work work, std::chrono::milliseconds patience) {
  const std::shared_ptr<Request> request(new Request{std::move(work), Wake(io_), false, {}});
  waiting_.push_back(request);
  const auto begun_by = std::chrono::steady_clock::now() + patience;
  while (!request->result) {
    const auto until = request->begun ? Wake::kNever : begun_by;
    const bool woken = co_await request->done.wait_until(until);
    if (!woken && !request->begun) break;
  }
  std::erase(waiting_, request);
  co_return std::move(request->result);
}

awaitable<void> RequestQueue::do_next() {
  const std::shared_ptr<Request> request = waiting_.front();
  waiting_.pop_front();
  request->begun = true;
  auto doing = request->work();
  auto result = co_await std::move(doing);
  request->result = std::move(result);
  request->done.notify();
}

void RequestQueue::refuse(const Error& why) {
  for (const auto& request : std::exchange(waiting_, {})) {
    request->result = std::unexpected(why);
    request->done.notify();
  }
}

}  // namespace bulkhead::supervisor
