// The one error type of Bulkhead, and Result<T>, what a call that can fail returns.
//
// Hostile or likely trouble (CDB, image, configuration, back end, peer) is a Result. A broken invariant of
// our own is BULKHEAD_CHECK: the process ends, its supervisor or systemd starts another, nothing is lost.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace bulkhead {

// What a caller branches on; everything finer is in Error::what, for people.
enum class Cause : std::uint8_t {
  BadInput,
  NotFound,
  Busy,
  Denied,
  Exhausted,
  TimedOut,
  PeerBroken,
  Backend
};

std::string_view to_string(Cause cause);

struct Error {
  Cause cause = Cause::Backend;
  int sys_errno = 0;  // positive; 0 if no system call failed. Becomes the kernel's netlink status.
  std::string what;   // names the input, the reason and, where there is one, the remedy
};

template <class T = void>
using Result = std::expected<T, Error>;

// An error made from errno's value `number`: "what: strerror". The cause follows from the number.
[[nodiscard]] Error system_error(int number, std::string_view what);

// The errno that best tells this error to the kernel or to a process that only understands numbers.
[[nodiscard]] int errno_of(const Error& error);

// strerror without its shared buffer.
[[nodiscard]] std::string errno_text(int number);

[[nodiscard]] inline std::unexpected<Error> fail(Cause cause, int number, std::string what) {
  return std::unexpected(Error{cause, number, std::move(what)});
}
[[nodiscard]] inline std::unexpected<Error> fail_errno(int number, std::string_view what) {
  return std::unexpected(system_error(number, what));
}

[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace bulkhead

// Our own invariant: says where it broke on standard error and aborts.
#define BULKHEAD_CHECK(condition) \
  (static_cast<bool>(condition) ? void(0) : ::bulkhead::check_failed(#condition, __FILE__, __LINE__))
