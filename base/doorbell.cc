#include "base/doorbell.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace bulkhead {

bool Doorbell::ring_if_asleep() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const std::uint32_t word = load_relaxed(*word_);
  if (word % 2 == 0 || word == rang_for_) return false;
  rang_for_ = word;
  // Eight bytes suit both kinds; an eventfd takes no fewer.
  const std::uint64_t one = 1;
  [[maybe_unused]] ssize_t written = ::write(fd_.get(), &one, sizeof one);
  return true;
}

Result<std::array<UniqueFd, 2>> make_doorbell_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return fail_errno(errno, "make a doorbell pipe");
  return std::array<UniqueFd, 2>{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<UniqueFd> make_eventfd() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return fail_errno(errno, "make an eventfd");
  return fd;
}

void drain_doorbell(const UniqueFd& fd) {
  std::uint64_t rings[64];
  while (::read(fd.get(), rings, sizeof rings) == static_cast<ssize_t>(sizeof rings)) {
  }
}

}  // namespace bulkhead
