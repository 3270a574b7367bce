#include "base/error.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace bulkhead {
namespace {

Cause cause_of(int number) {
  switch (number) {
    case EINVAL:
    case ENAMETOOLONG:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
      return Cause::BadInput;
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return Cause::NotFound;
    case EBUSY:
    case EAGAIN:
    case ETXTBSY:
      return Cause::Busy;
    case EACCES:
    case EPERM:
    case EROFS:
      return Cause::Denied;
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
    case EDQUOT:
      return Cause::Exhausted;
    case ETIMEDOUT:
      return Cause::TimedOut;
    case EPIPE:
    case ECONNRESET:
    case EPROTO:
      return Cause::PeerBroken;
    default:
      return Cause::Backend;
  }
}

}  // namespace

std::string_view to_string(Cause cause) {
  switch (cause) {
    case Cause::BadInput:
      return "bad input";
    case Cause::NotFound:
      return "not found";
    case Cause::Busy:
      return "busy";
    case Cause::Denied:
      return "denied";
    case Cause::Exhausted:
      return "exhausted";
    case Cause::TimedOut:
      return "timed out";
    case Cause::PeerBroken:
      return "peer broken";
    case Cause::Backend:
      return "back end";
  }
  return "unknown";
}

std::string errno_text(int number) {
  std::array<char, 128> buffer{};
  return ::strerror_r(number, buffer.data(), buffer.size());
}

Error system_error(int number, std::string_view what) {
  return Error{cause_of(number), number, fmt::format("{}: {}", what, errno_text(number))};
}

int errno_of(const Error& error) {
  if (error.sys_errno != 0) return error.sys_errno;
  switch (error.cause) {
    case Cause::BadInput:
      return EINVAL;
    case Cause::NotFound:
      return ENOENT;
    case Cause::Busy:
      return EBUSY;
    case Cause::Denied:
      return EACCES;
    case Cause::Exhausted:
      return ENOMEM;
    case Cause::TimedOut:
      return ETIMEDOUT;
    case Cause::PeerBroken:
      return EPROTO;
    case Cause::Backend:
      return EIO;
  }
  return EIO;
}

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: invariant broken: %s\n", file, line, condition);
  std::abort();
}

}  // namespace bulkhead
