// What configfs knows of one backstore, and what we may do to it there.
// Folder: /sys/kernel/config/target/core/user_N/NAME. Kernel: drivers/target/target_core_user.c and
// target_core_configfs.c (6.1 to 6.12 alike).
//
// Blocking; any thread; each call by itself. Never call any of it while a REMOVED event of a device of the
// same user_N waits for its reply: the kernel then holds the lock of that folder.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/quantity.h"
#include "supervisor/configfs/attribute_file.h"
#include "supervisor/configfs/uio_name.h"

namespace bulkhead::supervisor {

struct BackstoreFacts {
  ByteCount size;                 // attrib/dev_size, info's Size where that file is missing
  std::uint32_t block_bytes = 0;  // hw_block_size; above 0, nothing else is promised by the kernel
  std::uint32_t max_sectors = 0;  // hw_max_sectors, in blocks; not yet rounded while ADDED is unanswered
  bool write_cache = false;       // emulate_write_cache
  std::uint32_t command_timeout_s = 0;  // cmd_time_out; 0: the kernel waits for ever
};

struct BackstoreIdentity {
  std::string unit_serial;  // empty until somebody set it, which targetcli does after the device was enabled
  std::string vendor, product, revision;
};

enum class Blocked : std::uint8_t { No, Yes };
// How commands that run now end: status BUSY, and initiators retry; or CHECK CONDITION.
enum class ResetRing : std::uint8_t { Busy = 1, CheckCondition = 2 };

class Backstore {
 public:
  // hba and device as parse_uio_name() gave them.
  Backstore(const SysRoot& root, const UioName& name);

  [[nodiscard]] Result<BackstoreFacts> facts() const;
  // cmd_time_out alone, in seconds; it can't change while the device is exported.
  [[nodiscard]] Result<std::uint32_t> command_timeout() const;
  [[nodiscard]] Result<BackstoreIdentity> identity() const;
  // The kernel's number for the device in netlink (TCMU_ATTR_DEVICE_ID).
  [[nodiscard]] Result<std::uint32_t> device_id() const;
  // False from "uio device exists" until the kernel has its ADDED reply: actions are refused until then.
  [[nodiscard]] Result<bool> configured() const;

  // Blocked: new and waiting commands are answered BUSY, running ones go on. Outlives its writer.
  [[nodiscard]] Result<> set_blocked(Blocked blocked) const;
  // Ends every running command and empties the ring. Data areas and command ids are reused at once: nothing
  // of ours may touch them any more.
  [[nodiscard]] Result<> reset_ring(ResetRing how) const;

  // From now on the kernel tells in the ring which commands it has aborted (attrib/tmr_notification). Errors:
  // NotFound from a kernel that can't, one before 5.10.
  [[nodiscard]] Result<> ask_for_task_management() const;

  [[nodiscard]] const std::string& folder() const { return folder_; }

 private:
  [[nodiscard]] Result<std::uint64_t> size() const;
  std::string folder_;
};

}  // namespace bulkhead::supervisor
