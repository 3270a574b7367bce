#include "supervisor/netlink/reply_desk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "supervisor/netlink/fake_kernel.h"

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

class ReplyDeskTest : public testing::Test {
 protected:
  boost::asio::io_context loop_{1};
  FakePort kernel_;
  std::shared_ptr<ReplyDesk> desk_ = std::make_shared<ReplyDesk>(loop_.get_executor(), kernel_);
};

TEST_F(ReplyDeskTest, AnswerGoesOutOnceWithTheNegativeErrno) {
  {
    PendingReply reply = desk_->owe(EventKind::Added, 4, 1h);
    EXPECT_TRUE(reply.owed());
    EXPECT_TRUE(reply.answer(fail(Cause::Denied, EACCES, "no")));
    EXPECT_FALSE(reply.owed());
  }
  PendingReply fine = desk_->owe(EventKind::Removed, 5, 1h);
  EXPECT_TRUE(fine.answer({}));
  EXPECT_THAT(kernel_.sent,
              ElementsAre(SentReply{EventKind::Added, 4, -EACCES}, SentReply{EventKind::Removed, 5, 0}));
}

TEST_F(ReplyDeskTest, ErrorWithoutAnErrnoStillBecomesANegativeStatus) {
  desk_->owe(EventKind::Added, 1, 1h).answer(fail(Cause::Busy, 0, "held"));
  desk_->owe(EventKind::Added, 2, 1h).answer(fail(Cause::Backend, -5, "nonsense"));
  EXPECT_THAT(kernel_.sent,
              ElementsAre(SentReply{EventKind::Added, 1, -EBUSY}, SentReply{EventKind::Added, 2, -1}));
}

TEST_F(ReplyDeskTest, ForgottenReplyIsAnsweredWithEioOnAnyPath) {
  {
    const PendingReply dropped = desk_->owe(EventKind::Added, 1, 1h);
  }
  PendingReply overwritten = desk_->owe(EventKind::Reconfig, 2, 1h);
  overwritten = PendingReply();
  PendingReply moved = desk_->owe(EventKind::Removed, 3, 1h);
  {
    const PendingReply target = std::move(moved);
  }
  EXPECT_THAT(kernel_.sent,
              ElementsAre(SentReply{EventKind::Added, 1, -EIO}, SentReply{EventKind::Reconfig, 2, -EIO},
                          SentReply{EventKind::Removed, 3, -EIO}));
}

TEST_F(ReplyDeskTest, TimeUpAnswersOnceAndTheLateAnswerLearnsOfIt) {
  PendingReply reply = desk_->owe(EventKind::Added, 4, 1ms);
  loop_.run();
  EXPECT_THAT(kernel_.sent, ElementsAre(SentReply{EventKind::Added, 4, -ETIMEDOUT}));
  EXPECT_FALSE(reply.answer({}));
  EXPECT_EQ(kernel_.sent.size(), 1u);
}

TEST_F(ReplyDeskTest, NewLimitReplacesTheOldOne) {
  PendingReply reply = desk_->owe(EventKind::Added, 4, 1ms);
  reply.set_limit(1h);
  loop_.run_for(20ms);
  EXPECT_THAT(kernel_.sent, IsEmpty());
  reply.set_limit(1ms);
  loop_.restart();
  loop_.run();
  EXPECT_THAT(kernel_.sent, ElementsAre(SentReply{EventKind::Added, 4, -ETIMEDOUT}));
}

TEST_F(ReplyDeskTest, NewEventOfTheSameDeviceVoidsTheOldReplyWhoseKindWouldHangTheKernel) {
  PendingReply added = desk_->owe(EventKind::Added, 4, 1h);
  PendingReply removed = desk_->owe(EventKind::Removed, 4, 1h);
  EXPECT_FALSE(added.owed());
  EXPECT_FALSE(added.answer({}));
  EXPECT_THAT(kernel_.sent, IsEmpty());
  EXPECT_TRUE(removed.answer({}));
  EXPECT_THAT(kernel_.sent, ElementsAre(SentReply{EventKind::Removed, 4, 0}));
}

TEST_F(ReplyDeskTest, LeftToAnotherDaemonNothingIsSent) {
  {
    PendingReply reply = desk_->owe(EventKind::Added, 4, 1ms);
    reply.leave_to_another_daemon();
  }
  loop_.run();
  EXPECT_THAT(kernel_.sent, IsEmpty());
}

TEST_F(ReplyDeskTest, FullSocketBufferDelaysTheReplyButLosesNone) {
  kernel_.refuse_sends = 3;
  EXPECT_TRUE(desk_->owe(EventKind::Added, 4, 1h).answer({}));
  EXPECT_TRUE(desk_->owe(EventKind::Added, 5, 1h).answer({}));
  loop_.run();
  EXPECT_THAT(kernel_.sent, testing::UnorderedElementsAre(SentReply{EventKind::Added, 4, 0},
                                                          SentReply{EventKind::Added, 5, 0}));
}

TEST_F(ReplyDeskTest, ReplyThatTheKernelRefusesIsNotSentAgain) {
  kernel_.refuse_sends = 2;
  kernel_.send_error = {Cause::NotFound, ENODEV, "nobody waits"};
  EXPECT_TRUE(desk_->owe(EventKind::Added, 4, 1h).answer({}));
  kernel_.send_error = {Cause::PeerBroken, EINVAL, "wrong kind"};
  EXPECT_TRUE(desk_->owe(EventKind::Added, 5, 1h).answer({}));
  loop_.run();
  EXPECT_EQ(kernel_.refuse_sends, 0);
  EXPECT_THAT(kernel_.sent, IsEmpty());
}

TEST_F(ReplyDeskTest, ReplyThatWaitsForRoomIsVoidedByTheDevicesNextEvent) {
  kernel_.refuse_sends = 1;
  desk_->owe(EventKind::Added, 4, 1h).answer({});
  PendingReply removed = desk_->owe(EventKind::Removed, 4, 1h);
  loop_.run_for(50ms);
  EXPECT_THAT(kernel_.sent, IsEmpty());
  removed.answer({});
  EXPECT_THAT(kernel_.sent, ElementsAre(SentReply{EventKind::Removed, 4, 0}));
}

TEST_F(ReplyDeskTest, ClosedDeskHasAnsweredAllAndRepliesMayOutliveIt) {
  PendingReply reply = desk_->owe(EventKind::Added, 4, 1h);
  desk_->close();
  EXPECT_THAT(kernel_.sent, ElementsAre(SentReply{EventKind::Added, 4, -EIO}));
  desk_.reset();
  EXPECT_FALSE(reply.answer({}));
  EXPECT_EQ(kernel_.sent.size(), 1u);
}

}  // namespace
}  // namespace bulkhead::supervisor
