// tcmu-supervisor: arguments, preconditions, wiring, loop.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/log.h"
#include "supervisor/config/command_line.h"
#include "supervisor/config/settings.h"
#include "supervisor/process/lock_file.h"
#include "supervisor/process/process_setup.h"
#include "supervisor/pump/guarded_copy.h"
#include "supervisor/supervisor.h"
#include "supervisor/version.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::supervisor;

constexpr std::chrono::milliseconds kLogFlush{1000};
const auto kBegun = std::chrono::steady_clock::now();

Result<Parts> make_parts(const Settings& settings, std::vector<KeptFd> kept) {
  auto handlers = load_manifests(settings.handler_folder.value_or(library_folder() + "/handlers"));
  if (!handlers) return std::unexpected(std::move(handlers.error()));
  for (const Handler& handler : handlers->all())
    if (!handler.problem.empty())
      log(Level::Error, {.subtype = handler.manifest.subtype(), .message_id = kMsgConfiguration},
          handler.problem);
  auto cgroups = Cgroups::prepare();
  if (!cgroups) return std::unexpected(std::move(cgroups.error()));
  auto port = open_tcm_user_port();
  if (!port) return std::unexpected(std::move(port.error()));
  std::vector<std::unique_ptr<Pump>> pumps;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) {
    auto pump = Pump::start(i);
    if (!pump) return std::unexpected(std::move(pump.error()));
    pumps.push_back(std::move(*pump));
  }
  return Parts{std::move(*handlers),        std::move(pumps),
               std::move(*cgroups),         std::move(*port),
               FdStore::from_environment(), group_by_lun(std::move(kept))};
}

// The unit has us started again at once, for the sake of commands that wait. What fails again and again, as
// another daemon holds the lock or the kernel lacks something, shall not do so ten times a second.
void hold_back_restart() {
  constexpr std::chrono::seconds kLeastLife{1};
  if (std::getenv("NOTIFY_SOCKET") != nullptr) std::this_thread::sleep_until(kBegun + kLeastLife);
}

int fail_to_start(const Error& error) {
  log(Level::Critical, {.sys_errno = error.sys_errno}, error.what);
  flush_log(kLogFlush);
  hold_back_restart();
  return 1;
}

}  // namespace

int main(int count, char** arguments) {
  auto command_line = parse_command_line(count, arguments, kVersion);
  if (!command_line) {
    fmt::print("{}", command_line.error().standard_output);
    fmt::print(stderr, "{}", command_line.error().standard_error);
    return command_line.error().code;
  }
  // Before anything else opens a descriptor or starts a thread.
  auto kept = FdStore::take_kept();
  const char* log_dir = std::getenv("TCMU_LOGDIR");
  SettingsLoader loader(kConfigFile, *command_line,
                        log_dir != nullptr ? std::optional<std::string>(log_dir) : std::nullopt);
  LoadedSettings loaded = loader.load();
  start_logging({.level = loaded.settings.log_level, .directory = loaded.settings.log_directory});
  for (const std::string& warning : loaded.warnings)
    log(Level::Warning, {.message_id = kMsgConfiguration}, warning);
  if (::geteuid() != 0)
    return fail_to_start(
        {Cause::Denied, EPERM, "must run as root: start it with systemctl start tcmu-supervisor"});

  auto lock = take_lock_file(kLockFile);
  if (!lock) return fail_to_start(lock.error());
  if (auto raised = raise_open_files(loaded.settings.open_files); !raised)
    return fail_to_start(raised.error());
  ::signal(SIGPIPE, SIG_IGN);
  become_io_server();
  install_bus_error_guard();
  if (!kept) log(Level::Error, {}, fmt::format("what systemd kept for us is lost: {}", kept.error().what));
  auto parts = make_parts(loaded.settings, kept ? std::move(*kept) : std::vector<KeptFd>());
  if (!parts) return fail_to_start(parts.error());
  Supervisor supervisor(std::move(loader), std::move(loaded.settings), std::move(*parts));
  const int code = supervisor.run();
  flush_log(kLogFlush);
  if (code != 0) hold_back_restart();
  // Threads that hang in a back end's or configfs' system call must not hold up the end.
  ::_exit(code);
}
