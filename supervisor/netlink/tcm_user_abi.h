// Numbers of the generic netlink family TCM-USER. The kernel's header (include/uapi/linux/target_core_user.h,
// enum tcmu_genl_cmd and tcmu_genl_attr) is no valid C++, so they are told again here. Stable ABI since
// Linux 4.15.
#pragma once

#include <cstdint>

namespace bulkhead::supervisor {

enum TcmuCommand : std::uint8_t {
  TCMU_CMD_UNSPEC,
  TCMU_CMD_ADDED_DEVICE,
  TCMU_CMD_REMOVED_DEVICE,
  TCMU_CMD_RECONFIG_DEVICE,
  TCMU_CMD_ADDED_DEVICE_DONE,
  TCMU_CMD_REMOVED_DEVICE_DONE,
  TCMU_CMD_RECONFIG_DEVICE_DONE,
  TCMU_CMD_SET_FEATURES,
};

enum TcmuAttribute : std::uint16_t {
  TCMU_ATTR_DEVICE = 1,               // string: the uio name
  TCMU_ATTR_MINOR = 2,                // u32
  TCMU_ATTR_DEV_CFG = 4,              // string
  TCMU_ATTR_DEV_SIZE = 5,             // u64, bytes
  TCMU_ATTR_WRITECACHE = 6,           // u8
  TCMU_ATTR_CMD_STATUS = 7,           // s32: 0 or a negative errno
  TCMU_ATTR_DEVICE_ID = 8,            // u32
  TCMU_ATTR_SUPP_KERN_CMD_REPLY = 9,  // u8
  TCMU_ATTR_MAX = TCMU_ATTR_SUPP_KERN_CMD_REPLY,
};

}  // namespace bulkhead::supervisor
