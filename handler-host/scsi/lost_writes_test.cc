// A write that was answered and is lost is told to an initiator that asks, whoever else came to know of it
// and whichever host serves the LUN then; and where a command failed is told if it is known.
#include <gmock/gmock.h>

#include <optional>

#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using handler::IoStatus;
using ::testing::Eq;
using ::testing::Optional;

Bytes synchronize_cache() {
  return extent_cdb(0x35, Lba{0}, BlockCount{0});
}
auto tells_of_loss() {
  return HasSense(SenseKey::HardwareError, asc::kWriteError);
}

// What one host leaves to the next that is started now.
void succeed(TestLun& lun, TestLun& next) {
  next.unit.restore(lun.unit.state());
}

TEST(LostWrites, AreToldToTheReplayedFlushIfTheHostDiesBeforeItsAnswerIsOut) {
  TestLun lun, next, third;
  const LogicalUnit::State before = lun.unit.state();
  lun.device.fail(OpKind::Flush, IoStatus::WriteError);
  EXPECT_THAT(lun.run(synchronize_cache()), tells_of_loss());
  EXPECT_NE(lun.unit.state(), before);
  succeed(lun, next);
  EXPECT_THAT(next.run(synchronize_cache()), tells_of_loss());
  EXPECT_TRUE(next.unit.answers_are_out());
  EXPECT_THAT(next.run(synchronize_cache()), IsGood());
  succeed(next, third);
  EXPECT_THAT(third.run(synchronize_cache()), IsGood());
}

TEST(LostWrites, AreToldOnceIfTheAnswerIsOut) {
  TestLun lun, next;
  lun.device.fail(OpKind::Flush, IoStatus::NoSpace);
  EXPECT_THAT(lun.run(synchronize_cache()), HasSense(SenseKey::DataProtect, asc::kSpaceAllocationFailed));
  EXPECT_TRUE(lun.unit.answers_are_out());
  EXPECT_FALSE(lun.unit.answers_are_out());
  succeed(lun, next);
  EXPECT_THAT(next.run(synchronize_cache()), IsGood());
}

TEST(LostWrites, ThatOnlyTheHandlerKnowsOfAreHandedOn) {
  TestLun lun, next;
  lun.device.lost = true;
  succeed(lun, next);
  EXPECT_THAT(next.run(synchronize_cache()), tells_of_loss());
}

TEST(LostWrites, ToldToAReadAreToldToTheNextFlush) {
  TestLun lun;
  lun.device.fail(OpKind::Flush, IoStatus::WriteError);
  EXPECT_THAT(lun.get(read10(Lba{0}, BlockCount{1}, 0x08), 512).reply, tells_of_loss());
  EXPECT_FALSE(lun.unit.answers_are_out());
  lun.device.fail(OpKind::Flush, IoStatus::Ok);
  EXPECT_THAT(lun.run(synchronize_cache()), tells_of_loss());
  EXPECT_THAT(lun.run(synchronize_cache()), IsGood());
}

TEST(LostWrites, ToldToTheAdministratorAreToldToTheNextFlush) {
  TestLun lun;
  lun.device.fail(OpKind::Flush, IoStatus::WriteError);
  bool failed = false;
  lun.unit.set_write_cache(false, [&failed](const Result<>& result) { failed = !result; });
  EXPECT_TRUE(failed);
  lun.device.fail(OpKind::Flush, IoStatus::Ok);
  EXPECT_THAT(lun.run({0x1b, 0, 0, 0, 0, 0}), tells_of_loss());  // STOP
  EXPECT_THAT(lun.run(synchronize_cache()), IsGood());
}

// The kernel drops the answers of commands that it has aborted.
TEST(LostWrites, ToldToAnAbortedFlushAreToldToTheNextFlush) {
  TestLun lun;
  lun.device.hold(true);
  lun.device.fail(OpKind::Flush, IoStatus::WriteError);
  TestCommand& flush = lun.start(synchronize_cache());
  EXPECT_FALSE(lun.unit.abort(flush)) << "the handler has it";
  lun.device.finish_all();
  EXPECT_THAT(flush.reply(), tells_of_loss());
  EXPECT_FALSE(lun.unit.answers_are_out());
  lun.device.hold(false);
  lun.device.fail(OpKind::Flush, IoStatus::Ok);
  EXPECT_THAT(lun.run(synchronize_cache()), tells_of_loss());
  EXPECT_THAT(lun.run(synchronize_cache()), IsGood());
}

TEST(LostWrites, AreNotToldToAFlushThatWasAbortedBeforeItBegan) {
  TestLun lun;
  lun.unit.writes_lost();
  TestCommand aborted(synchronize_cache(), {});
  aborted.aborted = true;
  lun.unit.execute(aborted);
  ASSERT_TRUE(aborted.answered());
  EXPECT_THAT(lun.run(synchronize_cache()), tells_of_loss());
}

TEST(LostWrites, OfACloseThatFailedAreToldByTheNextHost) {
  TestLun lun, next;
  lun.unit.writes_lost();
  succeed(lun, next);
  EXPECT_THAT(next.run(synchronize_cache()), tells_of_loss());
}

TEST(LostWrites, AFlushThatWasNotTriedLosesNothing) {
  for (const IoStatus status : {IoStatus::Busy, IoStatus::NotSupported}) {
    TestLun lun;
    const LogicalUnit::State before = lun.unit.state();
    lun.device.fail(OpKind::Flush, status);
    (void)lun.run(synchronize_cache());
    EXPECT_EQ(lun.unit.state(), before);
  }
}

TEST(FailedBlock, IsToldOfACommandOfOneBlock) {
  TestLun lun;
  for (const IoStatus status : {IoStatus::ReadError, IoStatus::BeyondEnd}) {
    lun.device.fail(OpKind::Read, status);
    EXPECT_THAT(sense_information(lun.get(read10(Lba{7}, BlockCount{1}), 512).reply), Optional(Eq(7u)));
    EXPECT_THAT(sense_information(lun.get(read16(Lba{7}, BlockCount{1}), 512).reply), Optional(Eq(7u)));
  }
  lun.device.fail(OpKind::Write, IoStatus::WriteError);
  EXPECT_THAT(sense_information(lun.put(write10(Lba{9}, BlockCount{1}), lun.block_of(1))), Optional(Eq(9u)));
}

// Linux would take the blocks before it for read, but no data comes with CHECK CONDITION.
TEST(FailedBlock, IsNotGuessedForMore) {
  TestLun lun;
  lun.device.fail(OpKind::Read, IoStatus::ReadError);
  EXPECT_EQ(sense_information(lun.get(read10(Lba{7}, BlockCount{2}), 1024).reply), std::nullopt);
  EXPECT_EQ(sense_information(lun.get(read6(7, 0), 256 * 512).reply), std::nullopt);
}

}  // namespace
}  // namespace bulkhead::scsi
