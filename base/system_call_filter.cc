#include "base/system_call_filter.h"

#include <fmt/format.h>

#include <cerrno>

namespace bulkhead {
namespace {

constexpr std::uint32_t kBinaryTree = 2;  // SCMP_FLTATR_CTL_OPTIMIZE: instead of a list, which takes longer

}  // namespace

Result<SystemCallFilter> SystemCallFilter::create(std::uint32_t otherwise) {
  SystemCallFilter filter(Context(::seccomp_init(otherwise)));
  if (!filter.context_) return fail(Cause::Exhausted, ENOMEM, "make a system call filter");
  if (auto done = filter.set(SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS); !done)
    return std::unexpected(std::move(done.error()));
  if (auto done = filter.set(SCMP_FLTATR_CTL_OPTIMIZE, kBinaryTree); !done)
    return std::unexpected(std::move(done.error()));
  return filter;
}

Result<int> SystemCallFilter::number_of(const char* name) {
  const int number = ::seccomp_syscall_resolve_name(name);
  if (number == __NR_SCMP_ERROR)
    return fail(Cause::BadInput, EINVAL, fmt::format("there is no system call named {}", name));
  return number;
}

Result<> SystemCallFilter::rule(const char* name, std::uint32_t action,
                                std::span<const scmp_arg_cmp> conditions) {
  const auto number = number_of(name);
  if (!number) return std::unexpected(number.error());
  const int result = ::seccomp_rule_add_array(context_.get(), action, *number,
                                              static_cast<unsigned>(conditions.size()), conditions.data());
  if (result != 0) return fail_errno(-result, fmt::format("make a rule for system call {}", name));
  return {};
}

Result<> SystemCallFilter::set(scmp_filter_attr attribute, std::uint32_t value) {
  if (const int result = ::seccomp_attr_set(context_.get(), attribute, value); result != 0)
    return fail_errno(-result, "prepare the system call filter");
  return {};
}

Result<> SystemCallFilter::load() {
  if (const int result = ::seccomp_load(context_.get()); result != 0)
    return fail_errno(-result, "load the system call filter");
  return {};
}

}  // namespace bulkhead
