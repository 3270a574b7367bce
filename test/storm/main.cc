// tcmu-storm: load on block devices that knows what every read may return, whatever is killed below.
// Everything on the devices is overwritten. Ends by SIGTERM, SIGINT or --seconds.
//
// Exit status: 0 all went well; 1 a read returned what it may not, an operation failed, or a device hangs; 2
// can't begin.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "test/storm/caw_counter.h"
#include "test/storm/device_load.h"
#include "test/storm/scsi_counter.h"

namespace bulkhead::storm {
namespace {

// The counter is there beside the load, not to be the load.
constexpr std::chrono::milliseconds kCounterPause{50};

enum class Errors : std::uint8_t { Fail, Count };

struct Arguments {
  std::vector<std::string> devices;
  LoadOptions load;
  long seconds = 0;
  long hang = 300;
  std::string json;
  bool allow_errors = false;
  bool buffered = false;
  bool compare_and_write = false;
};

using Loads = std::vector<std::unique_ptr<DeviceLoad>>;

// A device's counter, moved on by COMPARE AND WRITE until stop.
struct Counting {
  std::unique_ptr<ScsiCounterBlock> block;
  CawReport report;
  std::string wrong;

  void run(const std::stop_token& stop, std::uint64_t run_number) {
    CawCounter counter(*block, {.run = run_number, .block = block->lba()}, block->block_bytes());
    std::optional<std::string> found = counter.begin();
    while (!found && !stop.stop_requested()) {
      found = counter.step();
      std::this_thread::sleep_for(kCounterPause);
    }
    report = counter.report();
    if (found) wrong = fmt::format("COMPARE AND WRITE: {}; last answer: {}\n", *found, block->last_answer());
  }
};

nlohmann::json to_json(const LoadReport& report) {
  return {{"device", report.path},
          {"reads", report.reads},
          {"writes", report.writes},
          {"blocks_read", report.blocks_read},
          {"errors", report.errors},
          {"first_error", report.first_error},
          {"torn_while_written", report.torn_while_written},
          {"longest_stall_ms", static_cast<double>(report.longest_stall.count()) / 1000},
          {"longest_stall_at", clock_text(report.longest_stall_at)},
          {"read_back", report.read_back},
          {"hung", report.hung},
          {"violation", report.violation}};
}

bool good(const LoadReport& report, Errors errors) {
  return report.violation.empty() && !report.hung && (errors == Errors::Count || report.errors == 0);
}

// Waits for a signal, the time to be over, or a load that ended by itself; then stops all.
void wait_and_stop(const Loads& loads, const sigset_t& signals, long seconds) {
  using Clock = std::chrono::steady_clock;
  const timespec look{.tv_sec = 0, .tv_nsec = 100'000'000};
  std::optional<Clock::time_point> ends;  // once the load has begun
  for (;;) {
    if (!ends && std::ranges::all_of(loads, &DeviceLoad::filled)) {
      fmt::print(stderr, "tcmu-storm: {} devices are filled, the load begins\n", loads.size());
      ends = seconds > 0 ? Clock::now() + std::chrono::seconds(seconds) : Clock::time_point::max();
    }
    if (::sigtimedwait(&signals, nullptr, &look) > 0) break;
    if (ends && Clock::now() >= *ends) break;
    if (std::ranges::any_of(loads, &DeviceLoad::over)) break;
  }
  for (const auto& load : loads) load->stop();
}

int run(const Arguments& arguments) {
  Loads loads;
  LoadOptions options = arguments.load;
  options.run = std::random_device{}() * (std::uint64_t{1} << 32) + std::random_device{}();
  options.hang = std::chrono::seconds(arguments.hang);
  options.caching = arguments.buffered ? Caching::Buffered : Caching::Direct;
  for (const std::string& device : arguments.devices) {
    Result<std::unique_ptr<DeviceLoad>> load = DeviceLoad::open(device, options);
    if (!load) {
      fmt::print(stderr, "tcmu-storm: {}\n", load.error().what);
      return 2;
    }
    loads.push_back(std::move(*load));
    ++options.device;
    ++options.seed;
  }
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  std::vector<LoadReport> reports(loads.size());
  std::vector<Counting> counting;
  if (arguments.compare_and_write) {
    for (const std::string& device : arguments.devices) {
      auto block = ScsiCounterBlock::open(device, (options.offset_kib + options.kib) * 1024);
      if (!block) {
        fmt::print(stderr, "tcmu-storm: {}\n", block.error().what);
        return 2;
      }
      counting.push_back({.block = std::move(*block)});
    }
  }
  {
    std::vector<std::jthread> threads;
    threads.reserve(loads.size());
    for (std::size_t i = 0; i < loads.size(); ++i)
      threads.emplace_back([&, i] { reports[i] = loads[i]->run(); });
    std::vector<std::jthread> counters;  // ended by their destructors, before the loads are waited for
    counters.reserve(counting.size());
    for (Counting& each : counting)
      counters.emplace_back([&](const std::stop_token& stop) { each.run(stop, options.run); });
    wait_and_stop(loads, signals, arguments.seconds);
  }
  const Errors errors = arguments.allow_errors ? Errors::Count : Errors::Fail;
  nlohmann::json list = nlohmann::json::array();
  bool all_good = true;
  for (const LoadReport& report : reports) {
    list.push_back(to_json(report));
    all_good = all_good && good(report, errors);
    if (!report.violation.empty()) fmt::print(stderr, "tcmu-storm: VIOLATION: {}", report.violation);
    if (report.hung) fmt::print(stderr, "tcmu-storm: {} hangs\n", report.path);
    if (report.errors > 0)
      fmt::print(stderr, "tcmu-storm: {}: {} errors, first {}\n", report.path, report.errors,
                 report.first_error);
  }
  for (std::size_t i = 0; i < counting.size(); ++i) {
    const CawReport& report = counting[i].report;
    list[i]["compare_and_write"] = {{"done", report.done},
                                    {"open", report.open},
                                    {"open_and_happened", report.happened},
                                    {"errors", report.errors}};
    if (report.errors > 0 && errors == Errors::Fail) all_good = false;
    if (counting[i].wrong.empty()) continue;
    all_good = false;
    list[i]["violation"] = counting[i].wrong;
    fmt::print(stderr, "tcmu-storm: VIOLATION: {}: {}", arguments.devices[i], counting[i].wrong);
  }
  const nlohmann::json all{{"result", all_good ? "pass" : "fail"}, {"devices", list}};
  fmt::print("{}\n", all.dump(1));
  if (!arguments.json.empty()) {
    std::ofstream file(arguments.json);
    file << all.dump(1) << '\n';
    if (!file.flush()) {
      fmt::print(stderr, "tcmu-storm: {} can't be written\n", arguments.json);
      all_good = false;
    }
  }
  std::fflush(stdout);
  // Not by return: with a device that hangs, the rings' destructors would wait for it.
  ::_exit(all_good ? 0 : 1);
}

int parse_and_run(int argc, char** argv) {
  Arguments arguments;
  LoadOptions& load = arguments.load;
  load.seed = std::random_device{}();
  CLI::App app(
      "Overlapping reads and writes on block devices, each read judged by what was acknowledged. Overwrites "
      "them.",
      "tcmu-storm");
  app.add_option("DEVICE", arguments.devices, "block devices, or files of enough size")->required();
  app.add_option("--seconds", arguments.seconds,
                 "how long, once every block is written (default: until SIGTERM)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--kib", load.kib, "how much of each is used")->capture_default_str();
  app.add_option("--offset-kib", load.offset_kib, "where that begins")->capture_default_str();
  app.add_option("--depth", load.depth, "operations in flight on each")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--longest-kib", load.longest_kib, "the longest operation")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--read-percent", load.read_percent, "reads among them")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  app.add_option("--rate", load.rate, "operations a second on each; 0: no limit")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--seed", load.seed, "of the choice of operations");
  app.add_option("--hang-seconds", arguments.hang, "so long without an answer is a failure")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--json", arguments.json, "also write the report there");
  app.add_flag("--allow-errors", arguments.allow_errors, "count operations that fail, and go on");
  app.add_flag("--compare-and-write", arguments.compare_and_write,
               "also a counter behind what is used of each SCSI disk, moved on by that command");
  app.add_flag("--buffered", arguments.buffered,
               "through the page cache: for files where O_DIRECT does not work");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return run(arguments);
}

}  // namespace
}  // namespace bulkhead::storm

int main(int argc, char** argv) {
  return bulkhead::storm::parse_and_run(argc, argv);
}
