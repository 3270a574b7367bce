#include "bench/path/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <vector>

namespace bulkhead::bench {
namespace {

using nlohmann::json;

double per_command(std::uint64_t amount, const Sample& sample) {
  return static_cast<double>(amount) / static_cast<double>(sample.commands);
}

// Daemon and host: what a LUN costs besides the kernel.
double service_cpu(const Sample& sample) {
  return per_command(sample.daemon.cpu_ns + sample.host.cpu_ns + sample.idle_hosts.cpu_ns, sample);
}

struct Measure {
  const char* name;
  std::function<double(const Sample& floor, const Sample& own)> of;
};

const std::vector<Measure>& measures() {
  static const std::vector<Measure> all{
      {"commands_per_second",
       [](const Sample&, const Sample& s) { return static_cast<double>(s.commands) / s.seconds; }},
      {"p50_us", [](const Sample&, const Sample& s) { return s.p50_ns / 1000; }},
      {"p99_us", [](const Sample&, const Sample& s) { return s.p99_ns / 1000; }},
      {"kernel_cpu_ns", [](const Sample&, const Sample& s) { return per_command(s.kernel.cpu_ns, s); }},
      {"daemon_cpu_ns", [](const Sample&, const Sample& s) { return per_command(s.daemon.cpu_ns, s); }},
      {"host_cpu_ns", [](const Sample&, const Sample& s) { return per_command(s.host.cpu_ns, s); }},
      {"idle_hosts_cpu_ns",
       [](const Sample&, const Sample& s) { return per_command(s.idle_hosts.cpu_ns, s); }},
      {"cpu_above_floor_ns",
       [](const Sample& floor, const Sample& s) {
         return service_cpu(s) == 0 ? 0 : service_cpu(s) - per_command(floor.kernel.cpu_ns, floor);
       }},
      {"kernel_sleeps", [](const Sample&, const Sample& s) { return per_command(s.kernel.sleeps, s); }},
      {"daemon_sleeps", [](const Sample&, const Sample& s) { return per_command(s.daemon.sleeps, s); }},
      {"host_sleeps", [](const Sample&, const Sample& s) { return per_command(s.host.sleeps, s); }},
      {"daemon_preemptions",
       [](const Sample&, const Sample& s) { return per_command(s.daemon.preemptions, s); }},
      {"host_preemptions", [](const Sample&, const Sample& s) { return per_command(s.host.preemptions, s); }},
  };
  return all;
}

json summary(std::vector<double> values) {
  std::ranges::sort(values);
  return {{"median", values[values.size() / 2]}, {"least", values.front()}, {"most", values.back()}};
}

json ratios(const Contender& of, const Contender& to) {
  std::vector<double> rate, p50, p99, cpu;
  for (std::size_t i = 0; i < of.rounds.size(); ++i) {
    const Sample& a = of.rounds[i];
    const Sample& b = to.rounds[i];
    rate.push_back(static_cast<double>(a.commands) / a.seconds /
                   (static_cast<double>(b.commands) / b.seconds));
    p50.push_back(a.p50_ns / b.p50_ns);
    p99.push_back(a.p99_ns / b.p99_ns);
    if (service_cpu(b) > 0) cpu.push_back(service_cpu(a) / service_cpu(b));
  }
  json made{{"of", of.name},
            {"to", to.name},
            {"commands_per_second", summary(rate)},
            {"p50", summary(p50)},
            {"p99", summary(p99)}};
  if (!cpu.empty()) made["cpu"] = summary(cpu);
  return made;
}

std::string cell(const json& values) {
  const double median = values.at("median");
  const double spread = values.at("most").get<double>() - values.at("least").get<double>();
  const int digits = median < 10 ? 2 : median < 100 ? 1 : 0;
  return fmt::format("{:.{}f} ±{:.{}f}", median, digits, spread / 2, digits);
}

}  // namespace

json to_json(const Job& job, std::span<const Contender> contenders) {
  json report{{"block_bytes", job.block_bytes},
              {"depth", job.depth},
              {"write_percent", job.write_percent},
              {"rounds", job.rounds},
              {"round_seconds", static_cast<double>(job.round.count()) / 1000},
              {"idle_luns", job.idle_luns},
              {"busy_poll_usec", job.busy_poll.count()},
              {"grants", job.grants},
              {"workers", job.workers},
              {"options", job.options},
              {"host_uid", job.host_uid}};
  const Contender& floor = contenders.front();
  for (const Contender& contender : contenders) {
    json of{{"name", contender.name}};
    for (const Measure& measure : measures()) {
      std::vector<double> values;
      values.reserve(contender.rounds.size());
      for (std::size_t i = 0; i < contender.rounds.size(); ++i)
        values.push_back(measure.of(floor.rounds[i], contender.rounds[i]));
      of[measure.name] = summary(std::move(values));
    }
    report["contenders"].push_back(std::move(of));
  }
  for (std::size_t i = 0; i + 1 < contenders.size(); ++i)
    report["ratios"].push_back(ratios(contenders.back(), contenders[i]));
  return report;
}

std::string table_of(const json& report) {
  std::string text = fmt::format(
      "{} bytes, depth {}, {} % writes, {} idle LUNs; {} rounds of {} s, per command; median ± half the "
      "spread\n",
      report.at("block_bytes").get<unsigned>(), report.at("depth").get<unsigned>(),
      report.at("write_percent").get<unsigned>(), report.at("idle_luns").get<unsigned>(),
      report.at("rounds").get<unsigned>(), report.at("round_seconds").get<double>());
  text += fmt::format("{:<22}", "");
  for (const json& contender : report.at("contenders"))
    text += fmt::format("{:>20}", contender.at("name").get<std::string>());
  for (const Measure& measure : measures()) {
    text += fmt::format("\n{:<22}", measure.name);
    for (const json& contender : report.at("contenders"))
      text += fmt::format("{:>21}", cell(contender.at(measure.name)));  // one more byte: ± has two
  }
  for (const json& ratio : report.at("ratios")) {
    text += fmt::format("\n{} / {}: commands/s {}, p50 {}, p99 {}", ratio.at("of").get<std::string>(),
                        ratio.at("to").get<std::string>(), cell(ratio.at("commands_per_second")),
                        cell(ratio.at("p50")), cell(ratio.at("p99")));
    if (ratio.contains("cpu")) text += fmt::format(", cpu {}", cell(ratio.at("cpu")));
  }
  return text + "\n";
}

}  // namespace bulkhead::bench
