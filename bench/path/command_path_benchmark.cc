// command_path_benchmark: what a command costs between the kernel's ring and the file and back, without a
// kernel, without a fabric. In interleaved rounds: the floor, a hand-over through two threads, Bulkhead.
//
// Exit status: 0 measured; 1 something went wrong; 2 unusable arguments (CLI11's own are above 100).
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bench/path/daemon.h"
#include "bench/path/floor.h"
#include "bench/path/json_file.h"
#include "bench/path/report.h"
#include "bench/path/sample.h"

namespace bulkhead::bench {
namespace {

constexpr std::chrono::milliseconds kWarmUp{100};

Result<ProcessCost> cost_of_all(std::span<const pid_t> processes) {
  ProcessCost sum;
  for (const pid_t pid : processes) {
    auto cost = cost_of(pid);
    if (!cost) return cost;
    sum += *cost;
  }
  return sum;
}

struct Costs {
  ProcessCost kernel, daemon, host, idle_hosts;
};

Result<Costs> costs(const Daemon& daemon) {
  const std::span<const pid_t> hosts(daemon.hosts());
  const pid_t self = ::getpid();
  const pid_t served = daemon.pid();
  auto kernel = cost_of_all(std::span(&self, 1));
  auto own = cost_of_all(std::span(&served, 1));
  auto host = cost_of_all(hosts.first(std::min<std::size_t>(hosts.size(), 1)));
  auto idle = cost_of_all(hosts.subspan(std::min<std::size_t>(hosts.size(), 1)));
  for (const auto* one : {&kernel, &own, &host, &idle})
    if (!*one) return std::unexpected(one->error());
  return Costs{*kernel, *own, *host, *idle};
}

Result<Sample> run_daemon(const Job& job, Daemon& daemon) {
  if (auto warm = daemon.kernel().run(kWarmUp); !warm) return std::unexpected(std::move(warm.error()));
  const auto before = costs(daemon);
  if (!before) return std::unexpected(before.error());
  const auto begin = std::chrono::steady_clock::now();
  auto latencies = daemon.kernel().run(job.round);
  const auto end = std::chrono::steady_clock::now();
  if (!latencies) return std::unexpected(std::move(latencies.error()));
  const auto after = costs(daemon);
  if (!after) return std::unexpected(after.error());
  Sample sample{.seconds = std::chrono::duration<double>(end - begin).count(),
                .kernel = after->kernel.since(before->kernel),
                .daemon = after->daemon.since(before->daemon),
                .host = after->host.since(before->host),
                .idle_hosts = after->idle_hosts.since(before->idle_hosts)};
  put_latencies(*latencies, sample);
  return sample;
}

Result<std::vector<Contender>> measure(const Job& job) {
  if (auto made = make_file(job); !made) return std::unexpected(std::move(made.error()));
  std::vector<Contender> contenders{{"floor", {}}, {"two threads", {}}, {"Bulkhead", {}}};
  std::array<std::unique_ptr<Daemon>, 2> daemons;
  for (std::size_t i = 0; i < daemons.size(); ++i) {
    auto daemon = Daemon::start(job, i == 0 ? serve_by_two_threads : serve_by_bulkhead);
    if (!daemon) return std::unexpected(std::move(daemon.error()));
    daemons[i] = std::move(*daemon);
  }
  for (unsigned round = 0; round < job.rounds; ++round) {
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      auto sample = i == 0 ? run_floor(job) : run_daemon(job, *daemons[i - 1]);
      if (!sample)
        return fail(sample.error().cause, sample.error().sys_errno,
                    fmt::format("{}: {}", contenders[i].name, sample.error().what));
      contenders[i].rounds.push_back(*sample);
    }
  }
  return contenders;
}

// Where Bazel puts what this program starts, seen from the program.
std::string built(const char* path) {
  const auto self = std::filesystem::read_symlink("/proc/self/exe");
  return (self.parent_path().parent_path().parent_path() / path).string();
}

// Each LUN has some twenty descriptors in the daemon.
void allow_many_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int run(int argc, char** argv) {
  Job job;
  job.file = fmt::format("/dev/shm/bulkhead-command-path-{}", ::getpid());
  job.host_program = built("handler-host/tcmu-handler-host");
  job.handler_folder = built("handler-host/handlers");
  double seconds = 1;
  unsigned busy_poll_usec = 0;
  std::string json;
  CLI::App app(
      "What a command costs from the ring to the file and back, beside the floor and a hand-over through two "
      "threads");
  app.add_option("--block-size", job.block_bytes, "bytes of a command")->check(CLI::Range(512, 8 << 20));
  app.add_option("--depth", job.depth, "commands under way at once")->check(CLI::Range(1, 128));
  app.add_option("--write", job.write_percent, "percent of the commands that write")
      ->check(CLI::Range(0, 100));
  app.add_option("--seconds", seconds, "of one round of one contender")->check(CLI::Range(0.01, 3600.0));
  app.add_option("--rounds", job.rounds, "of each contender, interleaved")->check(CLI::Range(1, 1000));
  app.add_option("--idle-luns", job.idle_luns, "LUNs without load beside the one with it")
      ->check(CLI::Range(0, 1000));
  app.add_option("--busy-poll-usec", busy_poll_usec, "of Bulkhead: as in tcmu.conf")
      ->check(CLI::Range(0, 10'000));
  app.add_flag("--grants", job.grants, "of Bulkhead: commands are done without the host, as io_grants = on");
  app.add_option("--workers", job.workers, "threads of the hand-over that execute")->check(CLI::Range(1, 64));
  app.add_option("--file", job.file, "is made, and removed at the end; on a tmpfs");
  app.add_option("--options", job.options, "of Bulkhead's handler file, as behind the ? of a config string");
  app.add_option(
      "--host-uid", job.host_uid,
      "run hosts closed in as this user, as in service; needs root, and programs that it can read");
  app.add_option("--host-program", job.host_program, "tcmu-handler-host");
  app.add_option("--handlers", job.handler_folder,
                 "folder with file/handler_file.so and null/handler_null.so");
  app.add_option("--json", json, "write the results there too");
  CLI11_PARSE(app, argc, argv);
  if (job.block_bytes % 512 != 0) {
    fmt::print(stderr, "--block-size: must be a multiple of 512\n");
    return 2;
  }
  job.round = std::chrono::milliseconds(static_cast<long>(seconds * 1000));
  job.busy_poll = std::chrono::microseconds(busy_poll_usec);
  allow_many_files();
  const auto contenders = measure(job);
  std::filesystem::remove(job.file);
  if (!contenders) {
    fmt::print(stderr, "{}\n", contenders.error().what);
    return 1;
  }
  const auto report = to_json(job, *contenders);
  fmt::print("{}", table_of(report));
  return write_json(report, json);
}

}  // namespace
}  // namespace bulkhead::bench

int main(int argc, char** argv) {
  return bulkhead::bench::run(argc, argv);
}
