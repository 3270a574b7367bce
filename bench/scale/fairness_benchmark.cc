// fairness_benchmark: what a LUN with one command at a time suffers from a deep queue on another one that
// shares its pump. Rounds alone and beside it take turns.
//
// Exit status: 0 measured; 1 something went wrong; CLI11's own are above 100.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "bench/path/json_file.h"
#include "bench/scale/served_luns.h"

namespace bulkhead::bench {
namespace {

using nlohmann::json;
using Clock = SimulatedLun::Clock;

struct Round {
  double p50_us = 0, p99_us = 0;
  double deep_per_second = 0;
};

double quantile_us(std::vector<std::uint32_t>& sorted, double quantile) {
  if (sorted.empty()) return 0;
  return sorted[static_cast<std::size_t>(quantile * static_cast<double>(sorted.size() - 1))] / 1000.0;
}

Result<Round> run_round(ServedLuns& luns, std::uint32_t deep, std::chrono::milliseconds time) {
  const auto end = Clock::now() + time;
  Result<std::vector<std::uint32_t>> others;
  std::thread beside;
  if (deep != 0) beside = std::thread([&] { others = luns.lun(1).read(deep, end); });
  auto own = luns.lun(0).read(1, end);
  if (beside.joinable()) beside.join();
  if (!own) return std::unexpected(std::move(own.error()));
  if (!others) return std::unexpected(std::move(others.error()));
  std::ranges::sort(*own);
  return Round{quantile_us(*own, 0.5), quantile_us(*own, 0.99),
               static_cast<double>(others->size()) / std::chrono::duration<double>(time).count()};
}

double median(const std::vector<Round>& rounds, double Round::* of) {
  std::vector<double> values;
  values.reserve(rounds.size());
  for (const Round& round : rounds) values.push_back(round.*of);
  std::ranges::sort(values);
  return values[values.size() / 2];
}

std::string built(const char* path) {
  const auto self = std::filesystem::read_symlink("/proc/self/exe");
  return (self.parent_path().parent_path().parent_path() / path).string();
}

int run(int argc, char** argv) {
  LunsWanted wanted{.count = 2,
                    .pumps = 1,
                    .depth = 128,
                    .bytes = 64 << 20,
                    .folder = "/dev/shm",
                    .host_program = built("handler-host/tcmu-handler-host"),
                    .library = built("handler-host/handlers/file/handler_file.so")};
  unsigned rounds = 7;
  double seconds = 1;
  std::string path;
  CLI::App app("What a LUN with one command at a time suffers from a deep queue beside it");
  app.add_option("--depth", wanted.depth, "commands under way of the other LUN")->check(CLI::Range(1, 128));
  app.add_option("--pumps", wanted.pumps, "1: both share it");
  app.add_flag("--grants", wanted.grants, "commands are done without the hosts, as io_grants = on");
  app.add_option("--rounds", rounds, "alone and beside, in turns")->check(CLI::Range(1, 1000));
  app.add_option("--seconds", seconds, "of one round")->check(CLI::Range(0.01, 3600.0));
  app.add_option("--folder", wanted.folder, "for their files, which are removed at the end");
  app.add_option("--json", path, "write the results there too");
  CLI11_PARSE(app, argc, argv);
  set_log_level(Level::Warning);
  auto luns = ServedLuns::start(wanted);
  if (!luns) {
    fmt::print(stderr, "{}\n", luns.error().what);
    return 1;
  }
  std::vector<Round> alone, beside;
  for (unsigned i = 0; i < rounds * 2; ++i) {
    auto round = run_round(**luns, i % 2 == 0 ? 0 : wanted.depth,
                           std::chrono::milliseconds(static_cast<long>(seconds * 1000)));
    if (!round) {
      fmt::print(stderr, "{}\n", round.error().what);
      return 1;
    }
    (i % 2 == 0 ? alone : beside).push_back(*round);
  }
  const json report{{"pumps", wanted.pumps},
                    {"grants", wanted.grants},
                    {"depth", wanted.depth},
                    {"alone_p50_us", median(alone, &Round::p50_us)},
                    {"alone_p99_us", median(alone, &Round::p99_us)},
                    {"beside_p50_us", median(beside, &Round::p50_us)},
                    {"beside_p99_us", median(beside, &Round::p99_us)},
                    {"deep_commands_per_second", median(beside, &Round::deep_per_second)}};
  fmt::print("{}\n", report.dump(2));
  return write_json(report, path);
}

}  // namespace
}  // namespace bulkhead::bench

int main(int argc, char** argv) {
  return bulkhead::bench::run(argc, argv);
}
