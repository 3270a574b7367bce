// Any bytes as a netlink message. Besides not crashing: what is accepted obeys what kernel_event.h promises.
#include <cstdint>
#include <span>

#include "base/error.h"
#include "supervisor/netlink/kernel_event.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead::supervisor;
  constexpr std::uint16_t kFamily = 0x1b;
  const std::span<const std::byte> message(reinterpret_cast<const std::byte*>(data), size);
  const auto received = parse_event(message, kFamily);
  if (received && *received && (*received)->event) {
    const KernelEvent& event = *(*received)->event;
    BULKHEAD_CHECK(event.kind == (*received)->kind);
    BULKHEAD_CHECK(!event.name.device.empty() && event.name.device.size() <= kMaxDeviceName);
    BULKHEAD_CHECK(event.name.dev_config.size() <= kMaxDevConfig);
    BULKHEAD_CHECK(std::holds_alternative<std::monostate>(event.change) ==
                   (event.kind != EventKind::Reconfig));
  } else if (received && *received) {
    BULKHEAD_CHECK(bulkhead::errno_of((*received)->event.error()) > 0);
  }
  if (const auto refused = parse_refusal(message)) (void)bulkhead::errno_text(refused->sys_errno);
  (void)parse_family_notice(message);
  return 0;
}
