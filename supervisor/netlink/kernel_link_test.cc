#include "supervisor/netlink/kernel_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "supervisor/netlink/fake_kernel.h"

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kName = "tcm-user/1/d0/file//srv/a";

asio::awaitable<void> collect(KernelLink& link, std::size_t count, std::vector<Result<LinkEvent>>& into) {
  while (into.size() < count) {
    Result<LinkEvent> event = co_await link.next();
    into.push_back(std::move(event));
  }
}

class KernelLinkTest : public testing::Test {
 protected:
  KernelLinkTest() {
    auto port = std::make_unique<FakePort>();
    kernel_ = port.get();
    link_ = std::make_unique<KernelLink>(loop_.get_executor(), std::move(port), 1h);
  }
  // Waits for events that the test delivers before or while the loop runs.
  std::vector<Result<LinkEvent>>& events(std::size_t count) {
    asio::co_spawn(loop_, collect(*link_, count, events_), asio::detached);
    loop_.restart();
    while (events_.size() < count && loop_.run_one_for(10s) > 0) {
    }
    EXPECT_EQ(events_.size(), count);
    return events_;
  }
  const Announced& announced(std::size_t index) { return std::get<Announced>(*events_.at(index)); }
  void answer(std::size_t index) { std::get<Announced>(*events_.at(index)).reply.answer({}); }
  std::string resync_reason(std::size_t index) { return std::get<Resync>(*events_.at(index)).reason; }

  asio::io_context loop_{1};
  FakePort* kernel_ = nullptr;
  std::vector<Result<LinkEvent>> events_;
  std::unique_ptr<KernelLink> link_;
};

TEST_F(KernelLinkTest, EventsComeInOrderEachWithItsReply) {
  ASSERT_EQ(link_->start(), true);
  kernel_->deliver(device_message(TCMU_CMD_ADDED_DEVICE, kName, 4));
  kernel_->deliver(device_message(TCMU_CMD_ADDED_DEVICE, "tcm-user/2/d1/file//b", 5));
  events(2);
  EXPECT_EQ(announced(0).event.name.device, "d0");
  EXPECT_EQ(announced(1).event.name.device, "d1");
  answer(1);
  answer(0);
  EXPECT_THAT(kernel_->sent,
              ElementsAre(SentReply{EventKind::Added, 5, 0}, SentReply{EventKind::Added, 4, 0}));
}

TEST_F(KernelLinkTest, SeveralMessagesInOneDatagramAreAllTaken) {
  ASSERT_EQ(link_->start(), true);
  std::vector<std::byte> both = device_message(TCMU_CMD_ADDED_DEVICE, kName, 4).build();
  const std::vector<std::byte> second = device_message(TCMU_CMD_REMOVED_DEVICE, kName, 5).build();
  both.insert(both.end(), second.begin(), second.end());
  kernel_->deliver(both);
  events(2);
  EXPECT_EQ(announced(1).event.kind, EventKind::Removed);
}

TEST_F(KernelLinkTest, WaitsWithoutEventsAndWakesWhenOneComes) {
  ASSERT_EQ(link_->start(), true);
  asio::steady_timer later(loop_, 20ms);
  later.async_wait([this](auto) { kernel_->deliver(device_message(TCMU_CMD_ADDED_DEVICE, kName, 4)); });
  events(1);
  EXPECT_EQ(announced(0).event.device_id, 4u);
}

TEST_F(KernelLinkTest, MalformedAddedIsAnsweredHereAndNeverSeenAbove) {
  ASSERT_EQ(link_->start(), true);
  kernel_->deliver(device_message(TCMU_CMD_ADDED_DEVICE, "tcm-user/", 4));
  kernel_->deliver(device_message(TCMU_CMD_ADDED_DEVICE, kName, 5));
  events(1);
  EXPECT_EQ(announced(0).event.device_id, 5u);
  EXPECT_THAT(kernel_->sent, ElementsAre(SentReply{EventKind::Added, 4, -EINVAL}));
}

TEST_F(KernelLinkTest, MalformedRemovedIsAnsweredAndMakesTheSupervisorLookForItself) {
  ASSERT_EQ(link_->start(), true);
  kernel_->deliver(device_message(TCMU_CMD_REMOVED_DEVICE, "tcm-user/", 4));
  events(1);
  EXPECT_THAT(resync_reason(0), HasSubstr("REMOVED event"));
  EXPECT_THAT(kernel_->sent, ElementsAre(SentReply{EventKind::Removed, 4, -EINVAL}));
}

TEST_F(KernelLinkTest, OverrunIsAResyncOnceTheSocketIsEmptySinceTheKernelDropsEventsUntilThen) {
  ASSERT_EQ(link_->start(), true);
  kernel_->overrun();
  kernel_->deliver(device_message(TCMU_CMD_ADDED_DEVICE, kName, 4));
  kernel_->deliver(device_message(TCMU_CMD_ADDED_DEVICE, kName, 5));
  events(3);
  EXPECT_EQ(announced(0).event.device_id, 4u);
  EXPECT_EQ(announced(1).event.device_id, 5u);
  EXPECT_THAT(resync_reason(2), HasSubstr("faster than they were read"));
  kernel_->deliver(device_message(TCMU_CMD_ADDED_DEVICE, kName, 6));
  events(4);
  EXPECT_EQ(announced(3).event.device_id, 6u);
}

TEST_F(KernelLinkTest, ModuleLoadedLaterIsAttachedToAndAnnouncedAsResync) {
  kernel_->attach_result = fail(Cause::NotFound, ENOENT, "no family");
  ASSERT_EQ(link_->start(), false);
  kernel_->attach_result = {};
  kernel_->deliver(MessageBuilder(CTRL_CMD_NEWFAMILY, 2, GENL_ID_CTRL).text(CTRL_ATTR_FAMILY_NAME, "other"));
  kernel_->deliver(
      MessageBuilder(CTRL_CMD_NEWFAMILY, 2, GENL_ID_CTRL).text(CTRL_ATTR_FAMILY_NAME, "TCM-USER"));
  kernel_->deliver(device_message(TCMU_CMD_ADDED_DEVICE, kName, 4));
  events(2);
  EXPECT_THAT(resync_reason(0), HasSubstr("was loaded"));
  EXPECT_EQ(announced(1).event.device_id, 4u);
  EXPECT_EQ(kernel_->attached, 2);
}

TEST_F(KernelLinkTest, ModuleThatWeMayNotSpeakToIsAnErrorAtStartAndLater) {
  kernel_->attach_result = fail(Cause::Denied, EPERM, "needs CAP_NET_ADMIN");
  EXPECT_EQ(link_->start().error().cause, Cause::Denied);
  kernel_->deliver(
      MessageBuilder(CTRL_CMD_NEWFAMILY, 2, GENL_ID_CTRL).text(CTRL_ATTR_FAMILY_NAME, "TCM-USER"));
  EXPECT_EQ(events(1).front().error().cause, Cause::Denied);
}

TEST_F(KernelLinkTest, BrokenSocketIsAnError) {
  ASSERT_EQ(link_->start(), true);
  kernel_->break_down();
  EXPECT_EQ(events(1).front().error().sys_errno, EBADF);
}

TEST_F(KernelLinkTest, DatagramsOfGarbageAreSurvived) {
  ASSERT_EQ(link_->start(), true);
  kernel_->deliver(std::vector<std::byte>{});
  kernel_->deliver(std::vector<std::byte>(7, std::byte{0xff}));
  kernel_->deliver(std::vector<std::byte>(500, std::byte{0xff}));
  kernel_->deliver(std::vector<std::byte>(500, std::byte{0}));
  kernel_->deliver(device_message(TCMU_CMD_ADDED_DEVICE, kName, 4));
  events(1);
  EXPECT_EQ(announced(0).event.device_id, 4u);
}

TEST_F(KernelLinkTest, AfterAStopTheKernelWaitsForNobody) {
  ASSERT_EQ(link_->start(), true);
  EXPECT_TRUE(kernel_->replies_wanted);
  EXPECT_TRUE(link_->wait_no_more());
  EXPECT_FALSE(kernel_->replies_wanted);
}

TEST_F(KernelLinkTest, EventNobodyTookIsAnsweredWhenTheLinkGoes) {
  ASSERT_EQ(link_->start(), true);
  kernel_->deliver(device_message(TCMU_CMD_ADDED_DEVICE, kName, 4));
  events(1);
  std::vector<SentReply> sent;
  struct Recorder final : TcmUserPort {
    explicit Recorder(std::vector<SentReply>& into) : into_(into) {}
    Result<> attach() override { return {}; }
    Result<> wait_no_more() override { return {}; }
    std::uint16_t family() const override { return kTestFamily; }
    int fd() const override { return ready_.get(); }
    Result<std::optional<std::vector<std::byte>>> receive() override { return std::nullopt; }
    Result<> send_done(EventKind kind, std::uint32_t id, std::int32_t status) override {
      into_.push_back({kind, id, status});
      return {};
    }
    std::vector<SentReply>& into_;
    UniqueFd ready_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  };
  PendingReply outliving;
  {
    KernelLink link(loop_.get_executor(), std::make_unique<Recorder>(sent), 1h);
    outliving = link.owe(EventKind::Added, 8);
  }
  EXPECT_THAT(sent, ElementsAre(SentReply{EventKind::Added, 8, -EIO}));
  EXPECT_FALSE(outliving.answer({}));
}

}  // namespace
}  // namespace bulkhead::supervisor
