#include "supervisor/netlink/kernel_event.h"

#include <fmt/format.h>
#include <linux/genetlink.h>
#include <netlink/attr.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "supervisor/netlink/tcm_user_abi.h"

namespace bulkhead::supervisor {
namespace {

// A message moved to where its headers are aligned. Attributes are then aligned to 4, which is all netlink
// promises.
class AlignedMessage {
 public:
  explicit AlignedMessage(std::span<const std::byte> bytes)
      : words_(bytes.size() / 4 + 1), size_(bytes.size()) {
    if (!bytes.empty()) std::memcpy(words_.data(), bytes.data(), bytes.size());
  }
  // nullptr: shorter than it says, or than a header.
  [[nodiscard]] const nlmsghdr* header() const {
    if (size_ < NLMSG_HDRLEN) return nullptr;
    const auto* header = reinterpret_cast<const nlmsghdr*>(words_.data());
    return header->nlmsg_len >= NLMSG_HDRLEN && header->nlmsg_len <= size_ ? header : nullptr;
  }
  [[nodiscard]] std::span<const char> payload() const {
    const char* bytes = reinterpret_cast<const char*>(words_.data());
    return {bytes + NLMSG_HDRLEN, header()->nlmsg_len - NLMSG_HDRLEN};
  }

 private:
  std::vector<std::uint32_t> words_;
  std::size_t size_;
};

struct GenericPayload {
  genlmsghdr header;
  nlattr* attributes;  // libnl takes no const; nothing here writes
  int length;
};

std::optional<GenericPayload> generic_payload(std::span<const char> payload) {
  if (payload.size() < GENL_HDRLEN) return std::nullopt;
  GenericPayload generic{};
  std::memcpy(&generic.header, payload.data(), sizeof generic.header);
  const std::span<const char> rest = payload.subspan(GENL_HDRLEN);
  generic.attributes = reinterpret_cast<nlattr*>(const_cast<char*>(rest.data()));
  generic.length = static_cast<int>(rest.size());
  return generic;
}

std::optional<EventKind> kind_of(std::uint8_t command) {
  switch (command) {
    case TCMU_CMD_ADDED_DEVICE:
      return EventKind::Added;
    case TCMU_CMD_REMOVED_DEVICE:
      return EventKind::Removed;
    case TCMU_CMD_RECONFIG_DEVICE:
      return EventKind::Reconfig;
    default:
      return std::nullopt;
  }
}

// By itself, before and apart from the validation of the whole: it decides whether someone waits.
std::optional<std::uint32_t> find_device_id(const GenericPayload& generic) {
  const nlattr* id = ::nla_find(generic.attributes, generic.length, TCMU_ATTR_DEVICE_ID);
  if (id == nullptr || ::nla_len(id) != sizeof(std::uint32_t)) return std::nullopt;
  return ::nla_get_u32(id);
}

nla_policy text_of_at_most(std::uint16_t bytes) {
  return {.type = NLA_STRING, .minlen = 1, .maxlen = bytes};
}

using Attributes = std::array<nlattr*, TCMU_ATTR_MAX + 1>;

Result<Attributes> validate(const GenericPayload& generic) {
  std::array<nla_policy, TCMU_ATTR_MAX + 1> policy{};
  policy[TCMU_ATTR_DEVICE] = text_of_at_most(1024);
  policy[TCMU_ATTR_MINOR].type = NLA_U32;
  policy[TCMU_ATTR_DEV_CFG] = text_of_at_most(4096 + 1);  // what configfs can be given
  policy[TCMU_ATTR_DEV_SIZE].type = NLA_U64;
  policy[TCMU_ATTR_WRITECACHE].type = NLA_U8;
  policy[TCMU_ATTR_DEVICE_ID].type = NLA_U32;
  Attributes found{};
  if (::nla_parse(found.data(), TCMU_ATTR_MAX, generic.attributes, generic.length, policy.data()) < 0)
    return fail(Cause::BadInput, EINVAL, "an attribute is malformed");
  return found;
}

std::string text_in(const nlattr* attribute) {
  const std::string_view bytes(static_cast<const char*>(::nla_data(attribute)),
                               static_cast<std::size_t>(::nla_len(attribute)));
  return std::string(bytes.substr(0, bytes.find('\0')));
}

// The kernel puts in exactly one. Of several, tcmu-runner's order decides.
Result<Change> change_in(const Attributes& found) {
  if (const nlattr* config = found[TCMU_ATTR_DEV_CFG]) {
    std::string text = text_in(config);
    if (text.ends_with('\n')) text.pop_back();
    if (text.size() > kMaxDevConfig)
      return fail(Cause::BadInput, EINVAL, "new dev_config longer than 255 bytes");
    return NewConfig{std::move(text)};
  }
  if (const nlattr* size = found[TCMU_ATTR_DEV_SIZE]) return NewSize{{::nla_get_u64(size)}};
  if (const nlattr* cache = found[TCMU_ATTR_WRITECACHE]) return NewWriteCache{::nla_get_u8(cache) != 0};
  return fail(Cause::BadInput, EOPNOTSUPP, "a reconfiguration of something this version does not know");
}

Result<KernelEvent> event_in(EventKind kind, const GenericPayload& generic) {
  const Result<Attributes> found = validate(generic);
  if (!found) return std::unexpected(found.error());
  const nlattr* device = (*found)[TCMU_ATTR_DEVICE];
  const nlattr* minor = (*found)[TCMU_ATTR_MINOR];
  if (device == nullptr || minor == nullptr)
    return fail(Cause::BadInput, EINVAL, "no device name or no uio minor");
  Result<UioName> name = parse_uio_name(text_in(device));
  if (!name) return std::unexpected(std::move(name.error()));
  KernelEvent event{kind, {::nla_get_u32(minor)}, std::move(*name), find_device_id(generic), {}};
  if (kind != EventKind::Reconfig) return event;
  Result<Change> change = change_in(*found);
  if (!change) return std::unexpected(std::move(change.error()));
  event.change = std::move(*change);
  return event;
}

}  // namespace

std::string_view to_string(EventKind kind) {
  switch (kind) {
    case EventKind::Added:
      return "ADDED";
    case EventKind::Removed:
      return "REMOVED";
    case EventKind::Reconfig:
      return "RECONFIG";
  }
  return "unknown";
}

Result<std::optional<ReceivedEvent>> parse_event(std::span<const std::byte> message, std::uint16_t family) {
  const AlignedMessage aligned(message);
  const nlmsghdr* header = aligned.header();
  if (header == nullptr) return fail(Cause::BadInput, EBADMSG, "a netlink message cut short");
  if (header->nlmsg_type != family) return std::nullopt;
  const std::optional<GenericPayload> generic = generic_payload(aligned.payload());
  if (!generic) return fail(Cause::BadInput, EBADMSG, "a generic netlink message cut short");
  const std::optional<EventKind> kind = kind_of(generic->header.cmd);
  if (!kind) return std::nullopt;
  Result<KernelEvent> event = event_in(*kind, *generic);
  if (!event) event.error().what = fmt::format("{} event: {}", to_string(*kind), event.error().what);
  // Version 1 (before Linux 4.15) knows no replies.
  std::optional<std::uint32_t> owed_to;
  if (generic->header.version > 1) owed_to = find_device_id(*generic);
  return ReceivedEvent{*kind, owed_to, std::move(event)};
}

std::optional<RefusedReply> parse_refusal(std::span<const std::byte> message) {
  const AlignedMessage aligned(message);
  const nlmsghdr* header = aligned.header();
  if (header == nullptr || header->nlmsg_type != NLMSG_ERROR) return std::nullopt;
  const std::span<const char> payload = aligned.payload();
  nlmsgerr refusal{};
  if (payload.size() < sizeof refusal) return std::nullopt;
  std::memcpy(&refusal, payload.data(), sizeof refusal);
  constexpr int kMaxErrno = 4095;
  if (refusal.error >= 0 || refusal.error < -kMaxErrno) return std::nullopt;  // 0: an acknowledgement
  return RefusedReply{-refusal.error};
}

std::optional<FamilyNotice> parse_family_notice(std::span<const std::byte> message) {
  const AlignedMessage aligned(message);
  const nlmsghdr* header = aligned.header();
  if (header == nullptr || header->nlmsg_type != GENL_ID_CTRL) return std::nullopt;
  const std::optional<GenericPayload> generic = generic_payload(aligned.payload());
  if (!generic) return std::nullopt;
  const std::uint8_t command = generic->header.cmd;
  if (command != CTRL_CMD_NEWFAMILY && command != CTRL_CMD_DELFAMILY) return std::nullopt;
  const nlattr* name = ::nla_find(generic->attributes, generic->length, CTRL_ATTR_FAMILY_NAME);
  if (name == nullptr || ::nla_len(name) == 0) return std::nullopt;
  return FamilyNotice{command == CTRL_CMD_NEWFAMILY, text_in(name)};
}

}  // namespace bulkhead::supervisor
