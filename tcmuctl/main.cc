// tcmuctl: looks at the supervisor's devices and steers them, over D-Bus. The manual is docs/man/tcmuctl.1.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/printable.h"
#include "tcmuctl/audit.h"
#include "tcmuctl/decode.h"
#include "tcmuctl/denied_call.h"
#include "tcmuctl/doctor/bus_checks.h"
#include "tcmuctl/doctor/system_checks.h"
#include "tcmuctl/service.h"
#include "tcmuctl/views.h"
#include "tcmuctl/watch.h"

namespace bulkhead::tcmuctl {
namespace {

struct Arguments {
  bool json = false;
  bool names = false;
  std::string device;
  std::string config;
  std::vector<std::string> hex;
  std::vector<std::string> record;
  double interval = 1;
  unsigned rounds = 0;
  std::optional<std::uint64_t> iops, bytes_per_second;
  bool reset = false;
  std::string bus_address;  // both for tests and for odd systems
  std::string root = "/";
};

bool is_terminal() {
  return ::isatty(STDOUT_FILENO) == 1;
}

// https://no-color.org: set and not empty.
Colors colors() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  bool refused = no_color != nullptr && *no_color != '\0';
  bool dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
  return is_terminal() && !refused && !dumb ? Colors::On : Colors::Off;
}

Screen screen() {
  winsize size{};
  bool known = is_terminal() && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
  return {.width = known ? size.ws_col : std::size_t{0}, .colors = colors()};
}

std::uint64_t now_usec() {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

Outcome<Inventory> inventory(const Arguments& arguments) {
  Outcome<Bus> bus = Bus::open(arguments.bus_address);
  if (!bus) return std::unexpected(bus.error());
  return read_inventory(*bus);
}

Outcome<> list(const Arguments& arguments) {
  Outcome<Inventory> all = inventory(arguments);
  if (!all) return std::unexpected(all.error());
  if (arguments.names) {
    for (const Device& device : all->devices) fmt::print("{}\n", printable(device.key));
  } else if (arguments.json) {
    nlohmann::json devices = nlohmann::json::array();
    for (const Device& device : all->devices) devices.push_back(device_json(device));
    fmt::print("{}", json_text(devices));
  } else {
    fmt::print("{}", list_view(all->devices, screen()));
  }
  return {};
}

Outcome<> handlers(const Arguments& arguments) {
  Outcome<Inventory> all = inventory(arguments);
  if (!all) return std::unexpected(all.error());
  if (arguments.json) {
    nlohmann::json list = nlohmann::json::array();
    for (const Handler& handler : all->handlers) list.push_back(handler.properties);
    fmt::print("{}", json_text(list));
  } else {
    fmt::print("{}", handlers_view(all->handlers, screen()));
  }
  return {};
}

Outcome<> show(const Arguments& arguments) {
  Outcome<Inventory> all = inventory(arguments);
  if (!all) return std::unexpected(all.error());
  Outcome<Device> device = find_device(*all, arguments.device);
  if (!device) return std::unexpected(device.error());
  fmt::print("{}",
             arguments.json ? json_text(device_json(*device)) : show_view(*device, now_usec(), screen()));
  return {};
}

Outcome<> audit(const Arguments& arguments) {
  Outcome<Inventory> all = inventory(arguments);
  if (!all) return std::unexpected(all.error());
  fmt::print("{}", arguments.json ? json_text(audit_json(all->devices)) : audit_view(all->devices, screen()));
  if (std::ranges::any_of(all->devices, lacks_walls)) return std::unexpected(Failure{ExitCode::Failed, ""});
  return {};
}

Outcome<> watch_devices(const Arguments& arguments) {
  WatchOptions options{.interval = std::chrono::milliseconds(static_cast<long>(arguments.interval * 1000)),
                       .rounds = arguments.rounds,
                       .terminal = is_terminal()};
  return watch(options, [&] { return inventory(arguments); }, screen, stdout);
}

// `of` the device: what the method is called with.
Outcome<> operate_on(const Arguments& arguments, const std::string& method,
                     const std::function<Bus::Arguments(const Device&)>& of = {}) {
  Outcome<Bus> bus = Bus::open(arguments.bus_address);
  if (!bus) return std::unexpected(bus.error());
  Outcome<Inventory> all = read_inventory(*bus);
  if (!all) return std::unexpected(all.error());
  Outcome<Device> device = find_device(*all, arguments.device);
  if (!device) return std::unexpected(device.error());
  return operate(*bus, *device, method, of ? of(*device) : Bus::Arguments{});
}

// What is not said stays as it is.
Outcome<> limit(const Arguments& arguments) {
  if (arguments.reset) return operate_on(arguments, "ResetLimits");
  if (!arguments.iops && !arguments.bytes_per_second)
    return std::unexpected(
        Failure{ExitCode::Usage, "limit wants --iops N, --bytes-per-second N, or --reset; 0 is no limit"});
  return operate_on(arguments, "SetLimits", [&arguments](const Device& device) -> Bus::Arguments {
    return {arguments.iops.value_or(device.limit_iops),
            arguments.bytes_per_second.value_or(device.limit_bytes_per_second)};
  });
}

Outcome<> check(const Arguments& arguments) {
  Outcome<Bus> bus = Bus::open(arguments.bus_address);
  if (!bus) return std::unexpected(bus.error());
  Outcome<std::string> message = check_config(*bus, arguments.config);
  if (!message) return std::unexpected(message.error());
  fmt::print("{}\n", printable(*message));
  return {};
}

Outcome<> say(const Outcome<std::string>& line) {
  if (!line) return std::unexpected(line.error());
  fmt::print("{}\n", printable(*line));
  return {};
}

// Of a record on the command line; else of those among the lines of standard input.
Outcome<> denied_calls(const Arguments& arguments) {
  if (!arguments.record.empty()) return say(decode_seccomp(arguments.record));
  for (std::string line; std::getline(std::cin, line);)
    if (const auto said = describe_denied_call(line)) fmt::print("{}\n", printable(*said));
  return {};
}

Outcome<> doctor(const Arguments& arguments) {
  BusFacts facts = ask_bus(arguments.bus_address);
  Root root = arguments.root;
  // Whoever owns the name and answers as no supervisor does is another daemon.
  const bool ours = facts.inventory || facts.owner_mute;
  const std::optional<std::uint32_t> supervisor = ours ? facts.owner_pid : std::nullopt;
  Findings findings;
  for (Findings some : {check_kernel(root), check_programs(root), check_handlers(root),
                        check_policy_file(root), check_activation_file(root), check_unit(root),
                        check_lock(root, supervisor), check_bus(facts), check_inventory(facts)})
    findings.insert(findings.end(), some.begin(), some.end());
  fmt::print("{}", findings_view(findings, colors()));
  if (has_problem(findings)) return std::unexpected(Failure{ExitCode::Problems, ""});
  return {};
}

void add_commands(CLI::App& app, Arguments& arguments, std::function<Outcome<>()>& chosen) {
  auto command = [&](const char* name, const char* about, std::function<Outcome<>()> action) {
    CLI::App* sub = app.add_subcommand(name, about);
    sub->callback([&chosen, action = std::move(action)] { chosen = action; });
    return sub;
  };
  auto with_device = [&](CLI::App* sub) {
    sub->add_option("DEVICE", arguments.device, "NAME or user_N/NAME")->required();
  };
  CLI::App* list_command = command("list", "the devices and their state", [&] { return list(arguments); });
  list_command->add_flag("--json", arguments.json, "every property, as JSON");
  list_command->add_flag("--names", arguments.names, "only user_N/NAME, one a line");
  command("handlers", "the handlers and whether they can be used", [&] {
    return handlers(arguments);
  })->add_flag("--json", arguments.json, "every property, as JSON");
  CLI::App* show_command = command("show", "all about one device", [&] { return show(arguments); });
  with_device(show_command);
  show_command->add_flag("--json", arguments.json, "every property, as JSON");
  command("audit", "which walls stand around the hosts; status 1 if one should and does not", [&] {
    return audit(arguments);
  })->add_flag("--json", arguments.json, "every wall and its state, as JSON");
  CLI::App* watch_command =
      command("watch", "what the devices are doing, live", [&] { return watch_devices(arguments); });
  watch_command->alias("top");
  watch_command->add_option("-i,--interval", arguments.interval, "seconds between two looks")
      ->check(CLI::Range(0.1, 3600.0));
  watch_command->add_option("-n,--count", arguments.rounds, "end after so many");
  with_device(command("restart", "give a device a fresh handler-host (root)",
                      [&] { return operate_on(arguments, "Restart"); }));
  with_device(
      command("hold", "let a device's commands wait (root)", [&] { return operate_on(arguments, "Hold"); }));
  with_device(command("resume", "let them go on (root)", [&] { return operate_on(arguments, "Resume"); }));
  CLI::App* limit_command = command("limit", "so many commands and bytes per second for a device (root)",
                                    [&] { return limit(arguments); });
  with_device(limit_command);
  CLI::Option* reset =
      limit_command->add_flag("--reset", arguments.reset, "what tcmu.conf says counts again");
  const CLI::Range most(std::uint64_t{0}, std::uint64_t{1'000'000'000'000});  // what SetLimits takes
  limit_command->add_option("--iops", arguments.iops, "commands per second; 0: no limit")
      ->check(most)
      ->excludes(reset);
  limit_command->add_option("--bytes-per-second", arguments.bytes_per_second, "with K, M or G; 0: no limit")
      ->transform(CLI::AsSizeValue(false))
      ->check(most)
      ->excludes(reset);
  command("check-config", "would a handler take this config string?", [&] { return check(arguments); })
      ->add_option("CONFIG", arguments.config, "SUBTYPE/CONFIG")
      ->required();
  CLI::App* decode_command =
      app.add_subcommand("decode", "a CDB, sense data or a denied system call in words");
  decode_command->require_subcommand(1);
  auto with_hex = [&](const char* name, const char* about, auto decode) {
    CLI::App* sub = decode_command->add_subcommand(name, about);
    sub->add_option("HEX", arguments.hex, "bytes, two hexadecimal digits each")->required();
    sub->callback(
        [&chosen, &arguments, decode] { chosen = [&, decode] { return say(decode(arguments.hex)); }; });
  };
  with_hex("cdb", "the command that a CDB is", decode_cdb);
  with_hex("sense", "what sense data say", decode_sense);
  CLI::App* seccomp_command = decode_command->add_subcommand(
      "seccomp", "the system call in the kernel's audit record of a denied one");
  seccomp_command->add_option("RECORD", arguments.record,
                              "a line with type=1326; without it those on standard input");
  seccomp_command->callback([&] { chosen = [&] { return denied_calls(arguments); }; });
  command("doctor", "what keeps devices from being served, and the remedy", [&] { return doctor(arguments); })
      ->add_option("--root", arguments.root, "look at the files below this directory")
      ->group("");
}

int run(int argc, char** argv) {
  Arguments arguments;
  std::function<Outcome<>()> chosen;
  CLI::App app("Looks at the TCMU devices of this machine and steers them.", "tcmuctl");
  app.require_subcommand(1);
  app.add_option("--bus", arguments.bus_address, "address of the message bus")->group("");
  app.footer("Exit status: see tcmuctl(1).");
  add_commands(app, arguments, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::Usage);
  }
  Outcome<> outcome = chosen();
  if (outcome) return 0;
  if (!outcome.error().text.empty()) fmt::print(stderr, "tcmuctl: {}\n", printable(outcome.error().text));
  return static_cast<int>(outcome.error().code);
}

}  // namespace
}  // namespace bulkhead::tcmuctl

int main(int argc, char** argv) {
  return bulkhead::tcmuctl::run(argc, argv);
}
