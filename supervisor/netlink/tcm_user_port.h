// The generic netlink socket, as the rest of this folder sees it: the seam between logic and kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "supervisor/netlink/kernel_event.h"

namespace bulkhead::supervisor {

inline constexpr const char* kTcmUserFamily = "TCM-USER";

// Control thread only. Nothing here waits for anything but the kernel's own answer to a request.
class TcmUserPort {
 public:
  virtual ~TcmUserPort() = default;

  // Finds the family, joins its group, asks the kernel to wait for replies. May be done again, e.g. after the
  // module was loaded anew. Errors: NotFound when the module is not loaded; Denied without CAP_NET_ADMIN.
  [[nodiscard]] virtual Result<> attach() = 0;
  // Takes that back, for the time in which nobody serves: whoever makes, changes or removes a device then
  // would wait for ever, and could not even be killed. A device made meanwhile is never waited for. Nothing
  // if not attached.
  [[nodiscard]] virtual Result<> wait_no_more() = 0;
  // What the family resolved to; 0 while not attached.
  [[nodiscard]] virtual std::uint16_t family() const = 0;

  // Non-blocking; readable when receive() has something. Notices about families come even while not attached.
  [[nodiscard]] virtual int fd() const = 0;
  // One datagram from the kernel: one message or several. nullopt: none now. Error Exhausted (ENOBUFS): the
  // kernel dropped some; the socket works on.
  [[nodiscard]] virtual Result<std::optional<std::vector<std::byte>>> receive() = 0;

  // status: 0 or a negative errno. The kernel takes it before this returns. Errors: Busy or Exhausted: not
  // sent, try again. NotFound: nobody waits under that id (the device is configured not to wait, another
  // daemon was faster, the waits were ended). Anything else: refused, and whoever waited may now wait for
  // ever.
  [[nodiscard]] virtual Result<> send_done(EventKind kind, std::uint32_t device_id, std::int32_t status) = 0;
};

// The real one. Errors: no generic netlink, no memory.
[[nodiscard]] Result<std::unique_ptr<TcmUserPort>> open_tcm_user_port();

}  // namespace bulkhead::supervisor
