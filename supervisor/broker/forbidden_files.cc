#include "supervisor/broker/forbidden_files.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/printable.h"

namespace bulkhead::supervisor {
namespace {

namespace fs = std::filesystem;

constexpr unsigned long kConfigfsMagic = 0x62656570;  // fs/configfs/mount.c; not in linux/magic.h
constexpr unsigned long kKernelsOwn[] = {
    PROC_SUPER_MAGIC, SYSFS_MAGIC,        kConfigfsMagic,      DEBUGFS_MAGIC,  TRACEFS_MAGIC,
    SECURITYFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, BPF_FS_MAGIC,   EFIVARFS_MAGIC,
    PSTOREFS_MAGIC,   SELINUX_MAGIC,      SMACK_MAGIC,         BINFMTFS_MAGIC,
};

bool kernels_own(const struct statfs& system) {
  return std::ranges::find(kKernelsOwn, static_cast<unsigned long>(system.f_type)) != std::end(kKernelsOwn);
}

// Of a device mapper upon another, and so on.
constexpr int kMostLayers = 16;

// "2:0:1:0", host, channel, target and LUN, of a SCSI disk or the disk that this is a partition of; "" of
// anything else. `folder`: of the block device in sysfs.
std::string scsi_address(const std::string& folder) {
  for (const char* link : {"/device", "/../device"}) {
    std::error_code missing;
    const fs::path device = fs::read_symlink(folder + link, missing);
    if (!missing) return device.filename().string();
  }
  return {};
}

bool names_tcmu(const fs::path& lun) {
  std::error_code error;
  for (fs::directory_iterator at(lun, error), end; !error && at != end; at.increment(error)) {
    std::error_code no_link;
    if (fs::read_symlink(at->path(), no_link).string().contains("/core/user_")) return true;
  }
  return false;
}

bool is_loopback_lun(const std::string& folder, const SysRoot& root) {
  const std::string address = scsi_address(folder);
  const auto colon = address.rfind(':');
  if (colon == std::string::npos) return false;
  std::error_code error;
  for (fs::recursive_directory_iterator at(root.path("/sys/kernel/config/target/loopback"), error), end;
       !error && at != end; at.increment(error)) {
    // loopback/WWN/tpgt_N/address
    if (at.depth() == 1) at.disable_recursion_pending();
    if (at.depth() != 1) continue;
    const auto told = read_attribute((at->path() / "address").string());
    if (told && *told == address.substr(0, colon))
      return names_tcmu(at->path() / "lun" / ("lun_" + address.substr(colon + 1)));
  }
  return false;
}

bool lies_on_loopback(const std::string& folder, const SysRoot& root, int layers) {
  if (is_loopback_lun(folder, root)) return true;
  if (layers == 0) return false;
  for (const char* below : {"/slaves", "/../slaves"}) {  // the second: of what this is a partition of
    std::error_code error;
    for (fs::directory_iterator at(folder + below, error), end; !error && at != end; at.increment(error))
      if (lies_on_loopback(at->path().string(), root, layers - 1)) return true;
  }
  return false;
}

}  // namespace

bool lies_on_tcmu_loopback(unsigned major, unsigned minor, const SysRoot& root) {
  return lies_on_loopback(root.path(fmt::format("/sys/dev/block/{}:{}", major, minor)), root, kMostLayers);
}

Result<> refuse_forbidden(const UniqueFd& looked, const std::string& path, const SysRoot& root) {
  struct stat status{};
  struct statfs system{};
  if (::fstat(looked.get(), &status) != 0 || ::fstatfs(looked.get(), &system) != 0)
    return fail_errno(errno, printable(path));
  if (S_ISREG(status.st_mode) && kernels_own(system))
    return fail(Cause::BadInput, EINVAL,
                fmt::format("{} is one of the kernel's own, as in /proc and /sys; name a regular file or a "
                            "block device",
                            printable(path)));
  if (S_ISBLK(status.st_mode) && lies_on_tcmu_loopback(major(status.st_rdev), minor(status.st_rdev), root))
    return fail(
        Cause::BadInput, EINVAL,
        fmt::format("{} is a LUN of TCMU itself, which this machine has by loopback, or lies upon one; "
                    "name what that LUN is made of, or another device",
                    printable(path)));
  return {};
}

}  // namespace bulkhead::supervisor
