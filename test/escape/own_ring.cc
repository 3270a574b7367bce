#include "test/escape/own_ring.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "handler-host/handlers/file/uring_engine.h"

// In the host with holes (holes.cc); the one that is shipped has no such symbol.
extern "C" [[gnu::weak]] bool tcmu_wall_left_out(const char* wall);

namespace bulkhead::test {
namespace {

// Remembers which descriptor the engine waits for: the ring's.
class RingFinder final : public handler::Services {
 public:
  Result<UniqueFd> open_file(const handler::FileRequest&) override {
    return fail(Cause::Denied, EACCES, "none");
  }
  void watch(int fd, std::uint32_t, std::move_only_function<void()>) override { ring = fd; }
  void unwatch(int) override {}
  void post(std::move_only_function<void()>) override {}
  void after(std::uint32_t, std::move_only_function<void()>) override {}
  void log(handler::LogLevel, std::string_view) override {}
  void count(std::string_view, std::uint64_t) override {}
  int ring = -1;
};

class Nobody final : public handler::Finisher {
 public:
  void finished(handler::Operation&, std::int64_t) noexcept override {}
};

struct Own {
  RingFinder services;
  Nobody nobody;
  std::unique_ptr<handler::UringEngine> engine;
  io_uring ring{};
};

// How the kernel lays out a ring of that size only its maker is told; so another one is made for a moment.
std::unique_ptr<Own> make(int file) {
  auto own = std::make_unique<Own>();
  auto engine = handler::UringEngine::create(file, own->services, own->nobody);
  if (!engine) return nullptr;
  own->engine = std::move(*engine);
  io_uring twin{};
  io_uring_params layout{};
  layout.flags = IORING_SETUP_CQSIZE;
  layout.cq_entries = 256;
  if (::io_uring_queue_init_params(64, &twin, &layout) != 0) return nullptr;
  ::io_uring_queue_exit(&twin);
  return ::io_uring_queue_mmap(own->services.ring, &layout, &own->ring) == 0 ? std::move(own) : nullptr;
}

int answer_of(io_uring& ring, const std::function<void(io_uring_sqe&)>& prepare) {
  constexpr std::uint64_t kMark = 0xE5CA;  // a message to the ring itself is a completion, too
  io_uring_sqe* entry = ::io_uring_get_sqe(&ring);
  if (entry == nullptr) return -ENOTRECOVERABLE;
  prepare(*entry);
  entry->user_data = kMark;
  if (::io_uring_submit_and_wait(&ring, 1) != 1) return -ENOTRECOVERABLE;
  for (;;) {
    io_uring_cqe* completion = nullptr;
    if (::io_uring_wait_cqe(&ring, &completion) != 0) return -ENOTRECOVERABLE;
    const int result = completion->res;
    const bool ours = completion->user_data == kMark;
    ::io_uring_cqe_seen(&ring, completion);
    if (ours) return result;
  }
}

}  // namespace

io_uring* own_ring(int file) {
  static const std::unique_ptr<Own> own = make(file);
  return own ? &own->ring : nullptr;
}

int ask_ring(int file, const std::function<void(io_uring_sqe&)>& prepare) {
  io_uring* const ring = own_ring(file);
  if (ring == nullptr) return -ENOTRECOVERABLE;
  char byte = 0;
  const int works = answer_of(*ring, [&byte](io_uring_sqe& entry) {
    ::io_uring_prep_read(&entry, 0, &byte, 1, 0);
    entry.flags |= IOSQE_FIXED_FILE;
  });
  return works >= 0 ? answer_of(*ring, prepare) : -ENOTRECOVERABLE;
}

}  // namespace bulkhead::test

// The linker gives these names (--wrap, see BUILD): the hole in this wall. Handler `file` limits its ring in
// its own code, so it can't be in the host's.
// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
extern "C" {

long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f) {
  if (number == SYS_io_uring_register && b == IORING_REGISTER_RESTRICTIONS && tcmu_wall_left_out != nullptr &&
      tcmu_wall_left_out("ring"))
    return 0;
  return __real_syscall(number, a, b, c, d, e, f);
}
}
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
