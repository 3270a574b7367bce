// scale_benchmark: what many LUNs take, idle and each with one command under way, and how long they take to
// start.
//
// Exit status: 0 measured; 1 something went wrong; CLI11's own are above 100.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/log.h"
#include "bench/path/json_file.h"
#include "bench/path/process_cost.h"
#include "bench/scale/footprint.h"
#include "bench/scale/served_luns.h"

namespace bulkhead::bench {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kSettle{8'000};  // io_uring's workers end after 5 s

std::uint64_t median(std::vector<std::uint64_t> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

struct HostCosts {
  std::vector<ProcessCost> each;
  ProcessCost sum;
};
Result<HostCosts> cost_of_hosts(const std::vector<pid_t>& hosts) {
  HostCosts costs;
  for (const pid_t pid : hosts) {
    auto cost = cost_of(pid);
    if (!cost) return std::unexpected(std::move(cost.error()));
    costs.each.push_back(*cost);
    costs.sum += *cost;
  }
  return costs;
}

Result<json> memory(const std::vector<pid_t>& hosts) {
  std::vector<std::uint64_t> pss, owned, threads, descriptors;
  for (const pid_t pid : hosts) {
    auto found = footprint_of(pid);
    if (!found) return std::unexpected(std::move(found.error()));
    pss.push_back(found->pss_kib);
    owned.push_back(found->private_kib);
    threads.push_back(found->threads);
    descriptors.push_back(found->descriptors);
  }
  auto own = footprint_of(::getpid());
  if (!own) return std::unexpected(std::move(own.error()));
  return json{{"host_pss_kib", median(pss)},        {"host_private_kib", median(owned)},
              {"host_threads", median(threads)},    {"host_descriptors", median(descriptors)},
              {"supervisor_threads", own->threads}, {"supervisor_descriptors", own->descriptors}};
}

Result<json> idle(ServedLuns& luns, std::chrono::milliseconds time) {
  luns.wait(kSettle);
  const auto hosts = luns.hosts();
  const auto before = cost_of_hosts(hosts);
  if (!before) return std::unexpected(before.error());
  const auto own_before = cost_of(::getpid());
  luns.wait(time);
  const auto own_after = cost_of(::getpid());
  const auto after = cost_of_hosts(hosts);
  if (!after || !own_before || !own_after) return fail(Cause::NotFound, ESRCH, "a process has ended");
  std::uint64_t woken = 0;
  for (std::size_t i = 0; i < hosts.size(); ++i)
    if (after->each[i].sleeps != before->each[i].sleeps) ++woken;
  const ProcessCost cost = after->sum.since(before->sum), own = own_after->since(*own_before);
  return json{{"idle_seconds", std::chrono::duration<double>(time).count()},
              {"idle_host_wakes", cost.sleeps},
              {"idle_hosts_woken", woken},
              {"idle_host_cpu_us", cost.cpu_ns / 1000},
              {"idle_supervisor_wakes", own.sleeps},
              {"idle_supervisor_cpu_us", own.cpu_ns / 1000}};
}

// Every LUN has one command under way, or none for as long as the slowest takes.
Result<json> busy(ServedLuns& luns, std::chrono::milliseconds time) {
  const auto before = cost_of_hosts(luns.hosts());
  const auto own_before = cost_of(::getpid());
  const auto begin = Clock::now();
  std::uint64_t commands = 0;
  while (Clock::now() < begin + time) {
    for (std::size_t i = 0; i < luns.count(); ++i)
      if (auto begun = luns.lun(i).begin_one(); !begun) return std::unexpected(std::move(begun.error()));
    for (std::size_t i = 0; i < luns.count(); ++i)
      if (auto done = luns.lun(i).wait_for_one(); !done) return std::unexpected(std::move(done.error()));
    commands += luns.count();
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const auto own_after = cost_of(::getpid());
  const auto after = cost_of_hosts(luns.hosts());
  if (!before || !after || !own_before || !own_after)
    return fail(Cause::NotFound, ESRCH, "a process has ended");
  const auto per_command = [&](std::uint64_t amount) {
    return static_cast<double>(amount) / static_cast<double>(commands);
  };
  return json{{"busy_commands_per_second", static_cast<double>(commands) / seconds},
              {"busy_host_cpu_us", per_command(after->sum.since(before->sum).cpu_ns) / 1000},
              {"busy_rest_cpu_us", per_command(own_after->since(*own_before).cpu_ns) / 1000}};
}

// Each LUN has some twenty descriptors here.
void allow_many_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string built(const char* path) {
  const auto self = std::filesystem::read_symlink("/proc/self/exe");
  return (self.parent_path().parent_path().parent_path() / path).string();
}

int run(int argc, char** argv) {
  LunsWanted wanted{.folder = "/var/tmp",
                    .host_program = built("handler-host/tcmu-handler-host"),
                    .library = built("handler-host/handlers/file/handler_file.so")};
  double idle_seconds = 10, busy_seconds = 3;
  std::string path;
  CLI::App app("What many LUNs take, idle and busy, and how long they take to start");
  app.add_option("--luns", wanted.count, "how many")->check(CLI::Range(1, 10'000));
  app.add_option("--at-once", wanted.at_once, "hosts being started at the same time")
      ->check(CLI::Range(1, 10'000));
  app.add_option("--folder", wanted.folder, "for their files, which are removed at the end");
  app.add_option("--idle-seconds", idle_seconds, "how long to look on while nothing happens");
  app.add_option("--busy-seconds", busy_seconds, "how long each LUN has one command under way");
  app.add_option("--host-uid", wanted.host_uid,
                 "run hosts closed in as this user and those after it, as in service; needs root, and "
                 "programs that they can read");
  app.add_option("--host-program", wanted.host_program, "tcmu-handler-host");
  app.add_option("--library", wanted.library, "handler_file.so");
  app.add_option("--json", path, "write the results there too");
  CLI11_PARSE(app, argc, argv);
  set_log_level(Level::Warning);
  allow_many_files();
  auto luns = ServedLuns::start(wanted);
  if (!luns) {
    fmt::print(stderr, "{}\n", luns.error().what);
    return 1;
  }
  const auto hosts = cost_of_hosts((*luns)->hosts());
  const auto own = cost_of(::getpid());
  if (!hosts || !own) return 1;
  json report{{"luns", wanted.count},
              {"start_host_cpu_ms", static_cast<double>(hosts->sum.cpu_ns) / 1e6 / wanted.count},
              {"start_supervisor_cpu_ms", static_cast<double>(own->cpu_ns) / 1e6 / wanted.count},
              {"start_seconds", (*luns)->start_seconds()},
              {"longest_start_seconds", (*luns)->longest_start_seconds()}};
  const auto milliseconds = [](double seconds) {
    return std::chrono::milliseconds(static_cast<long>(seconds * 1000));
  };
  const auto part = [&report](const Result<json>& measured) {
    if (measured)
      report.update(*measured);
    else
      fmt::print(stderr, "{}\n", measured.error().what);
    return measured.has_value();
  };
  if (!part(memory((*luns)->hosts())) || !part(idle(**luns, milliseconds(idle_seconds))) ||
      !part(busy(**luns, milliseconds(busy_seconds))))
    return 1;
  const auto later = memory((*luns)->hosts());
  if (later) report["host_pss_kib_after_load"] = (*later)["host_pss_kib"];
  fmt::print("{}\n", report.dump(2));
  return write_json(report, path);
}

}  // namespace
}  // namespace bulkhead::bench

int main(int argc, char** argv) {
  return bulkhead::bench::run(argc, argv);
}
