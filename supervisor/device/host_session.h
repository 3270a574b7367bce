// The supervisor's end of one handler-host's life: process, control socket, and what was asked and not
// answered yet.
//
// Threads: the control thread. Lifetime: shared with its own coroutines, which end with the process; the
// owner may let go at any time (abandon()), and hears nothing more then. Trust: everything the host sends is
// judged before it is used. A message out of order or too large ends the host with a named reason; too many
// of them are heard later.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/control_socket.h"
#include "base/error.h"
#include "base/rate_limit.h"
#include "proto/control.pb.h"
#include "supervisor/broker/file_broker.h"
#include "supervisor/channel/channel.h"
#include "supervisor/configfs/blocking_pool.h"
#include "supervisor/device/host_messages.h"
#include "supervisor/device/wake.h"
#include "supervisor/spawn/host_process.h"

namespace bulkhead::supervisor {

class HostSession final : public std::enable_shared_from_this<HostSession>, private HostMessages::Listener {
 public:
  // Told on the control thread; never from within a call of the owner's.
  class Owner {
   public:
    virtual boost::asio::awaitable<Result<UniqueFd>> host_asks_file(FileAsked asked) = 0;
    virtual boost::asio::awaitable<Result<control::Identity>> host_asks_identity() = 0;
    virtual void host_facts(const HostFacts& facts) = 0;
    virtual void host_offers_grant(const GrantOffer& offer) = 0;
    virtual void host_counter(std::string_view name, std::uint64_t value) = 0;
    // The process is gone, and can't write anything any more. Once, last.
    virtual void host_ended(const std::string& how) = 0;

   protected:
    ~Owner() = default;
  };

  // Starts the process and its coroutines. `label` names the device in log lines ("user_1/d0"). `files`:
  // where descriptors are closed that storage, or the host, may make wait.
  [[nodiscard]] static Result<std::shared_ptr<HostSession>> launch(boost::asio::io_context& io,
                                                                   const BlockingPool& files,
                                                                   const HostCommand& command,
                                                                   std::string label, Owner& owner);
  // Goes on with a host that an earlier supervisor started; Hello, Start and Open are history. Whatever the
  // host said that was not read is heard now; take_over() makes it say the rest again. A host that has ended
  // meanwhile has its last words heard, and host_ended() tells. `recorded_id`: next_question_id() of the
  // earlier session. The caller has looked at the process: see host_check.h.
  [[nodiscard]] static std::shared_ptr<HostSession> adopt(boost::asio::io_context& io,
                                                          const BlockingPool& files, HostProcess process,
                                                          std::string label, Owner& owner,
                                                          std::uint64_t recorded_id);
  ~HostSession();

  using Seconds = std::chrono::seconds;
  // Waits for Hello, then sends Start. `ends`: the host's side of the channel; nullopt for a check host.
  boost::asio::awaitable<Result<>> start(control::Start start, std::optional<HostEnds> ends, Seconds limit);
  // Each sends its message and waits for the answer; the failure is the host's, or TimedOut, or PeerBroken
  // when the host ended instead.
  boost::asio::awaitable<Result<>> open(control::Open message, Seconds limit);
  boost::asio::awaitable<Result<>> check(control::Check message, Seconds limit);
  boost::asio::awaitable<Result<>> resize(std::uint64_t size_bytes, Seconds limit);
  boost::asio::awaitable<Result<>> set_write_cache(bool on, Seconds limit);
  // Of an adopted host: when this has succeeded, the owner has been told the facts anew, and been asked what
  // the host had asked an earlier supervisor in vain. `build`: ours, for the host's log line.
  boost::asio::awaitable<Result<>> take_over(std::string build, Seconds limit);
  // Tells which commands the kernel has aborted. Not answered.
  void abort(const control::TaskManagement& tasks);
  // Flush, close and end; what does not end in time is killed.
  boost::asio::awaitable<Result<>> close(Seconds limit);

  // Ends the process; `why` becomes part of how it ended.
  void kill(std::string why);
  void abandon() { owner_ = nullptr; }
  // Is let go of when the process is gone, whoever lets go of this object before.
  void hold_until_end(std::shared_ptr<const void> what) { held_ = std::move(what); }
  // We end, the process shall not: nothing is read from it any more, so that what it says waits for the next
  // supervisor; the owner hears nothing more, and who waits for an answer gets a failure. Its end of the
  // control socket stays good only if somebody keeps what duplicate() gave.
  void leave_running();
  [[nodiscard]] Result<HostDescriptors> duplicate() const { return process_.duplicate(); }
  [[nodiscard]] std::uint64_t next_question_id() const { return messages_.next_question_id(); }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }
  [[nodiscard]] const UniqueFd& pidfd() const { return process_.pidfd(); }
  // What it says of its walls, once it has opened. See wall_check.h.
  [[nodiscard]] const Walls& told_walls() const { return told_walls_; }
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  // A question of ours on its way. On the stack of the coroutine that waits for it.
  struct Question {
    explicit Question(boost::asio::io_context& io) : wake(io) {}
    Wake wake;
    std::optional<Result<>> answer;
  };

  HostSession(boost::asio::io_context& io, const BlockingPool& files, HostProcess process, std::string label,
              Owner& owner, std::optional<std::uint64_t> recorded_id);
  void begin();
  [[nodiscard]] bool over() const { return ended_ || left_running_; }
  boost::asio::awaitable<void> read_control();
  boost::asio::awaitable<void> read_errors();
  boost::asio::awaitable<void> watch_end();
  void hear_last_words();
  boost::asio::awaitable<void> end_soon();
  void wake_all();
  boost::asio::awaitable<Result<>> ask(control::Message message, std::uint64_t id, Seconds limit);
  boost::asio::awaitable<void> serve_file(control::OpenFile asked);
  boost::asio::awaitable<void> serve_identity(std::uint64_t id);

  // HostMessages::Listener
  void hello() override;
  void walls(Walls walls) override { told_walls_ = std::move(walls); }
  void answered(std::uint64_t id, Result<> result) override;
  void file_wanted(const control::OpenFile& asked) override;
  void identity_wanted(std::uint64_t id) override;
  void said(const control::Log& line) override;
  void facts(const HostFacts& facts) override;
  void grant_offered(const GrantOffer& offer) override;
  void counter(std::string_view name, std::uint64_t value) override;

  void send(const control::Message& message, std::span<const int> fds = {});
  bool take_error_bytes();
  void log_error_lines(std::string_view bytes);

  boost::asio::io_context& io_;
  const BlockingPool& files_;
  HostProcess process_;
  const std::string label_;
  Owner* owner_;
  boost::asio::posix::stream_descriptor control_;
  boost::asio::posix::stream_descriptor errors_;
  boost::asio::posix::stream_descriptor exit_;
  HostMessages messages_;
  Wake hello_;
  Wake end_;
  Wake pause_;  // of read_control()
  Walls told_walls_;
  std::shared_ptr<const void> held_;
  bool ended_ = false;
  bool left_running_ = false;
  std::string why_killed_;  // or left
  std::string unfinished_error_line_, last_error_line_;
  std::map<std::uint64_t, Question*> questions_;
  RateLimit log_limit_;
};

}  // namespace bulkhead::supervisor
