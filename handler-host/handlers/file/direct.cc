#include "handler-host/handlers/file/direct.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>

#include "handler-host/handlers/cfgstring/cfgstring.h"

namespace bulkhead::handler {
namespace {

constexpr std::uint32_t kPageBytes = 4096;

struct Alignment {
  std::uint32_t memory = 512;
  std::uint32_t offset = 512;
};

bool set_direct(int fd, bool on) {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && ::fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

// What the kernel states (Linux 6.1); before that, what a disk's logical block asks for, and the trial read
// decides.
Alignment stated_alignment(const Backing& backing, std::uint32_t block_bytes) {
  struct statx status{};
  if (::syscall(SYS_statx, backing.fd.get(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
      (status.stx_mask & STATX_DIOALIGN) != 0 && status.stx_dio_offset_align != 0)
    return {.memory = status.stx_dio_mem_align, .offset = status.stx_dio_offset_align};
  if (backing.kind == BackingKind::BlockDevice)
    return {.memory = backing.logical_block_bytes, .offset = backing.logical_block_bytes};
  return {.memory = block_bytes, .offset = block_bytes};
}

// Reads one block at the start and one right behind it: the second has an offset as odd as any command's.
std::string trial_problem(const Backing& backing, std::uint32_t block_bytes) {
  const std::unique_ptr<void, decltype(&std::free)> buffer(
      std::aligned_alloc(kPageBytes, block_bytes + kPageBytes - block_bytes % kPageBytes), &std::free);
  if (!buffer) return "no memory";
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{block_bytes}}) {
    if (offset + block_bytes > backing.bytes) break;
    const ssize_t got = ::pread(backing.fd.get(), buffer.get(), block_bytes, static_cast<off_t>(offset));
    if (got < 0) return errno_text(errno);
    if (got != static_cast<ssize_t>(block_bytes)) return "a trial read came back short";
  }
  return {};
}

}  // namespace

Result<std::uint32_t> choose_direct(const Backing& backing, Direct wish, std::uint32_t block_bytes) {
  const int fd = backing.fd.get();
  if (wish == Direct::Off) return std::uint32_t{0};
  std::string problem;
  const Alignment needed = stated_alignment(backing, block_bytes);
  if (needed.offset > block_bytes)
    problem = fmt::format("it needs blocks of {} bytes, the LUN has {}", needed.offset, block_bytes);
  else if (!set_direct(fd, true))
    problem = "the file system does not take it";
  else
    problem = trial_problem(backing, block_bytes);
  if (problem.empty()) return needed.memory;
  set_direct(fd, false);
  if (wish == Direct::Auto) return std::uint32_t{0};
  return fail(
      Cause::BadInput, EINVAL,
      fmt::format(
          "{}: direct=on is not possible: {}; leave it at direct=auto, or use a file system and a block "
          "size that can do it",
          shown(backing.path), problem));
}

}  // namespace bulkhead::handler
