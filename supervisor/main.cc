// tcmu-supervisor: arguments, preconditions, wiring, loop.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <future>
#include <thread>

#include "base/log.h"
#include "base/processors.h"
#include "supervisor/config/command_line.h"
#include "supervisor/config/settings.h"
#include "supervisor/configfs/kernel_interface.h"
#include "supervisor/lockdown/capabilities.h"
#include "supervisor/lockdown/syscall_filter.h"
#include "supervisor/process/lock_file.h"
#include "supervisor/process/process_setup.h"
#include "supervisor/pump/guarded_copy.h"
#include "supervisor/supervisor.h"
#include "supervisor/version.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::supervisor;

constexpr std::chrono::milliseconds kLogFlush{1000};
constexpr std::chrono::seconds kModuleDeadline{30};
const auto kBegun = std::chrono::steady_clock::now();

// While there is the privilege for it. A thread that hangs in the kernel is left behind.
Result<> load_module_in_time() {
  std::packaged_task<Result<>()> load([] { return load_tcmu_module(SysRoot()); });
  auto loaded = load.get_future();
  std::thread(std::move(load)).detach();
  if (loaded.wait_for(kModuleDeadline) == std::future_status::ready) return loaded.get();
  return fail(Cause::TimedOut, ETIMEDOUT,
              fmt::format("load target_core_user: not done within {} s", kModuleDeadline.count()));
}

// What only this process's start needs root's whole power for, before there are threads that would have it;
// then that power goes. What went wrong is for the log, which has a thread.
struct PrivilegedStart {
  Result<> open_files;
  std::vector<Error> warnings;
  Result<> module;
};
PrivilegedStart use_privileges_and_drop_them(const Settings& settings) {
  PrivilegedStart start{.open_files = raise_open_files(settings.open_files),
                        .warnings = become_io_server(),
                        .module = load_module_in_time()};
  if (auto dropped = drop_capabilities(); !dropped) start.warnings.push_back(std::move(dropped.error()));
  return start;
}

// No pump is there yet, and the hosts' needs are known.
void filter_own_calls(const HandlerRegistry& handlers) {
  std::vector<std::string> more;
  for (const Handler& handler : handlers.all())
    more.insert(more.end(), handler.manifest.needs().syscall().begin(),
                handler.manifest.needs().syscall().end());
  if (auto filtered = filter_system_calls(more); !filtered)
    log(Level::Warning, {.sys_errno = filtered.error().sys_errno},
        fmt::format("the supervisor runs without a system call filter of its own: {}",
                    filtered.error().what));
}

Result<Parts> make_parts(const Settings& settings, std::vector<KeptFd> kept) {
  auto handlers = load_manifests(settings.handler_folder.value_or(library_folder() + "/handlers"));
  if (!handlers) return std::unexpected(std::move(handlers.error()));
  for (const Handler& handler : handlers->all())
    if (!handler.problem.empty())
      log(Level::Error, {.subtype = handler.manifest.subtype(), .message_id = kMsgConfiguration},
          handler.problem);
  filter_own_calls(*handlers);
  auto cgroups = Cgroups::prepare();
  if (!cgroups) return std::unexpected(std::move(cgroups.error()));
  auto port = open_tcm_user_port();
  if (!port) return std::unexpected(std::move(port.error()));
  std::vector<std::unique_ptr<Pump>> pumps;
  for (unsigned i = 0; i < usable_processors(); ++i) {
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
  const bool is_root = ::geteuid() == 0;
  PrivilegedStart start;
  if (is_root) start = use_privileges_and_drop_them(loaded.settings);
  start_logging({.level = loaded.settings.log_level, .directory = loaded.settings.log_directory});
  for (const std::string& warning : loaded.warnings)
    log(Level::Warning, {.message_id = kMsgConfiguration}, warning);
  if (loaded.unread)
    log(Level::Warning, {.message_id = kMsgConfiguration},
        "it counts as empty until it changes and can be read");
  if (!is_root)
    return fail_to_start(
        {Cause::Denied, EPERM, "must run as root: start it with systemctl start tcmu-supervisor"});

  auto lock = take_lock_file(kLockFile);
  if (!lock) return fail_to_start(lock.error());
  if (!start.open_files) return fail_to_start(start.open_files.error());
  for (const Error& warning : start.warnings)
    log(Level::Warning, {.sys_errno = warning.sys_errno}, warning.what);
  if (!start.module) log(Level::Warning, {.message_id = kMsgKernelInterface}, start.module.error().what);
  ::signal(SIGPIPE, SIG_IGN);
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
