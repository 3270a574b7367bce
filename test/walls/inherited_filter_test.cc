// A host inherits the supervisor's system call filter, below its own. What the narrower one allows must not
// fail in the wider one, unseen until some handler needs it.
#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string_view>

#include "handler-host/lockdown/syscall_table.h"
#include "supervisor/lockdown/syscall_table.h"

namespace bulkhead {
namespace {

bool allowed_to_supervisor(std::string_view name) {
  return std::ranges::any_of(supervisor::kSupervisorCalls, [&](std::span<const char* const> calls) {
    return std::ranges::find(calls, name) != calls.end();
  });
}

TEST(InheritedFilter, AllowsWhatHostsMayDo) {
  for (const std::span<const host::Allowed> calls :
       {std::span<const host::Allowed>(host::kAlways), std::span<const host::Allowed>(host::kAtTheStart),
        std::span<const host::Allowed>(host::kForThreads), std::span<const host::Allowed>(host::kForNetwork)})
    for (const host::Allowed& call : calls) EXPECT_TRUE(allowed_to_supervisor(call.name)) << call.name;
}

TEST(InheritedFilter, IsNotForEverything) {
  for (const char* name : {"ptrace", "bpf", "finit_module", "keyctl", "setns"})
    EXPECT_FALSE(allowed_to_supervisor(name)) << name;
}

}  // namespace
}  // namespace bulkhead
