#include "supervisor/device/host_session.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <iterator>
#include <utility>

#include "base/log.h"

namespace bulkhead::supervisor {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using control::Message;
using std::chrono::steady_clock;

constexpr int kLastWords = 1024;     // packets of a host that has ended: more than its socket holds
constexpr int kPacketsPerTurn = 32;  // then everybody else on the control thread gets his turn
// Each costs the control thread something, which is everybody's. An initiator's tight loop of INQUIRY or MODE
// SELECT makes an honest host say that much.
constexpr int kPacketsPerSecond = 500;
constexpr std::size_t kMaxErrorLine = 512;
constexpr std::chrono::seconds kEndGrace{2};

// Waits until the descriptor is readable; false: cancelled.
awaitable<bool> readable(asio::posix::stream_descriptor& descriptor) {
  boost::system::error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  co_await descriptor.async_wait(asio::posix::stream_descriptor::wait_read, token);
  co_return !error;
}

}  // namespace

Result<std::shared_ptr<HostSession>> HostSession::launch(asio::io_context& io, const BlockingPool& files,
                                                         const HostCommand& command, std::string label,
                                                         Owner& owner) {
  auto process = HostProcess::start(command);
  if (!process) return std::unexpected(std::move(process.error()));
  std::shared_ptr<HostSession> session(
      new HostSession(io, files, std::move(*process), std::move(label), owner, std::nullopt));
  session->begin();
  return session;
}

std::shared_ptr<HostSession> HostSession::adopt(asio::io_context& io, const BlockingPool& files,
                                                HostProcess process, std::string label, Owner& owner,
                                                std::uint64_t recorded_id) {
  std::shared_ptr<HostSession> session(
      new HostSession(io, files, std::move(process), std::move(label), owner, recorded_id));
  session->begin();
  return session;
}

void HostSession::begin() {
  asio::co_spawn(io_, read_control(), asio::detached);
  asio::co_spawn(io_, read_errors(), asio::detached);
  asio::co_spawn(io_, watch_end(), asio::detached);
}

HostSession::HostSession(asio::io_context& io, const BlockingPool& files, HostProcess process,
                         std::string label, Owner& owner, std::optional<std::uint64_t> recorded_id)
    : io_(io),
      files_(files),
      process_(std::move(process)),
      label_(std::move(label)),
      owner_(&owner),
      control_(io, process_.control().get()),
      errors_(io, process_.standard_error().get()),
      exit_(io, process_.pidfd().get()),
      messages_(recorded_id ? HostMessages(*this, *recorded_id) : HostMessages(*this)),
      hello_(io),
      end_(io),
      pause_(io),
      log_limit_(20, std::chrono::seconds(5)) {}

HostSession::~HostSession() {
  // The descriptors belong to process_.
  control_.release();
  errors_.release();
  exit_.release();
  if (ended_) return;
  // What was not read may hold descriptors.
  [[maybe_unused]] const auto unread = files_.closed_here(std::move(process_.control()));
}

awaitable<Result<>> HostSession::start(control::Start start, std::optional<HostEnds> ends, Seconds limit) {
  const auto self = shared_from_this();
  const auto deadline = steady_clock::now() + limit;
  while (!messages_.greeted() && !over()) {
    const bool woken = co_await hello_.wait_until(deadline);
    if (!woken) co_return fail(Cause::TimedOut, ETIMEDOUT, "the handler-host did not say hello in time");
  }
  if (over()) co_return fail(Cause::PeerBroken, EPROTO, "the handler-host " + why_killed_);
  Message message;
  *message.mutable_start() = std::move(start);
  if (ends) {
    const std::array<int, 5> fds{ends->requests.get(), ends->completions.get(), ends->data.get(),
                                 ends->doorbell.get(), ends->supervisor_doorbell.get()};
    send(message, fds);
  } else {
    send(message);
  }
  co_return Result<>();
}

awaitable<Result<>> HostSession::ask(Message message, std::uint64_t id, Seconds limit) {
  const auto self = shared_from_this();
  if (over()) co_return fail(Cause::PeerBroken, EPROTO, "the handler-host " + why_killed_);
  Question question(io_);
  questions_[id] = &question;
  send(message);
  co_await question.wake.wait_until(steady_clock::now() + limit);
  questions_.erase(id);
  messages_.give_up(id);
  if (question.answer) co_return std::move(*question.answer);
  co_return fail(Cause::TimedOut, ETIMEDOUT,
                 fmt::format("the handler-host did not answer within {} s", limit.count()));
}

awaitable<Result<>> HostSession::open(control::Open open, Seconds limit) {
  const std::uint64_t id = messages_.ask(Message::kOpened);
  Message message;
  *message.mutable_open() = std::move(open);
  message.mutable_open()->set_id(id);
  return ask(std::move(message), id, limit);
}

awaitable<Result<>> HostSession::check(control::Check check, Seconds limit) {
  const std::uint64_t id = messages_.ask(Message::kChecked);
  Message message;
  *message.mutable_check() = std::move(check);
  message.mutable_check()->set_id(id);
  return ask(std::move(message), id, limit);
}

awaitable<Result<>> HostSession::resize(std::uint64_t size_bytes, Seconds limit) {
  const std::uint64_t id = messages_.ask(Message::kDone);
  Message message;
  message.mutable_resize()->set_id(id);
  message.mutable_resize()->set_size_bytes(size_bytes);
  return ask(std::move(message), id, limit);
}

awaitable<Result<>> HostSession::set_write_cache(bool on, Seconds limit) {
  const std::uint64_t id = messages_.ask(Message::kDone);
  Message message;
  message.mutable_set_write_cache()->set_id(id);
  message.mutable_set_write_cache()->set_on(on);
  return ask(std::move(message), id, limit);
}

awaitable<Result<>> HostSession::take_over(std::string build, Seconds limit) {
  const std::uint64_t id = messages_.ask(Message::kDone);
  Message message;
  message.mutable_adopt()->set_id(id);
  message.mutable_adopt()->set_build(std::move(build));
  return ask(std::move(message), id, limit);
}

void HostSession::abort(const control::TaskManagement& tasks) {
  Message message;
  *message.mutable_task_management() = tasks;
  send(message);
}

awaitable<Result<>> HostSession::close(Seconds limit) {
  const auto self = shared_from_this();
  const std::uint64_t id = messages_.ask(Message::kDone);
  Message message;
  message.mutable_close()->set_id(id);
  auto closed = co_await ask(std::move(message), id, limit);
  const auto deadline = steady_clock::now() + kEndGrace;
  while (!over()) {
    const bool woken = co_await end_.wait_until(deadline);
    if (woken || over()) continue;
    // How long the kernel takes to end a process in D state, nobody knows: our caller does not wait for ever.
    kill("did not end after it was closed");
    break;
  }
  co_return closed;
}

void HostSession::kill(std::string why) {
  if (over()) return;
  if (why_killed_.empty()) why_killed_ = std::move(why);
  process_.kill();
}

void HostSession::leave_running() {
  if (over()) return;
  process_.leave_running();
  left_running_ = true;
  why_killed_ = "is left to the next supervisor";
  abandon();
  exit_.cancel();
  wake_all();
}

// Whoever waits looks again, and finds that it is over.
void HostSession::wake_all() {
  for (auto& [id, question] : questions_) {
    if (!question->answer)
      question->answer = fail(Cause::PeerBroken, EPROTO, "the handler-host " + why_killed_);
    question->wake.notify();
  }
  hello_.notify();
  end_.notify();
  pause_.notify();
  control_.cancel();
  errors_.cancel();
}

void HostSession::send(const Message& message, std::span<const int> fds) {
  if (left_running_) return;
  const std::string bytes = message.SerializeAsString();
  auto sent = send_packet(process_.control(), std::as_bytes(std::span(bytes)), fds);
  // A host that is gone is seen by its pidfd. One that does not read what is little and rare has stopped
  // working.
  if (!sent && sent.error().cause == Cause::Busy) kill("does not read its control socket");
}

// What comes faster is heard later: the socket fills, and its sender waits.
awaitable<void> HostSession::read_control() {
  const auto self = shared_from_this();
  auto second_over = steady_clock::now();
  int heard = 0;
  while (!over()) {
    const bool ready = co_await readable(control_);
    if (!ready) co_return;
    if (steady_clock::now() >= second_over) {
      second_over = steady_clock::now() + std::chrono::seconds(1);
      heard = 0;
    }
    for (int i = 0; i < kPacketsPerTurn && !over(); ++i, ++heard) {
      auto packet = receive_packet(process_.control());
      if (!packet) {
        if (packet.error().sys_errno != 0) kill("sent more than a control message may hold");
        co_await end_soon();
        co_return;
      }
      if (!*packet) break;
      const std::string_view rule = messages_.take((*packet)->bytes, (*packet)->fds.size());
      files_.close_here(std::move((*packet)->fds));
      if (!rule.empty()) {
        log(Level::Error, {.device = label_, .host_pid = pid(), .message_id = kMsgHostLied},
            fmt::format("handler-host broke the control protocol: {}; it is ended", rule));
        kill(fmt::format("broke the control protocol: {}", rule));
        co_return;
      }
    }
    if (heard < kPacketsPerSecond) {
      co_await asio::post(io_, asio::use_awaitable);
    } else {
      co_await pause_.wait_until(second_over);
    }
  }
}

// End of file on the control socket: the process is ending, or has lost what ties it to us.
awaitable<void> HostSession::end_soon() {
  asio::steady_timer grace(io_, kEndGrace);
  boost::system::error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  co_await grace.async_wait(token);
  kill("closed its control socket and went on");
}

awaitable<void> HostSession::watch_end() {
  const auto self = shared_from_this();
  std::optional<std::string> how;
  while (!how) {
    const bool ready = co_await readable(exit_);
    if (!ready) co_return;
    how = process_.reap();
  }
  hear_last_words();
  take_error_bytes();
  ended_ = true;
  held_.reset();
  // Before it can speak, a host says there what it lacks.
  if (!messages_.greeted() && !last_error_line_.empty()) *how += ": " + last_error_line_;
  const std::string text = why_killed_.empty() ? *how : fmt::format("{} ({})", why_killed_, *how);
  why_killed_ = text;
  wake_all();
  if (owner_ != nullptr) owner_->host_ended(text);
}

// They count: a host that could not open says why, then exits. Also of one that broke a rule all is taken,
// for descriptors may be among it, and systemd, which has a copy of the socket, should not close them.
void HostSession::hear_last_words() {
  std::string_view rule;
  std::vector<UniqueFd> unwanted;  // closed by one thread, however many they are
  for (int i = 0; i < kLastWords; ++i) {
    auto packet = receive_packet(process_.control());
    if (!packet || !*packet) break;
    if (rule.empty()) rule = messages_.take((*packet)->bytes, (*packet)->fds.size());
    std::ranges::move((*packet)->fds, std::back_inserter(unwanted));
  }
  files_.close_here(std::move(unwanted));
}

void HostSession::hello() {
  hello_.notify();
}

void HostSession::answered(std::uint64_t id, Result<> result) {
  auto at = questions_.find(id);
  if (at == questions_.end()) return;
  at->second->answer = std::move(result);
  at->second->wake.notify();
}

void HostSession::file_wanted(const control::OpenFile& asked) {
  asio::co_spawn(io_, serve_file(asked), asio::detached);
}

void HostSession::identity_wanted(std::uint64_t id) {
  asio::co_spawn(io_, serve_identity(id), asio::detached);
}

void HostSession::facts(const HostFacts& facts) {
  if (owner_ != nullptr) owner_->host_facts(facts);
}

void HostSession::grant_offered(const GrantOffer& offer) {
  if (owner_ != nullptr) owner_->host_offers_grant(offer);
}

void HostSession::counter(std::string_view name, std::uint64_t value) {
  if (owner_ != nullptr) owner_->host_counter(name, value);
}

awaitable<void> HostSession::serve_file(control::OpenFile asked) {
  const auto self = shared_from_this();
  Result<UniqueFd> file = fail(Cause::PeerBroken, EPROTO, "the device is gone");
  if (owner_ != nullptr) {
    FileAsked request{asked.path(), asked.writable(), asked.create_bytes()};
    file = co_await owner_->host_asks_file(std::move(request));
  }
  messages_.finish_request();
  Message answer;
  answer.mutable_file_opened()->set_id(asked.id());
  if (file) {
    const int fd = file->get();
    send(answer, std::span(&fd, 1));
    [[maybe_unused]] const auto sent = files_.closed_here(std::move(*file));
  } else {
    auto* failure = answer.mutable_file_opened()->mutable_failure();
    failure->set_sys_errno(errno_of(file.error()));
    failure->set_text(file.error().what);
    send(answer);
  }
}

awaitable<void> HostSession::serve_identity(std::uint64_t id) {
  const auto self = shared_from_this();
  Message answer;
  if (owner_ != nullptr) {
    auto identity = co_await owner_->host_asks_identity();
    if (identity)
      *answer.mutable_identity() = std::move(*identity);
    else
      log(Level::Warning, {.device = label_},
          fmt::format("the LUN's serial can't be read: {}", identity.error().what));
  }
  messages_.finish_request();
  // Without an identity the host's own deadline answers its initiator BUSY.
  if (!answer.has_identity()) co_return;
  answer.mutable_identity()->set_id(id);
  send(answer);
}

void HostSession::said(const control::Log& line) {
  if (auto missed = log_limit_.admit())
    log(level_of_severity(line.level()), {.device = label_, .host_pid = pid()},
        *missed == 0 ? line.text()
                     : fmt::format("{} ({} lines were suppressed before)", line.text(), *missed));
}

awaitable<void> HostSession::read_errors() {
  const auto self = shared_from_this();
  while (!over()) {
    const bool ready = co_await readable(errors_);
    if (!ready || !take_error_bytes()) co_return;
    co_await asio::post(io_, asio::use_awaitable);
  }
}

// False: end of file.
bool HostSession::take_error_bytes() {
  std::array<char, 4096> buffer{};
  const ssize_t got = ::read(process_.standard_error().get(), buffer.data(), buffer.size());
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return false;
  if (got > 0) log_error_lines(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
  return true;
}

void HostSession::log_error_lines(std::string_view bytes) {
  for (char byte : bytes) {
    if (byte != '\n' && unfinished_error_line_.size() < kMaxErrorLine) {
      unfinished_error_line_ += byte;
      continue;
    }
    if (auto missed = log_limit_.admit())
      log(Level::Warning, {.device = label_, .host_pid = pid()},
          fmt::format("handler-host on its standard error: {}{}", unfinished_error_line_,
                      *missed == 0 ? "" : fmt::format(" ({} lines were suppressed before)", *missed)));
    last_error_line_ = std::exchange(unfinished_error_line_, std::string());
  }
}

}  // namespace bulkhead::supervisor
