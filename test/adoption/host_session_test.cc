// A real host, started by a supervisor that is a child of this test and dies; the test is the next
// supervisor.
#include "supervisor/device/host_session.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/control_socket.h"
#include "supervisor/spawn/host_check.h"

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr ChannelSize kSize{.slots = 16, .data_bytes = 1 << 20};
constexpr std::uint64_t kLunBytes = 1 << 20;
constexpr std::chrono::seconds kLimit{20};

class Owner final : public HostSession::Owner {
 public:
  boost::asio::awaitable<Result<UniqueFd>> host_asks_file(FileAsked) override {
    co_return fail(Cause::Denied, EACCES, "no files here");
  }
  boost::asio::awaitable<Result<control::Identity>> host_asks_identity() override {
    ++identities;
    if (dies_when_asked) ::kill(::getpid(), SIGKILL);
    control::Identity identity;
    identity.set_unit_serial("4711");
    co_return identity;
  }
  void host_facts(const HostFacts& told) override { facts = told; }
  void host_offers_grant(const GrantOffer&) override {}
  void host_counter(std::string_view, std::uint64_t) override {}
  void host_ended(const std::string& how) override { end = how; }

  bool dies_when_asked = false;
  int identities = 0;
  std::optional<HostFacts> facts;
  std::optional<std::string> end;
};

bool run_until(boost::asio::io_context& io, const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + kLimit;
  io.restart();
  while (!done() && std::chrono::steady_clock::now() < deadline) io.run_one_for(100ms);
  return done();
}

// The answer of a call that is a coroutine.
Result<> answer_of(boost::asio::io_context& io, boost::asio::awaitable<Result<>> call) {
  std::optional<Result<>> answer;
  auto wait = [&answer](boost::asio::awaitable<Result<>> asked) -> boost::asio::awaitable<void> {
    answer = co_await std::move(asked);
  };
  boost::asio::co_spawn(io, wait(std::move(call)), boost::asio::detached);
  EXPECT_TRUE(run_until(io, [&answer] { return answer.has_value(); }));
  return answer.value_or(fail(Cause::TimedOut, ETIMEDOUT, "no answer to the test"));
}

// `uid`: above 0, the host closes itself in; everybody must be able to read `library` then.
Result<std::shared_ptr<HostSession>> serve(boost::asio::io_context& io, const BlockingPool& files,
                                           Owner& owner, HostEnds ends, const std::string& config,
                                           std::uint32_t uid = 0, std::string library = {}) {
  const auto file = [](const char* name) { return std::filesystem::absolute(name).string(); };
  if (library.empty()) library = file("handler-host/handlers/null/handler_null.so");
  const HostCommand command{
      .binary = file("handler-host/tcmu-handler-host"),
      .visible_name = "tcmu-host: null/d0",
      .uid = uid,
      .sandbox = {"--library-dir=" + std::filesystem::path(library).parent_path().string()}};
  auto session = HostSession::launch(io, files, command, "user_1/d0", owner);
  if (!session) return session;
  control::Start start;
  start.set_subtype("null");
  start.set_library(library);
  start.set_slots(kSize.slots);
  start.set_data_bytes(kSize.data_bytes);
  std::optional<HostEnds> given(std::move(ends));
  if (auto started = answer_of(io, (*session)->start(start, std::move(given), kLimit)); !started)
    return std::unexpected(started.error());
  control::Open open;
  open.set_id(0);
  open.set_device("user_1/d0");
  open.set_config(config);
  open.set_size_bytes(kLunBytes);
  open.set_block_bytes(512);
  open.set_max_sectors(128);
  open.set_largest_transfer_bytes(kSize.data_bytes);
  if (auto opened = answer_of(io, (*session)->open(open, kLimit)); !opened)
    return std::unexpected(opened.error());
  return session;
}

// A thread of the test before, which may hold a lock, would leave it held in a child.
bool no_thread_is_left() {
  auto threads_but = [](const std::string& one) {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return std::count_if(begin(tasks), end(tasks),
                         [&](const auto& task) { return task.path().filename() != one; });
  };
  // With the one that ThreadSanitizer has of its own from the first other thread on; without that other one.
  static const auto at_first = [&] {
    std::string first;
    std::thread([&first] { first = std::to_string(::gettid()); }).join();
    return threads_but(first);
  }();
  const auto deadline = std::chrono::steady_clock::now() + kLimit;
  while (threads_but("") > at_first && std::chrono::steady_clock::now() < deadline) ::sched_yield();
  return threads_but("") <= at_first;
}

class Succession : public ::testing::Test {
 protected:
  enum class Death : std::uint8_t { AtOnce, WhenAskedForTheIdentity };
  // A supervisor in a process of its own: starts a host and is killed. `kept` is then what systemd would have
  // kept of it.
  void live_and_die(const std::string& config, Death death = Death::AtOnce) {
    ASSERT_TRUE(no_thread_is_left());
    auto ends = Channel::create(kSize);
    ASSERT_TRUE(ends);
    auto wire = std::move(*make_control_pair());
    const pid_t supervisor = ::fork();
    if (supervisor == 0) {
      BlockingPool its_files;
      boost::asio::io_context its_io;
      Owner its_owner;
      auto its_session = serve(its_io, its_files, its_owner, std::move(ends->host), config);
      if (!its_session || !run_until(its_io, [&] { return its_owner.facts.has_value(); })) ::_exit(1);
      auto copies = (*its_session)->duplicate();
      const std::array<int, 3> fds{copies->pidfd.get(), copies->control.get(), copies->standard_error.get()};
      const std::string id = std::to_string((*its_session)->next_question_id());
      its_owner.dies_when_asked = true;
      if (!send_packet(wire[1], std::as_bytes(std::span(id)), fds)) ::_exit(2);
      if (death == Death::WhenAskedForTheIdentity) run_until(its_io, [] { return false; });
      ::kill(::getpid(), SIGKILL);
    }
    ends->host = HostEnds{};
    channel = std::move(ends->channel);
    wire[1].reset();  // so that a child that has died before is seen to have sent nothing
    // Not before: it would answer a question that is asked earlier.
    pollfd ready{.fd = wire[0].get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&ready, 1, static_cast<int>(std::chrono::milliseconds(kLimit).count())), 1);
    if (death == Death::WhenAskedForTheIdentity) {
      channel->submit(SlotIndex{0}, inquire_serial());
      channel->publish();
    }
    int status = -1;
    ASSERT_EQ(::waitpid(supervisor, &status, 0), supervisor);
    ASSERT_EQ(WIFSIGNALED(status) ? WTERMSIG(status) : 0, SIGKILL) << "the first supervisor failed";
    auto packet = receive_packet(wire[0]).value().value();
    recorded_id = std::stoull(packet.bytes);
    kept = {.pidfd = std::move(packet.fds.at(0)),
            .control = std::move(packet.fds.at(1)),
            .standard_error = std::move(packet.fds.at(2))};
  }
  void adopt() {
    auto process = HostProcess::adopt(std::move(kept));
    ASSERT_TRUE(process) << process.error().what;
    session = HostSession::adopt(io, files, std::move(*process), "user_1/d0", owner, recorded_id);
  }
  static channel::Slot command(std::array<std::uint8_t, 6> cdb, std::uint64_t data_in = 0) {
    channel::Slot slot{};
    slot.cdb_bytes = 6;
    std::ranges::copy(cdb, std::begin(slot.cdb));
    slot.direction = data_in > 0 ? channel::Direction::In : channel::Direction::None;
    slot.data_bytes = data_in;
    return slot;
  }
  static channel::Slot test_unit_ready() { return command({}); }
  static channel::Slot inquire_serial() { return command({0x12, 1, 0x80, 0, 255, 0}, 255); }

  // The SCSI status of the next completion; the io_context runs meanwhile.
  int next_status() {
    int status = -1;
    run_until(io, [&] {
      auto entry = channel->next_completion();
      if (!entry || !*entry) return false;
      status = (*entry)->scsi_status;
      channel->completion_done();
      return true;
    });
    return status;
  }
  int execute(const channel::Slot& slot) {
    channel->submit(SlotIndex{1}, slot);
    channel->publish();
    return next_status();
  }

  BlockingPool files;
  boost::asio::io_context io;
  Owner owner;
  std::unique_ptr<Channel> channel;
  HostDescriptors kept;
  std::uint64_t recorded_id = 0;
  std::shared_ptr<HostSession> session;
};

TEST_F(Succession, TheNextSupervisorGoesOnWithHostChannelAndFacts) {
  live_and_die("");
  const auto good = check_host(kept.pidfd, {});
  EXPECT_TRUE(good) << good.error().what;
  adopt();
  EXPECT_TRUE(answer_of(io, session->take_over("next", kLimit)));
  ASSERT_TRUE(owner.facts) << "told before take_over() is done";
  EXPECT_EQ(owner.facts->size_bytes, kLunBytes);
  EXPECT_FALSE(owner.facts->unit_state.empty());
  EXPECT_EQ(execute(test_unit_ready()), 0);
  EXPECT_EQ(execute(inquire_serial()), 0);
  EXPECT_EQ(owner.identities, 1);
  EXPECT_TRUE(answer_of(io, session->resize(2 * kLunBytes, kLimit)));
  EXPECT_TRUE(answer_of(io, session->close(kLimit)));
  ASSERT_TRUE(run_until(io, [this] { return owner.end.has_value(); }));
  EXPECT_THAT(*owner.end, StartsWith("ended; how is unknown"));
}

TEST_F(Succession, AQuestionThatDiedWithItsSupervisorIsAnsweredByTheNext) {
  live_and_die("", Death::WhenAskedForTheIdentity);
  adopt();
  EXPECT_TRUE(answer_of(io, session->take_over("next", kLimit)));
  EXPECT_EQ(next_status(), 0);
  EXPECT_EQ(owner.identities, 1);
  EXPECT_FALSE(owner.end);
}

// Each INQUIRY is a question of the host's; an initiator in a tight loop must not cost the others their host.
TEST_F(Succession, AHostThatAsksWithoutEndIsHeardSlowly) {
  live_and_die("");
  adopt();
  ASSERT_TRUE(answer_of(io, session->take_over("next", kLimit)));
  const auto deadline = std::chrono::steady_clock::now() + kLimit;
  for (int i = 0; i < 1200; ++i) {
    channel->submit(SlotIndex{1}, inquire_serial());
    channel->publish();
    // Without a pause, which would keep it from being too much.
    while (!channel->has_completion() && !owner.end && std::chrono::steady_clock::now() < deadline) {
      io.restart();
      io.poll();
    }
    ASSERT_EQ(next_status(), 0) << "INQUIRY " << i;
  }
  EXPECT_EQ(owner.identities, 1200);
  EXPECT_FALSE(owner.end);
}

TEST_F(Succession, AHostThatDiedWhileNobodyWatchedIsSeenToHaveEnded) {
  live_and_die("");
  auto process = HostProcess::adopt(std::move(kept));
  ASSERT_TRUE(process);
  process->kill();
  session = HostSession::adopt(io, files, std::move(*process), "user_1/d0", owner, recorded_id);
  EXPECT_FALSE(answer_of(io, session->take_over("next", kLimit)));
  ASSERT_TRUE(run_until(io, [this] { return owner.end.has_value(); }));
  EXPECT_THAT(*owner.end, StartsWith("ended"));
}

TEST_F(Succession, AnAdoptedHostThatHangsIsKilled) {
  live_and_die("");
  adopt();
  session->kill("is replaced");
  ASSERT_TRUE(run_until(io, [this] { return owner.end.has_value(); }));
  EXPECT_THAT(*owner.end, StartsWith("is replaced (ended"));
}

TEST_F(Succession, ASupervisorThatLeavesInGoodOrderLeavesItsHostRunning) {
  live_and_die("?delay_us=500000");
  adopt();
  EXPECT_TRUE(answer_of(io, session->take_over("second", kLimit)));
  channel->submit(SlotIndex{2}, command({0x08, 0, 0, 0, 1, 0}, 512));  // READ(6), half a second long
  channel->publish();
  kept = std::move(*session->duplicate());
  recorded_id = session->next_question_id();
  const std::weak_ptr<HostSession> gone = session;
  session->leave_running();
  session->kill("is told too late");
  EXPECT_THAT(answer_of(io, session->resize(2 * kLunBytes, kLimit)).error().what,
              HasSubstr("is left to the next supervisor"));
  session.reset();
  ASSERT_TRUE(run_until(io, [&gone] { return gone.expired(); })) << "a coroutine still reads";
  EXPECT_FALSE(owner.end) << "who leaves hears nothing more";
  owner.facts.reset();
  adopt();
  EXPECT_TRUE(answer_of(io, session->take_over("third", kLimit)));
  EXPECT_TRUE(owner.facts);
  EXPECT_EQ(next_status(), 0);
  EXPECT_FALSE(owner.end);
}

// What a host taken over may send: a socket whose close waits until its peer has read everything, or for
// long.
UniqueFd slow_to_close(const sockaddr_in& peer_that_never_reads) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const linger patience{.l_onoff = 1, .l_linger = 3600};
  const std::vector<char> junk(1 << 20);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&peer_that_never_reads),
                sizeof peer_that_never_reads) != 0 ||
      ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &patience, sizeof patience) != 0)
    ::_exit(1);
  while (::send(socket.get(), junk.data(), junk.size(), MSG_DONTWAIT) > 0) {
  }
  return socket;
}

TEST(UnwantedDescriptors, HoldNobodyUpHoweverLongTheyTakeToClose) {
  sockaddr_in address{
      .sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  socklen_t length = sizeof address;
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  auto wire = make_control_pair().value();
  int errors[2];
  ASSERT_EQ(::pipe2(errors, O_CLOEXEC | O_NONBLOCK), 0);
  UniqueFd writes_errors(errors[1]);
  ASSERT_TRUE(no_thread_is_left());
  const pid_t liar = ::fork();
  if (liar == 0) {
    ::dup2(writes_errors.get(), STDERR_FILENO);
    UniqueFd slow = slow_to_close(address);
    const int fd = slow.get();
    (void)send_packet(wire[1], std::as_bytes(std::span("x", 1)), std::span(&fd, 1));
    slow.reset();
    if (::write(STDERR_FILENO, "", 1) != 1) ::_exit(2);
    ::pause();
  }
  writes_errors.reset();
  // The liar has let go of it: whoever closes it now waits.
  pollfd sent{.fd = errors[0], .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&sent, 1, static_cast<int>(std::chrono::milliseconds(kLimit).count())), 1);
  ASSERT_NE(sent.revents & POLLIN, 0);
  BlockingPool files;
  boost::asio::io_context io;
  Owner owner;
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, liar, 0)));
  auto process = HostProcess::adopt(
      {.pidfd = std::move(pidfd), .control = std::move(wire[0]), .standard_error = UniqueFd(errors[0])});
  ASSERT_TRUE(process) << process.error().what;
  const auto session = HostSession::adopt(io, files, std::move(*process), "user_1/d0", owner, 0);
  ASSERT_TRUE(run_until(io, [&] { return owner.end.has_value(); }));
  EXPECT_THAT(*owner.end, HasSubstr("descriptors nobody asked for"));
  EXPECT_TRUE(run_until(io, [&] { return files.running() == 1; })) << "it is not being closed";
  listener.reset();  // which ends that
  int status = 0;
  EXPECT_EQ(::waitpid(liar, &status, 0), liar);
}

// A host in its whole sandbox: user, namespaces, root, filters.
class ClosedInHost : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can start a host that closes itself in";
    // Not the test's own folder: only its user can reach that, and the host is another.
    std::string pattern = "/tmp/closed-in-host-XXXXXX";
    folder = ::mkdtemp(pattern.data());
    std::filesystem::permissions(folder, std::filesystem::perms(0755));
    std::filesystem::copy_file("handler-host/handlers/null/handler_null.so", folder + "/handler_null.so");
    std::filesystem::permissions(folder + "/handler_null.so", std::filesystem::perms(0755));
  }
  void TearDown() override {
    if (!folder.empty()) std::filesystem::remove_all(folder);
  }
  void serve_null(const std::string& config) {
    auto ends = Channel::create(kSize);
    ASSERT_TRUE(ends);
    channel = std::move(ends->channel);
    auto served = serve(io, files, owner, std::move(ends->host), config, kUser, folder + "/handler_null.so");
    ASSERT_TRUE(served) << served.error().what;
    session = *served;
  }
  std::string end() {
    return run_until(io, [this] { return owner.end.has_value(); }) ? *owner.end : "still running";
  }
  static constexpr std::uint32_t kUser = 54321;
  std::string folder;
  BlockingPool files;
  boost::asio::io_context io;
  Owner owner;
  std::unique_ptr<Channel> channel;
  std::shared_ptr<HostSession> session;
};

TEST_F(ClosedInHost, ServesAndPassesTheCheckOfTheNextSupervisor) {
  serve_null("");
  const auto good = check_host(std::move(*session->duplicate()).pidfd, {.uid = kUser});
  EXPECT_TRUE(good) << good.error().what;
  EXPECT_TRUE(answer_of(io, session->resize(2 * kLunBytes, kLimit)));
  EXPECT_TRUE(answer_of(io, session->take_over("next", kLimit)));
  EXPECT_TRUE(answer_of(io, session->close(kLimit)));
  EXPECT_EQ(end(), "exited with code 0");
}

TEST_F(ClosedInHost, DiesOfSignalsFromOutside) {
  for (const auto& [number, how] :
       {std::pair(SIGTERM, "killed by SIGTERM"), std::pair(SIGSEGV, "killed by SIGSEGV"),
        std::pair(SIGABRT, "killed by SIGABRT")}) {
    owner.end.reset();
    serve_null("");
    ASSERT_EQ(::kill(session->pid(), number), 0);
    EXPECT_EQ(end(), how);
  }
}

TEST_F(ClosedInHost, AbortsAsAnyOther) {
  serve_null("?crash_after=0");
  channel::Slot slot{};
  slot.cdb_bytes = 6;
  slot.cdb[0] = 0x08;  // READ(6) of a block
  slot.cdb[4] = 1;
  slot.direction = channel::Direction::In;
  slot.data_bytes = 512;
  channel->submit(SlotIndex{1}, slot);
  channel->publish();
  EXPECT_EQ(end(), "killed by SIGABRT");
}

}  // namespace
}  // namespace bulkhead::supervisor
