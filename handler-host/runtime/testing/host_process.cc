#include "handler-host/runtime/testing/host_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <ostream>
#include <span>

#include "base/error.h"

namespace bulkhead::host {
namespace {

using control::Message;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Where Bazel puts it, as seen from a test's working directory.
constexpr const char* kProgram = "handler-host/tcmu-handler-host";

bool readable(const UniqueFd& fd, steady_clock::time_point deadline) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
  pollfd one{fd.get(), POLLIN, 0};
  return left.count() > 0 && ::poll(&one, 1, static_cast<int>(left.count())) == 1;
}

[[noreturn]] void become_host(int socket, int errors, std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const int null = ::open("/dev/null", O_RDWR);
  ::dup2(null, 0);
  ::dup2(null, 1);
  ::dup2(errors, 2);
  ::dup2(socket, 3);
  // LeakSanitizer can't look into a process that is not dumpable.
  const char* environment[] = {"ASAN_OPTIONS=detect_leaks=0", nullptr};
  ::execve(kProgram, argv.data(), const_cast<char**>(environment));
  ::_exit(99);
}

}  // namespace

HostProcess::HostProcess(std::vector<std::string> arguments) {
  auto pair = std::move(*make_control_pair());
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  pid_ = ::fork();
  if (pid_ == 0) {
    // Off the numbers they go to.
    become_host(::fcntl(pair[1].get(), F_DUPFD, 100), ::fcntl(ends[1], F_DUPFD, 100), arguments);
  }
  socket_ = std::move(pair[0]);
  stderr_ = UniqueFd(ends[0]);
  ::close(ends[1]);
}

HostProcess::~HostProcess() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void PrintTo(const HostEnd& end, std::ostream* to) {
  *to << (end.exited ? "exit status " : "signal ") << end.code << ", \"" << end.stderr_text << '"';
}

std::string HostProcess::library(const std::string& subtype) const {
  if (!library_folder.empty()) return library_folder + "/handler_" + subtype + ".so";
  return std::filesystem::absolute("handler-host/handlers/" + subtype + "/handler_" + subtype + ".so");
}

void HostProcess::send(const Message& message, std::vector<int> fds) {
  const std::string bytes = message.SerializeAsString();
  auto sent = send_packet(socket_, std::as_bytes(std::span(bytes)), fds);
  EXPECT_TRUE(sent) << sent.error().what;
}

void HostProcess::send_bytes(const std::string& bytes) {
  EXPECT_TRUE(send_packet(socket_, std::as_bytes(std::span(bytes))));
}

bool HostProcess::keep(const Message& message) {
  if (message.has_log())
    log_lines.push_back(message.log().text());
  else if (message.has_counters())
    counters = message.counters();
  else if (message.has_io_grant())
    grant = message.io_grant();
  else if (message.has_get_identity() && answer_identity) {
    Message answer;
    answer.mutable_identity()->set_id(message.get_identity().id());
    answer.mutable_identity()->set_unit_serial(unit_serial);
    send(answer);
  } else if (message.has_open_file() && answer_files)
    answer_open(message.open_file());
  else
    return false;
  return true;
}

void HostProcess::answer_open(const control::OpenFile& request) {
  Message answer;
  UniqueFd fd;
  if (opener) {
    answer = opener(request, fd);
  } else {
    const int access = (request.writable() ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK;
    fd = UniqueFd(::open(request.path().c_str(), access));
    if (!fd) {
      answer.mutable_file_opened()->mutable_failure()->set_sys_errno(errno);
      answer.mutable_file_opened()->mutable_failure()->set_text(errno_text(errno));
    }
  }
  answer.mutable_file_opened()->set_id(request.id());
  send(answer, fd ? std::vector{fd.get()} : std::vector<int>{});
}

Message HostProcess::next(milliseconds limit) {
  const auto deadline = steady_clock::now() + limit;
  while (readable(socket_, deadline)) {
    auto packet = receive_packet(socket_);
    if (!packet) break;
    if (!*packet) continue;
    Message message;
    EXPECT_TRUE(message.ParseFromString((*packet)->bytes));
    if (!keep(message)) return message;
  }
  return {};
}

Message HostProcess::expect(Kind kind) {
  Message message = next();
  for (; message.has_device_facts() && kind != Message::kDeviceFacts; message = next())
    facts = message.device_facts();
  EXPECT_EQ(message.kind_case(), kind);
  return message;
}

void HostProcess::start(const std::string& subtype) {
  expect(Message::kHello);
  channel_.emplace(kTestSlots, kTestData);
  const std::vector<UniqueFd> fds = channel_->take_host_fds();
  std::vector<int> numbers;
  numbers.reserve(fds.size());
  for (const UniqueFd& fd : fds) numbers.push_back(fd.get());
  Message message;
  message.mutable_start()->set_subtype(subtype);
  message.mutable_start()->set_library(library(subtype));
  message.mutable_start()->set_slots(kTestSlots);
  message.mutable_start()->set_data_bytes(kTestData);
  send(message, numbers);
}

void HostProcess::start_without_channel(const std::string& subtype) {
  expect(Message::kHello);
  Message message;
  message.mutable_start()->set_subtype(subtype);
  message.mutable_start()->set_library(library(subtype));
  send(message);
}

std::string HostProcess::open(const std::string& subtype, const std::string& config, std::uint64_t size_bytes,
                              std::uint32_t block_bytes) {
  start(subtype);
  Message message;
  control::Open& open = *message.mutable_open();
  open.set_id(++id_);
  open.set_device("user_1/d0");
  open.set_config(config);
  open.set_size_bytes(size_bytes);
  open.set_block_bytes(block_bytes);
  open.set_max_sectors(2048);
  open.set_largest_transfer_bytes(kTestData);
  if (!unit_state.empty()) open.set_unit_state(unit_state);
  if (writes_lost) open.set_writes_lost(true);
  send(message);
  const Message opened = expect(Message::kOpened);
  EXPECT_EQ(opened.opened().id(), id_);
  if (opened.opened().has_failure()) return opened.opened().failure().text();
  facts = expect(Message::kDeviceFacts).device_facts();
  return {};
}

std::string HostProcess::close() {
  Message message;
  message.mutable_close()->set_id(++id_);
  send(message);
  const Message done = expect(Message::kDone);
  EXPECT_EQ(done.done().id(), id_);
  return done.done().has_failure() ? done.done().failure().text() : "";
}

void HostProcess::lose_supervisor() {
  socket_ = UniqueFd(::fcntl(socket_.get(), F_DUPFD_CLOEXEC, 0));
  facts.Clear();
  counters.Clear();
}

void HostProcess::adopt() {
  Message message;
  message.mutable_adopt()->set_id(++id_);
  message.mutable_adopt()->set_build("of a test");
  send(message);
  const Message done = expect(Message::kDone);
  EXPECT_EQ(done.done().id(), id_);
  EXPECT_FALSE(done.done().has_failure());
}

void HostProcess::kill() {
  ::kill(pid_, SIGKILL);
}

int HostProcess::execute(const channel::Slot& slot) {
  channel::Slot numbered = slot;
  numbered.generation = ++generation_;
  channel_->submit(0, numbered);
  channel_->publish();
  const auto entry = channel_->wait_completion();
  if (!entry) return 255;
  EXPECT_EQ(entry->slot, 0u);
  EXPECT_EQ(entry->generation, generation_);
  return entry->scsi_status;
}

HostEnd HostProcess::wait_end() {
  HostEnd end;
  std::array<char, 4096> part;
  const auto deadline = steady_clock::now() + std::chrono::seconds(30);
  while (readable(stderr_, deadline)) {
    const ssize_t got = ::read(stderr_.get(), part.data(), part.size());
    if (got <= 0) break;
    end.stderr_text.append(part.data(), static_cast<std::size_t>(got));
  }
  if (steady_clock::now() >= deadline) {
    ADD_FAILURE() << "the host does not end";
    kill();
  }
  int status = 0;
  EXPECT_EQ(::waitpid(std::exchange(pid_, -1), &status, 0) > 0, true);
  end.exited = WIFEXITED(status);
  end.code = end.exited ? WEXITSTATUS(status) : WTERMSIG(status);
  return end;
}

}  // namespace bulkhead::host
