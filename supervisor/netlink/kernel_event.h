// What the kernel says about its TCMU devices over generic netlink, as values. Pure functions over bytes; any
// thread. Source: include/uapi/linux/target_core_user.h (enum tcmu_genl_cmd, tcmu_genl_attr) and
// tcmu_netlink_event_*() in drivers/target/target_core_user.c. Family "TCM-USER", version 2, multicast group
// "config".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/error.h"
#include "base/quantity.h"
#include "supervisor/configfs/uio_name.h"

namespace bulkhead::supervisor {

enum class EventKind : std::uint8_t { Added, Removed, Reconfig };
[[nodiscard]] std::string_view to_string(EventKind kind);

// What Reconfig asks for: exactly one of these.
struct NewConfig {
  std::string dev_config;  // as the administrator wrote it, without a newline at its end
  bool operator==(const NewConfig&) const = default;
};
struct NewSize {
  ByteCount size;
  bool operator==(const NewSize&) const = default;
};
struct NewWriteCache {
  bool on;
  bool operator==(const NewWriteCache&) const = default;
};
using Change = std::variant<std::monostate, NewConfig, NewSize, NewWriteCache>;  // monostate: not a Reconfig

struct KernelEvent {
  EventKind kind;
  UioMinor minor;
  UioName name;
  std::optional<std::uint32_t> device_id;  // absent before Linux 4.20
  Change change;
};

// A message that is one of the three events. The kernel may wait for its reply even if the rest makes no
// sense: it then waits without a limit, and whoever wrote to configfs can't even be killed.
struct ReceivedEvent {
  EventKind kind;
  std::optional<std::uint32_t> owed_to;  // the device id a DONE must name; nullopt: none is expected
  Result<KernelEvent> event;             // error: malformed; its errno is the status to reply
};

// `message` is one netlink message with its header, at any alignment; `family` what TCM-USER resolved to.
// nullopt: not one of the three events. Error: not even a whole netlink message.
[[nodiscard]] Result<std::optional<ReceivedEvent>> parse_event(std::span<const std::byte> message,
                                                               std::uint16_t family);

// The kernel's refusal (NLMSG_ERROR) of a DONE that we sent. nullopt: the message is something else.
struct RefusedReply {
  int sys_errno;  // ENODEV: nobody waits under that id. EINVAL: it waited for another kind, and now waits for
                  // ever
};
[[nodiscard]] std::optional<RefusedReply> parse_refusal(std::span<const std::byte> message);

// A generic netlink family came or went (nlctrl's group "notify"). nullopt: the message is something else.
struct FamilyNotice {
  bool registered;
  std::string name;
};
[[nodiscard]] std::optional<FamilyNotice> parse_family_notice(std::span<const std::byte> message);

}  // namespace bulkhead::supervisor
