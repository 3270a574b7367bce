#include "base/restricted_ring.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <vector>

namespace bulkhead {
namespace {

// liburing 2.3 declares its functions for these two, and its shared object does not export them.
int tell_ring(const io_uring& ring, unsigned what, const void* argument, std::size_t count) {
  const long result =
      ::syscall(SYS_io_uring_register, ring.ring_fd, what, argument, static_cast<unsigned>(count));
  return result < 0 ? -errno : 0;
}

int restrict_ring(io_uring& ring, const RingLimits& limits) {
  std::vector<io_uring_restriction> rules;
  for (const std::uint8_t operation : limits.operations) {
    io_uring_restriction& rule = rules.emplace_back();
    rule.opcode = IORING_RESTRICTION_SQE_OP;
    rule.sqe_op = operation;
  }
  if (limits.only_file)
    for (const std::uint16_t what :
         {IORING_RESTRICTION_SQE_FLAGS_ALLOWED, IORING_RESTRICTION_SQE_FLAGS_REQUIRED}) {
      io_uring_restriction& rule = rules.emplace_back();
      rule.opcode = what;
      rule.sqe_flags = IOSQE_FIXED_FILE;
    }
  if (const int result = tell_ring(ring, IORING_REGISTER_RESTRICTIONS, rules.data(), rules.size());
      result != 0)
    return result;
  return tell_ring(ring, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
}

// The newest flags first: completions are then worked off when we look for them, without interrupting us.
// Linux 6.0 knows both, 5.19 the first; before, none.
int open_ring(io_uring& ring, const RingLimits& limits) {
  const std::array flag_sets{unsigned{IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER},
                             unsigned{IORING_SETUP_COOP_TASKRUN}, 0u};
  int result = -EINVAL;
  for (const unsigned flags : std::span(flag_sets).subspan(limits.one_thread ? 0 : 1)) {
    io_uring_params parameters{};
    parameters.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED;
    parameters.cq_entries = limits.completions;
    result = ::io_uring_queue_init_params(limits.submissions, &ring, &parameters);
    if (result != -EINVAL) break;
  }
  return result;
}

}  // namespace

Result<io_uring> open_restricted_ring(const RingLimits& limits) {
  io_uring ring{};
  if (const int result = open_ring(ring, limits); result != 0) return fail_errno(-result, "set up io_uring");
  if (limits.only_file) {
    const int file = *limits.only_file;
    if (const int result = ::io_uring_register_files(&ring, &file, 1); result != 0) {
      ::io_uring_queue_exit(&ring);
      return fail_errno(-result, "register the file with io_uring");
    }
  }
  if (const int result = restrict_ring(ring, limits); result != 0) {
    ::io_uring_queue_exit(&ring);
    return fail_errno(-result, "restrict io_uring to what it is for");
  }
  return ring;
}

}  // namespace bulkhead
