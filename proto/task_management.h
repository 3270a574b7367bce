// Task management functions, by the numbers of enum tcmu_tmr_type (include/uapi/linux/target_core_user.h).
#pragma once

#include <cstdint>
#include <string_view>

namespace bulkhead {

enum class TaskFunction : std::uint8_t {
  Unknown = 0,
  AbortTask = 1,
  AbortTaskSet = 2,
  ClearAca = 3,
  ClearTaskSet = 4,
  LunReset = 5,
  TargetWarmReset = 6,
  TargetColdReset = 7,
  PreemptAndAbort = 128,  // PERSISTENT RESERVE OUT; the kernel's name for it is LUN_RESET_PRO
};

// SAM-5, "Task management functions".
[[nodiscard]] constexpr std::string_view name_of(TaskFunction function) {
  switch (function) {
    case TaskFunction::AbortTask:
      return "ABORT TASK";
    case TaskFunction::AbortTaskSet:
      return "ABORT TASK SET";
    case TaskFunction::ClearAca:
      return "CLEAR ACA";
    case TaskFunction::ClearTaskSet:
      return "CLEAR TASK SET";
    case TaskFunction::LunReset:
      return "LOGICAL UNIT RESET";
    case TaskFunction::TargetWarmReset:
    case TaskFunction::TargetColdReset:
      return "target reset";
    case TaskFunction::PreemptAndAbort:
      return "PREEMPT AND ABORT";
    case TaskFunction::Unknown:
      break;
  }
  return "task management";
}

// PREEMPT AND ABORT does not: it aborts the commands of those who lost their registration, no more
// (SPC-4, "PREEMPT AND ABORT").
[[nodiscard]] constexpr bool resets_logical_unit(TaskFunction function) {
  return function == TaskFunction::LunReset || function == TaskFunction::TargetWarmReset ||
         function == TaskFunction::TargetColdReset;
}

}  // namespace bulkhead
