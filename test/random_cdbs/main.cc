// tcmu-random-cdbs: sends random commands to a disk and looks whether each answer can be one. Everything on
// the disk is lost.
//
// Exit status: 0 every answer was in order and the disk is ready afterwards; 1 one was not; 2 can't begin.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "test/random_cdbs/answer_check.h"
#include "test/random_cdbs/command_maker.h"
#include "test/random_cdbs/scsi_disk.h"

namespace bulkhead::random_cdbs {
namespace {

using Clock = std::chrono::steady_clock;

struct Arguments {
  std::string disk;
  long seconds = 30;
  unsigned threads = 4;
  std::uint64_t seed = std::random_device{}();
  long deadline = 60;
};

// What all threads have seen. Locked: commands last milliseconds.
class Tally {
 public:
  void count(const Command& command, const Answer& answer) {
    const std::scoped_lock lock(mutex_);
    ++outcomes_[command.cdb[0]][outcome_name(answer)];
    slowest_ = std::max(slowest_, answer.took);
    ++commands_;
  }
  void complain(const Command& command, std::string_view what) {
    const std::scoped_lock lock(mutex_);
    ++complaints_;
    fmt::print(stderr, "WRONG: {}; command [{:02x}], {} bytes {}\n", what, fmt::join(command.cdb, " "),
               command.data.size(), command.direction == Direction::ToDisk ? "sent" : "asked for");
  }
  // One line per operation code.
  void print() const {
    for (const auto& [code, outcomes] : outcomes_) {
      std::string line = fmt::format("{:02x}", code);
      for (const auto& [name, number] : outcomes) line += fmt::format("  {} {}", name, number);
      fmt::print("{}\n", line);
    }
    fmt::print("{} commands, {} wrong answers, the slowest took {} ms\n", commands_, complaints_,
               slowest_.count());
  }
  [[nodiscard]] bool all_right() const { return complaints_ == 0; }

 private:
  std::mutex mutex_;
  std::map<std::uint8_t, std::map<std::string, std::uint64_t>> outcomes_;
  std::chrono::milliseconds slowest_{};
  std::uint64_t commands_ = 0, complaints_ = 0;
};

// So that not all commands after a random STOP meet a unit that is stopped.
void start(ScsiDisk& disk) {
  Command command{.cdb = {0x1b, 0, 0, 0, 1, 0}};  // START STOP UNIT
  [[maybe_unused]] const auto answer = disk.execute(command);
}

void bombard(ScsiDisk disk, CommandMaker maker, Clock::time_point end, Tally& tally) {
  while (Clock::now() < end) {
    Command command = maker.next();
    const auto answer = disk.execute(command);
    // The kernel itself refuses some, e.g. CDBs of no length there is.
    if (!answer && answer.error().sys_errno == EINVAL) continue;
    if (!answer) {
      tally.complain(command, answer.error().what);
      continue;
    }
    tally.count(command, *answer);
    if (const auto wrong = wrong_with(command, *answer)) tally.complain(command, *wrong);
    if (outcome_name(*answer) == "NOT READY") start(disk);
  }
}

// The commands may have stopped the unit, or begun to sanitize it.
bool becomes_ready(ScsiDisk& disk, std::chrono::seconds within) {
  const auto end = Clock::now() + within;
  std::string last = "no answer";
  while (Clock::now() < end) {
    start(disk);
    Command test{.cdb = {0x00, 0, 0, 0, 0, 0}};  // TEST UNIT READY
    const auto answer = disk.execute(test);
    if (answer && outcome_name(*answer) == "GOOD") return true;
    last = answer ? outcome_name(*answer) : answer.error().what;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // between two looks
  }
  fmt::print(stderr, "WRONG: the disk does not become ready again: {}\n", last);
  return false;
}

int run(const Arguments& arguments) {
  auto disk = ScsiDisk::open(arguments.disk, std::chrono::seconds(arguments.deadline));
  if (!disk || !becomes_ready(*disk, std::chrono::seconds(arguments.deadline))) {
    fmt::print(stderr, "{}\n", disk ? "the disk is not ready" : disk.error().what);
    return 2;
  }
  const auto supported = supported_commands(*disk);
  if (!supported) {
    fmt::print(stderr, "{}\n", supported.error().what);
    return 2;
  }
  fmt::print("seed {}, {} threads, {} commands that the disk knows\n", arguments.seed, arguments.threads,
             supported->size());
  std::fflush(stdout);
  Tally tally;
  {
    std::vector<std::jthread> threads;
    const auto end = Clock::now() + std::chrono::seconds(arguments.seconds);
    for (unsigned number = 0; number < arguments.threads; ++number) {
      auto own = ScsiDisk::open(arguments.disk, std::chrono::seconds(arguments.deadline));
      if (!own) {
        fmt::print(stderr, "{}\n", own.error().what);
        return 2;
      }
      threads.emplace_back(bombard, std::move(*own), CommandMaker(*supported, arguments.seed + number), end,
                           std::ref(tally));
    }
  }
  const bool ready = becomes_ready(*disk, std::chrono::seconds(arguments.deadline));
  tally.print();
  return tally.all_right() && ready ? 0 : 1;
}

}  // namespace
}  // namespace bulkhead::random_cdbs

int main(int argc, char** argv) {
  bulkhead::random_cdbs::Arguments arguments;
  CLI::App app{"Random SCSI commands against a disk whose content does not matter"};
  app.add_option("disk", arguments.disk, "block or sg device")->required();
  app.add_option("--seconds", arguments.seconds, "how long")->capture_default_str();
  app.add_option("--threads", arguments.threads, "commands under way at once")->capture_default_str();
  app.add_option("--seed", arguments.seed, "repeats a sequence, thread by thread");
  app.add_option("--deadline", arguments.deadline, "seconds for one command")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return bulkhead::random_cdbs::run(arguments);
}
