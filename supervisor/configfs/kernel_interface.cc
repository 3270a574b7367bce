#include "supervisor/configfs/kernel_interface.h"

#include <fmt/format.h>
#include <libkmod.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

namespace bulkhead::supervisor {
namespace {

constexpr const char* kModule = "target_core_user";
constexpr std::string_view kModuleFolder = "/sys/module/target_core_user";

bool exists(const SysRoot& root, std::string_view path) {
  return ::access(root.path(path).c_str(), F_OK) == 0;
}

std::unexpected<Error> missing(std::string_view what, std::string_view remedy) {
  return fail(Cause::NotFound, ENOENT, fmt::format("{}: as root, run: {}", what, remedy));
}

struct KmodDeleter {
  void operator()(kmod_ctx* context) const { ::kmod_unref(context); }
  void operator()(kmod_list* list) const { ::kmod_module_unref_list(list); }
  void operator()(kmod_module* module) const { ::kmod_module_unref(module); }
};

std::string probe_failure(int result) {
  if (result == KMOD_PROBE_APPLY_BLACKLIST)
    return fmt::format("load {}: blacklisted; remove its line from /etc/modprobe.d", kModule);
  const std::string remedy = result == -EPERM ? "; give the service CAP_SYS_MODULE or load it at boot" : "";
  return fmt::format("load {}: {}{}", kModule, errno_text(-result), remedy);
}

}  // namespace

Result<> check_kernel_interface(const SysRoot& root) {
  if (!exists(root, kModuleFolder))
    return missing("no TCM-User backstore in the kernel", "modprobe target_core_user");
  if (!exists(root, "/sys/kernel/config")) return missing("no configfs in the kernel", "modprobe configfs");
  if (exists(root, "/sys/kernel/config/target/core")) return {};
  const Result<std::string> mounts = read_attribute(root.path("/proc/self/mounts"));
  if (!mounts || mounts->find(" /sys/kernel/config configfs ") == std::string::npos)
    return missing("configfs is not mounted", "mount -t configfs none /sys/kernel/config");
  return missing("configfs has no target folder", "modprobe target_core_mod");
}

Result<> load_tcmu_module(const SysRoot& root) {
  if (exists(root, kModuleFolder)) return {};
  const std::unique_ptr<kmod_ctx, KmodDeleter> context(::kmod_new(nullptr, nullptr));
  if (!context) return fail_errno(errno, "look for kernel modules");
  kmod_list* found = nullptr;
  const int result = ::kmod_module_new_from_lookup(context.get(), kModule, &found);
  const std::unique_ptr<kmod_list, KmodDeleter> list(found);
  if (result < 0) return fail_errno(-result, fmt::format("look for kernel module {}", kModule));
  if (!list)
    return fail(
        Cause::NotFound, ENOENT,
        fmt::format("load {}: the running kernel has no such module; install the kernel's module package",
                    kModule));
  const std::unique_ptr<kmod_module, KmodDeleter> module(::kmod_module_get_module(list.get()));
  const int probed = ::kmod_module_probe_insert_module(module.get(), KMOD_PROBE_APPLY_BLACKLIST, nullptr,
                                                       nullptr, nullptr, nullptr);
  if (probed == 0) return {};
  Error error = probed < 0 ? system_error(-probed, "") : Error{Cause::Denied, EPERM, ""};
  error.what = probe_failure(probed);
  return std::unexpected(std::move(error));
}

Result<> end_pending_netlink_waits(const SysRoot& root) {
  const std::string block = root.path(std::string(kModuleFolder) + "/parameters/block_netlink");
  Result<> done = write_attribute(block, "1");
  if (!done && done.error().sys_errno == ENOENT && exists(root, kModuleFolder)) return {};
  if (!done) return done;
  done = write_attribute(root.path(std::string(kModuleFolder) + "/parameters/reset_netlink"), "1");
  // Whatever happened: left blocked, no device could be created any more.
  Result<> unblocked = write_attribute(block, "0");
  return done ? std::move(unblocked) : std::move(done);
}

}  // namespace bulkhead::supervisor
