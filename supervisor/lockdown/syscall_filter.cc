#include "supervisor/lockdown/syscall_filter.h"

#include <fmt/format.h>
#include <seccomp.h>

#include <cerrno>
#include <memory>
#include <type_traits>

#include "supervisor/lockdown/syscall_table.h"

namespace bulkhead::supervisor {
namespace {

struct Release {
  void operator()(void* context) const { ::seccomp_release(context); }
};
using Filter = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, Release>;

Result<> allow(const Filter& filter, const char* name, int number) {
  const int result = ::seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, number, 0, nullptr);
  if (result != 0) return fail_errno(-result, fmt::format("allow system call {}", name));
  return {};
}

Result<> allow_ours(const Filter& filter) {
  for (const auto calls : kSupervisorCalls)
    for (const char* name : calls) {
      const int number = ::seccomp_syscall_resolve_name(name);
      if (number == __NR_SCMP_ERROR)
        return fail(Cause::BadInput, EINVAL, fmt::format("there is no system call named {}", name));
      if (auto done = allow(filter, name, number); !done) return done;
    }
  return {};
}

Result<> allow_more(const Filter& filter, std::span<const std::string> more) {
  for (const std::string& name : more)
    if (const int number = ::seccomp_syscall_resolve_name(name.c_str()); number != __NR_SCMP_ERROR)
      if (auto done = allow(filter, name.c_str(), number); !done) return done;
  return {};
}

struct Attribute {
  scmp_filter_attr name;
  std::uint32_t value;
};
constexpr Attribute kAttributes[] = {
    // Nothing of ours is of another architecture; an attacker's code might be.
    {SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS},
    {SCMP_FLTATR_CTL_LOG, 1},
    {SCMP_FLTATR_CTL_TSYNC, 1},
    {SCMP_FLTATR_CTL_OPTIMIZE, 2},  // a binary tree instead of a list
};

}  // namespace

Result<> filter_system_calls(std::span<const std::string> more) {
  const Filter filter(::seccomp_init(SCMP_ACT_ERRNO(ENOSYS)));
  if (!filter) return fail(Cause::Exhausted, ENOMEM, "make a system call filter");
  for (const Attribute& attribute : kAttributes)
    if (const int result = ::seccomp_attr_set(filter.get(), attribute.name, attribute.value); result != 0)
      return fail_errno(-result, "prepare the system call filter");
  if (auto done = allow_ours(filter); !done) return done;
  if (auto done = allow_more(filter, more); !done) return done;
  if (const int result = ::seccomp_load(filter.get()); result != 0)
    return fail_errno(-result, "load the system call filter");
  return {};
}

}  // namespace bulkhead::supervisor
