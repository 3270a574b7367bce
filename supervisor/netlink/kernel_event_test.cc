#include "supervisor/netlink/kernel_event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "supervisor/netlink/fake_kernel.h"

namespace bulkhead::supervisor {
namespace {

using testing::HasSubstr;

constexpr const char* kName = "tcm-user/1/d0/file//srv/a";

std::optional<ReceivedEvent> parsed(const MessageBuilder& message) {
  Result<std::optional<ReceivedEvent>> received = parse_event(message.build(), kTestFamily);
  EXPECT_TRUE(received.has_value());
  return received ? std::move(*received) : std::nullopt;
}
MessageBuilder reconfig() {
  return device_message(TCMU_CMD_RECONFIG_DEVICE, kName, 9);
}

TEST(KernelEvent, AddedHasNameMinorAndDeviceIdAndIsOwedAReply) {
  const auto received = parsed(device_message(TCMU_CMD_ADDED_DEVICE, kName, 9));
  ASSERT_TRUE(received && received->event);
  EXPECT_EQ(received->kind, EventKind::Added);
  EXPECT_EQ(received->owed_to, 9u);
  EXPECT_EQ(received->event->minor, UioMinor{3});
  EXPECT_EQ(received->event->device_id, 9u);
  EXPECT_EQ(received->event->name, (UioName{"user_1", "d0", "file//srv/a"}));
  EXPECT_EQ(received->event->change, Change());
}

TEST(KernelEvent, AnyAlignmentOfTheBytesGivesTheSame) {
  const std::vector<std::byte> message = device_message(TCMU_CMD_REMOVED_DEVICE, kName, 9).build();
  for (std::size_t shift = 0; shift < 8; ++shift) {
    std::vector<std::byte> shifted(shift);
    shifted.insert(shifted.end(), message.begin(), message.end());
    const auto received = parse_event(std::span(shifted).subspan(shift), kTestFamily);
    ASSERT_TRUE(received && *received && (*received)->event);
    EXPECT_EQ((*received)->kind, EventKind::Removed);
  }
}

TEST(KernelEvent, ReconfigCarriesItsOneChange) {
  EXPECT_EQ(parsed(reconfig().text(TCMU_ATTR_DEV_CFG, "file//srv/b\n"))->event->change,
            Change(NewConfig{"file//srv/b"}));
  EXPECT_EQ(parsed(reconfig().number(TCMU_ATTR_DEV_SIZE, std::uint64_t{1} << 40))->event->change,
            Change(NewSize{{std::uint64_t{1} << 40}}));
  EXPECT_EQ(parsed(reconfig().number(TCMU_ATTR_WRITECACHE, std::uint8_t{1}))->event->change,
            Change(NewWriteCache{true}));
}

TEST(KernelEvent, ReconfigOfTheUnknownIsRefusedAsNotSupportedAndAnswered) {
  const auto received = parsed(reconfig());
  EXPECT_EQ(received->owed_to, 9u);
  EXPECT_EQ(received->event.error().sys_errno, EOPNOTSUPP);
}

TEST(KernelEvent, EveryMalformedEventWithADeviceIdIsStillOwedItsReply) {
  MessageBuilder no_name(TCMU_CMD_ADDED_DEVICE);
  no_name.number(TCMU_ATTR_DEVICE_ID, std::uint32_t{7}).number(TCMU_ATTR_MINOR, std::uint32_t{3});
  MessageBuilder no_minor(TCMU_CMD_REMOVED_DEVICE);
  no_minor.number(TCMU_ATTR_DEVICE_ID, std::uint32_t{7}).text(TCMU_ATTR_DEVICE, kName);
  MessageBuilder short_minor(TCMU_CMD_ADDED_DEVICE);
  short_minor.text(TCMU_ATTR_DEVICE, kName).number(TCMU_ATTR_MINOR, std::uint8_t{3});
  short_minor.number(TCMU_ATTR_DEVICE_ID, std::uint32_t{7});
  MessageBuilder unterminated(TCMU_CMD_ADDED_DEVICE);
  unterminated.number(TCMU_ATTR_DEVICE_ID, std::uint32_t{7}).bytes(TCMU_ATTR_DEVICE, "tcm-user/1/d0/x", 15);
  MessageBuilder empty_name(TCMU_CMD_ADDED_DEVICE);
  empty_name.number(TCMU_ATTR_DEVICE_ID, std::uint32_t{7}).bytes(TCMU_ATTR_DEVICE, "", 0);
  for (const MessageBuilder& message :
       {no_name, no_minor, short_minor, unterminated, empty_name,
        device_message(TCMU_CMD_ADDED_DEVICE, "tcm-user/?", 7),
        device_message(TCMU_CMD_RECONFIG_DEVICE, kName, 7).text(TCMU_ATTR_DEV_CFG, std::string(300, 'x')),
        device_message(TCMU_CMD_RECONFIG_DEVICE, kName, 7).number(TCMU_ATTR_DEV_SIZE, std::uint32_t{1})}) {
    const auto received = parsed(message);
    ASSERT_TRUE(received);
    EXPECT_EQ(received->owed_to, 7u);
    ASSERT_FALSE(received->event.has_value());
    EXPECT_EQ(received->event.error().sys_errno, EINVAL);
  }
}

TEST(KernelEvent, VersionOneKernelsAreOwedNoReply) {
  MessageBuilder message(TCMU_CMD_ADDED_DEVICE, 1);
  message.text(TCMU_ATTR_DEVICE, kName).number(TCMU_ATTR_MINOR, std::uint32_t{3});
  message.number(TCMU_ATTR_DEVICE_ID, std::uint32_t{9});
  EXPECT_EQ(parsed(message)->owed_to, std::nullopt);
  EXPECT_TRUE(parsed(message)->event.has_value());
}

TEST(KernelEvent, WithoutADeviceIdNobodyCanBeAnswered) {
  MessageBuilder message(TCMU_CMD_ADDED_DEVICE);
  message.text(TCMU_ATTR_DEVICE, kName).number(TCMU_ATTR_MINOR, std::uint32_t{3});
  EXPECT_EQ(parsed(message)->owed_to, std::nullopt);
}

TEST(KernelEvent, OtherMessagesAreNoEvents) {
  EXPECT_EQ(parsed(MessageBuilder(TCMU_CMD_SET_FEATURES)), std::nullopt);
  EXPECT_EQ(parsed(MessageBuilder(TCMU_CMD_ADDED_DEVICE_DONE)), std::nullopt);
  EXPECT_EQ(parsed(MessageBuilder(TCMU_CMD_ADDED_DEVICE, 2, kTestFamily + 1)), std::nullopt);
}

TEST(KernelEvent, EveryCutMessageIsAnErrorOrStillWhole) {
  const std::vector<std::byte> message = device_message(TCMU_CMD_ADDED_DEVICE, kName, 9).build();
  for (std::size_t size = 0; size < message.size(); ++size)
    EXPECT_FALSE(parse_event(std::span(message).first(size), kTestFamily).has_value()) << size;
  EXPECT_TRUE(parse_event(message, kTestFamily).has_value());
}

TEST(KernelEvent, RefusalNamesTheErrnoAndNothingElseIsOne) {
  const std::vector<std::byte> done = MessageBuilder(TCMU_CMD_ADDED_DEVICE_DONE)
                                          .number(TCMU_ATTR_CMD_STATUS, std::int32_t{0})
                                          .number(TCMU_ATTR_DEVICE_ID, std::uint32_t{5})
                                          .build();
  nlmsghdr header{0, NLMSG_ERROR, 0, 0, 0};
  const std::int32_t error = -EINVAL;
  header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + sizeof error + done.size());
  std::vector<std::byte> message(header.nlmsg_len);
  std::memcpy(message.data(), &header, sizeof header);
  std::memcpy(message.data() + sizeof header, &error, sizeof error);
  std::memcpy(message.data() + sizeof header + sizeof error, done.data(), done.size());
  const auto refused = parse_refusal(message);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->sys_errno, EINVAL);
  EXPECT_FALSE(parse_refusal(done));
  const std::int32_t no_errno = INT32_MIN;
  std::memcpy(message.data() + sizeof header, &no_errno, sizeof no_errno);
  EXPECT_FALSE(parse_refusal(message));
}

TEST(KernelEvent, FamilyNoticeTellsComingFromGoing) {
  const auto came = parse_family_notice(
      MessageBuilder(CTRL_CMD_NEWFAMILY, 2, GENL_ID_CTRL).text(CTRL_ATTR_FAMILY_NAME, "TCM-USER").build());
  ASSERT_TRUE(came);
  EXPECT_TRUE(came->registered);
  EXPECT_EQ(came->name, "TCM-USER");
  const auto went = parse_family_notice(
      MessageBuilder(CTRL_CMD_DELFAMILY, 2, GENL_ID_CTRL).text(CTRL_ATTR_FAMILY_NAME, "TCM-USER").build());
  EXPECT_FALSE(went->registered);
  EXPECT_FALSE(parse_family_notice(device_message(TCMU_CMD_ADDED_DEVICE, kName, 9).build()));
}

}  // namespace
}  // namespace bulkhead::supervisor
