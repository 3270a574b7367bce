#include "supervisor/broker/write_back_witness.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>

namespace bulkhead::supervisor {

Result<UniqueFd> open_witness(const UniqueFd& file) {
  UniqueFd witness(::open(fmt::format("/proc/self/fd/{}", file.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!witness) return fail_errno(errno, "open a second description of a backing file");
  return witness;
}

bool write_back_failed(const UniqueFd& witness) {
  // The only call that looks at the error without starting or awaiting I/O: where no file reaches, no page is
  // waited for.
  constexpr off64_t kBeyondAllFiles = off64_t{1} << 62;
  return ::sync_file_range(witness.get(), kBeyondAllFiles, 1, SYNC_FILE_RANGE_WAIT_BEFORE) != 0 &&
         (errno == EIO || errno == ENOSPC || errno == EDQUOT);
}

}  // namespace bulkhead::supervisor
