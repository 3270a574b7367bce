// Runs work on a device's pump and comes back to the control thread. A pump never blocks, so this has no
// deadline.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <utility>

#include "supervisor/pump/pump.h"

namespace bulkhead::supervisor {

inline boost::asio::awaitable<void> on_pump(boost::asio::io_context& io, Pump& pump,
                                            std::move_only_function<void()> work) {
  auto start = [&io, &pump, &work](auto handler) {
    pump.post([&io, work = std::move(work), handler = std::move(handler)]() mutable {
      work();
      boost::asio::post(io, std::move(handler));
    });
  };
  co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
      start, boost::asio::use_awaitable);
}

}  // namespace bulkhead::supervisor
