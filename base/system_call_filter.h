// A list of the system calls that there are from now on (seccomp, by libseccomp). Code of another
// architecture ends the process. Threads: one while it is put together.
#pragma once

#include <seccomp.h>

#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

#include "base/error.h"

namespace bulkhead {

class SystemCallFilter {
 public:
  // `otherwise`: what becomes of calls that no rule names (SCMP_ACT_...).
  [[nodiscard]] static Result<SystemCallFilter> create(std::uint32_t otherwise);

  // Errors: BadInput for a name that libseccomp does not know.
  [[nodiscard]] static Result<int> number_of(const char* name);
  // What becomes of a call, if all conditions are met. A rule without conditions must come before one of the
  // same call that has some: libseccomp takes the second for a contradiction, and keeps the first. Errors:
  // those of number_of(); libseccomp's.
  [[nodiscard]] Result<> rule(const char* name, std::uint32_t action,
                              std::span<const scmp_arg_cmp> conditions = {});
  [[nodiscard]] Result<> set(scmp_filter_attr attribute, std::uint32_t value);
  // Errors: the kernel's.
  [[nodiscard]] Result<> load();

 private:
  struct Release {
    void operator()(void* context) const { ::seccomp_release(context); }
  };
  using Context = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, Release>;

  explicit SystemCallFilter(Context context) : context_(std::move(context)) {}
  Context context_;
};

}  // namespace bulkhead
