#include "base/mapping.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace bulkhead {

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  Mapping old(std::exchange(bytes_, std::exchange(other.bytes_, {})));
  return *this;
}

Mapping::~Mapping() {
  if (valid()) ::munmap(bytes_.data(), bytes_.size());
}

Result<Mapping> Mapping::map(const UniqueFd& fd, std::size_t size, Access access, std::string_view what) {
  const int protection = access == Access::Read ? PROT_READ : PROT_READ | PROT_WRITE;
  // First without access: in a process that locks its future memory the kernel populates a new mapping of a
  // device at once, even if only on fault was asked for, and complains about each uio page that is not there
  // yet.
  void* at = ::mmap(nullptr, size, PROT_NONE, MAP_SHARED, fd.get(), 0);
  if (at == MAP_FAILED) return fail_errno(errno, fmt::format("map {} ({} bytes)", what, size));
  if (::mprotect(at, size, protection) != 0) {
    const int why = errno;
    ::munmap(at, size);
    return fail_errno(why, fmt::format("make {} accessible", what));
  }
  ::madvise(at, size, MADV_DONTFORK);
  return Mapping(std::span(static_cast<std::byte*>(at), size));
}

Result<UniqueFd> make_sealed_memfd(const char* name, std::size_t size) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return fail_errno(errno, fmt::format("memfd_create {}", name));
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0)
    return fail_errno(errno, fmt::format("set the size of memfd {} to {} bytes", name, size));
  // A holder of a read-only descriptor could otherwise reopen it for writing through /proc/self/fd.
  if (::fchmod(fd.get(), 0600) != 0) return fail_errno(errno, fmt::format("chmod memfd {}", name));
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return fail_errno(errno, fmt::format("seal memfd {}", name));
  return fd;
}

Result<UniqueFd> reopen_read_only(const UniqueFd& memfd) {
  const std::string path = fmt::format("/proc/self/fd/{}", memfd.get());
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, fmt::format("open {} for reading", path));
  return fd;
}

}  // namespace bulkhead
