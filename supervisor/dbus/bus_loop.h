// One connection to a message bus, driven by Boost.Asio and renewed for ever: sd-bus speaks, this class waits
// for it.
//
// Threads: the control thread. Nothing here blocks: connecting, authenticating and sending go on in the
// background, and calls made before the connection stands are queued by sd-bus. Lifetime: destroy it only
// after the io_context has stopped running; its handlers refer to it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <string>

#include "base/bus_handles.h"
#include "base/error.h"

namespace bulkhead::supervisor {

class BusLoop {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // A new connection was begun: export objects and queue calls now. An error drops it and tries again
    // later.
    virtual Result<> connected(sd_bus* bus) = 0;
    // `bus` of connected() ends: let go of every slot on it.
    virtual void disconnected() = 0;
    // The bus can't be reached or was lost; tried again in `retry`.
    virtual void trouble(const Error& error, std::chrono::milliseconds retry) = 0;
  };

  BusLoop(boost::asio::io_context& io, std::string address, Listener& listener);

  void start();
  // Ends the connection and stays away.
  void stop();
  // Ends the connection; the next one is tried after the usual pause. Not from within an sd-bus callback.
  void drop(const Error& why);

  // Has sd-bus send what an earlier attempt left in its queue, soon. To be called after sending anything
  // outside of an sd-bus callback; cheap.
  void flush_soon();

  // nullptr while there is no connection.
  [[nodiscard]] sd_bus* bus() const { return bus_.get(); }
  // Changes with every message that is dispatched: what was read for one message is fresh for that message.
  [[nodiscard]] std::uint64_t turn() const { return turn_; }
  [[nodiscard]] boost::asio::io_context& io() { return io_; }

 private:
  void connect();
  [[nodiscard]] Result<> open();
  void process();
  void wait();
  void wait_for(boost::asio::posix::stream_descriptor::wait_type what, bool& waiting);
  void disconnect();
  void retry_later(const Error& why);

  boost::asio::io_context& io_;
  const std::string address_;
  Listener& listener_;

  BusHandle bus_;
  boost::asio::posix::stream_descriptor socket_;  // a duplicate, so that neither side closes the other's
  boost::asio::steady_timer sd_bus_timer_;        // authentication and call timeouts of sd-bus
  boost::asio::steady_timer retry_timer_;
  std::chrono::steady_clock::time_point connected_at_;
  std::chrono::milliseconds pause_;
  std::uint64_t session_ = 0;  // tells a handler of an earlier connection that it is late
  std::uint64_t turn_ = 0;
  bool reading_ = false;
  bool writing_ = false;
  bool flush_posted_ = false;
  bool stopped_ = true;
};

}  // namespace bulkhead::supervisor
