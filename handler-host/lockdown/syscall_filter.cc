#include "handler-host/lockdown/syscall_filter.h"

#include <fmt/format.h>
#include <seccomp.h>

#include <cerrno>
#include <memory>
#include <span>
#include <type_traits>

#include "handler-host/lockdown/syscall_table.h"

namespace bulkhead::host {
namespace {

struct Release {
  void operator()(void* context) const { ::seccomp_release(context); }
};
using Filter = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, Release>;

constexpr std::uint32_t kFastest = 2;  // SCMP_FLTATR_CTL_OPTIMIZE: a binary tree instead of a list

Result<int> number_of(const char* name) {
  const int number = ::seccomp_syscall_resolve_name(name);
  if (number == __NR_SCMP_ERROR)
    return fail(Cause::BadInput, EINVAL, fmt::format("there is no system call named {}", name));
  return number;
}

Result<> allow(const Filter& filter, const Allowed& call) {
  const auto number = number_of(call.name);
  if (!number) return std::unexpected(number.error());
  int result = 0;
  if (call.argument < 0) {
    result = ::seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, *number, 0, nullptr);
  } else {
    const scmp_arg_cmp condition{static_cast<unsigned>(call.argument), SCMP_CMP_MASKED_EQ, call.mask,
                                 call.value};
    result = ::seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, *number, 1, &condition);
  }
  if (result != 0) return fail_errno(-result, fmt::format("allow system call {}", call.name));
  return {};
}

Result<> allow_all(const Filter& filter, std::span<const Allowed> calls) {
  for (const Allowed& call : calls)
    if (auto done = allow(filter, call); !done) return done;
  return {};
}

Result<> hide_from_threads(const Filter& filter) {
  for (const char* name : kUnknownToThreads) {
    const auto number = number_of(name);
    if (!number) return std::unexpected(number.error());
    const int result = ::seccomp_rule_add_array(filter.get(), SCMP_ACT_ERRNO(ENOSYS), *number, 0, nullptr);
    if (result != 0) return fail_errno(-result, fmt::format("hide system call {}", name));
  }
  return {};
}

Result<> add_rules(const Filter& filter, Phase phase, const FilterNeeds& needs) {
  // What is allowed in general goes first: libseccomp takes a rule with a condition beside one without for a
  // contradiction of the two, and keeps the first.
  if (phase == Phase::Start)
    if (auto done = allow_all(filter, kAtTheStart); !done) return done;
  if (auto done = allow_all(filter, kAlways); !done) return done;
  if (needs.network)
    if (auto done = allow_all(filter, kForNetwork); !done) return done;
  if (needs.threads) {
    if (auto done = allow_all(filter, kForThreads); !done) return done;
    if (auto done = hide_from_threads(filter); !done) return done;
  }
  for (const std::string& name : needs.syscalls)
    if (auto done = allow(filter, {name.c_str()}); !done) return done;
  return {};
}

Result<> set(const Filter& filter, scmp_filter_attr attribute, std::uint32_t value) {
  if (const int result = ::seccomp_attr_set(filter.get(), attribute, value); result != 0)
    return fail_errno(-result, "prepare the system call filter");
  return {};
}

}  // namespace

Result<> filter_system_calls(Phase phase, const FilterNeeds& needs) {
  const Filter filter(::seccomp_init(SCMP_ACT_KILL_PROCESS));
  if (!filter) return fail(Cause::Exhausted, ENOMEM, "make a system call filter");
  if (auto done = set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS); !done) return done;
  if (auto done = set(filter, SCMP_FLTATR_CTL_NNP, 0); !done)
    return done;  // is set, and needs no second call
  if (auto done = set(filter, SCMP_FLTATR_CTL_OPTIMIZE, kFastest); !done) return done;
  if (phase == Phase::Serve)
    if (auto done = set(filter, SCMP_FLTATR_CTL_TSYNC, 1); !done) return done;
  if (auto done = add_rules(filter, phase, needs); !done) return done;
  if (const int result = ::seccomp_load(filter.get()); result != 0)
    return fail_errno(-result, "load the system call filter");
  return {};
}

}  // namespace bulkhead::host
