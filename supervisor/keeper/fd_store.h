// Descriptors that outlive us: systemd keeps a copy (FileDescriptorStoreMax= of the unit) and hands all of
// them to the next process of the unit. See sd_notify(3), FDSTORE=1.
//
// Without systemd (no NOTIFY_SOCKET) nothing is kept and available() is false. keep() and drop() succeed all
// the same, as nothing is wrong; what that costs is a weaker promise: when the supervisor ends, its hosts see
// the end of their control sockets and end too, and the next supervisor blocks and resets each ring.
//
// Threads: any; objects hold no state. keep() and drop() BLOCK while systemd does not read its socket, up to
// the deadline, so the control thread calls them on the BlockingPool, with a descriptor the job owns.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace bulkhead::supervisor {

struct KeptFd {
  std::string name;  // as it was given to keep(), by whatever build: see kept_name.h
  UniqueFd fd;
};

class FdStore {
 public:
  static constexpr std::chrono::milliseconds kPatience{5'000};

  // Everything that systemd kept for us. Once, at the start of main() and before any thread: descriptors from
  // 3 on are taken possession of and made close-on-exec, and the environment forgets them, so that no host is
  // given any. The store still has its copies: whoever does not want one says drop(). Errors: PeerBroken when
  // the environment is not what systemd makes.
  [[nodiscard]] static Result<std::vector<KeptFd>> take_kept();

  // The store of the systemd that started us, if one did.
  [[nodiscard]] static FdStore from_environment();
  // `notify_socket`: as NOTIFY_SOCKET has it; empty: there is no store.
  explicit FdStore(std::string notify_socket, std::chrono::milliseconds patience = kPatience)
      : notify_socket_(std::move(notify_socket)), patience_(patience) {}

  [[nodiscard]] bool available() const { return !notify_socket_.empty(); }

  // Hands over a copy. It stays until drop(), also when its other end is gone: the next supervisor must see
  // that a host has died. A second one of the same name does not replace the first: drop() first. Success
  // says that systemd will read it, whatever happens to us now; not that it had room (it logs that).
  // Errors: TimedOut; what the system call says; BadInput for a name that would be two lines.
  [[nodiscard]] Result<> keep(std::string_view name, const UniqueFd& fd) const;
  // Gives up all that were kept under this name. None: no error.
  [[nodiscard]] Result<> drop(std::string_view name) const;
  // The service's state: READY=1 and the like. BLOCKS as the others do.
  [[nodiscard]] Result<> tell(std::string_view state) const { return send(state, nullptr); }
  // Waits until systemd has done what it was told before: a copy that was dropped is closed then. A uio
  // device can be opened anew only after that. BLOCKS as the others do.
  [[nodiscard]] Result<> settle() const;

 private:
  [[nodiscard]] Result<> send(std::string_view message, const UniqueFd* fd) const;

  std::string notify_socket_;
  std::chrono::milliseconds patience_;
};

}  // namespace bulkhead::supervisor
