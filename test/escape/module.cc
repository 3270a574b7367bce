// Handler `escape`: does what the file says that its config string names, once the host has all its walls.
//
// The file's first line is "run NAME...": attempts to make in the host itself, one after the other; "fork
// PART PARTS": that part of all, each in a process of its own, which needs a host without a system call
// filter; or "list".
// Further lines are targets: a name, a blank, a value. The answers follow at its end: "trying NAME", "NAME
// WHY", and "end".
#include <fmt/format.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>
#include <vector>

#include "handler-host/api/handler.h"
#include "test/escape/attempts.h"
#include "test/escape/own_ring.h"
#include "test/zero_disk/zero_disk.h"

namespace bulkhead::test {

const char* Targets::path(std::string_view name) const {
  const auto found = told_.find(name);
  return found == told_.end() ? "/nothing-was-told" : found->second.c_str();
}

long Targets::number(std::string_view name) const {
  const std::string_view text = path(name);
  long value = -1;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

namespace {

using namespace bulkhead::handler;

// Not tried in hosts of config checks, which have other limits of memory and no channel.
constexpr std::array<std::string_view, 3> kOfLuns{"memory-limit", "channel", "supervisor"};
constexpr unsigned kPatience = 30;  // seconds for an attempt in a process of its own

std::vector<Attempt> all_attempts() {
  std::vector<Attempt> all;
  for (const auto& some :
       {attempts_on_files(), attempts_on_processes(), attempts_on_sockets(), attempts_on_kernel(),
        attempts_on_identity(), attempts_on_limits(), attempts_on_ring(), attempts_on_channel()})
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

class Orders {
 public:
  // `data`: somewhere in the channel's data; nullptr: there is no channel.
  explicit Orders(int fd, const std::byte* data = nullptr) : fd_(fd) {
    std::string text(1 << 16, '\0');
    const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
    text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    end_ = static_cast<off_t>(text.size());
    std::istringstream lines(text);
    std::getline(lines, first_);
    std::map<std::string, std::string, std::less<>> told{
        {"own_fd", fmt::to_string(fd)}, {"data", fmt::to_string(reinterpret_cast<std::uintptr_t>(data))}};
    for (std::string name, value; lines >> name >> value;) told[name] = value;
    targets_ = std::make_unique<Targets>(std::move(told));
  }

  // Once: the next host of the same LUN finds that it has been done.
  void carry_out() {
    std::istringstream words(first_);
    std::string mode;
    words >> mode;
    if (mode != "run" && mode != "fork" && mode != "list") return;
    [[maybe_unused]] const ssize_t put = ::pwrite(fd_, "was", 3, 0);
    const std::vector<Attempt> all = all_attempts();
    if (mode == "list")
      for (const Attempt& one : all) say(fmt::format("{}|{}|{}", one.name, one.tries, one.walls));
    if (mode == "fork") {
      std::size_t part = 0, parts = 1;
      words >> part >> parts;
      for (std::size_t i = part; i < all.size(); i += parts)
        if (std::ranges::find(kOfLuns, all[i].walls) == kOfLuns.end())
          say(fmt::format("{} {}", all[i].name, apart(all[i])));
    }
    if (mode == "run")
      for (std::string name; words >> name;) {
        const auto found = std::ranges::find(all, name, &Attempt::name);
        if (found == all.end()) {
          say(name + " unknown");
          continue;
        }
        say("trying " + name);
        say(fmt::format("{} {}", name, word_of(found->act(*targets_))));
      }
    say("end");
  }

 private:
  static std::string word_of(int answer) {
    if (answer == 0) return "done";
    const char* name = ::strerrorname_np(answer);
    return name == nullptr ? fmt::to_string(answer) : name;
  }

  std::string apart(const Attempt& one) const {
    const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    if (child < 0) return "no-process-" + word_of(errno);
    if (child == 0) {
      ::alarm(kPatience);
      ::_exit(one.act(*targets_));
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status)) return word_of(WEXITSTATUS(status));
    return fmt::format("SIG{}", ::sigabbrev_np(WTERMSIG(status)));
  }

  void say(const std::string& line) {
    const std::string whole = line + "\n";
    const ssize_t put = ::pwrite(fd_, whole.data(), whole.size(), end_);
    if (put > 0) end_ += put;
  }

  int fd_;
  off_t end_ = 0;
  std::string first_;
  std::unique_ptr<Targets> targets_;
};

// Does what it is told whenever the block is read that nobody but the scenario reads alone.
class Escaper final : public ZeroDisk {
 public:
  Escaper(UniqueFd orders, ByteCount size) : ZeroDisk(size), orders_(std::move(orders)) {}

 private:
  static constexpr std::uint64_t kBlock = 1000;

  bool does_more(std::uint64_t block, std::span<std::byte> into) override {
    if (block == kBlock) Orders(orders_.get(), into.data()).carry_out();
    return false;
  }

  UniqueFd orders_;
};

Result<std::unique_ptr<Device>> open(Services& services, const OpenRequest& request) {
  auto orders = services.open_file({.path = request.config, .writable = true});
  if (!orders) return std::unexpected(std::move(orders.error()));
  // As handler `file` does, and as nobody can any more when there are commands.
  if (own_ring(orders->get()) == nullptr) services.log(LogLevel::Warning, "escape: no io_uring to be had");
  return std::make_unique<Escaper>(std::move(*orders), request.size);
}

// A config check is a host with all walls too, the filter of the serving phase included, and much cheaper
// than a LUN.
Result<> check(Services& services, std::string_view config, bool may_open) {
  if (!may_open) return {};
  auto orders = services.open_file({.path = std::string(config), .writable = true});
  if (!orders) return std::unexpected(std::move(orders.error()));
  Orders(orders->get()).carry_out();
  return {};
}

constexpr Module kModule{.subtype = "escape", .open = open, .check = check};

}  // namespace
}  // namespace bulkhead::test

const bulkhead::handler::Module* bulkhead_handler_module() {
  return &bulkhead::test::kModule;
}
