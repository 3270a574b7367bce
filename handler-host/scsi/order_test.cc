// What the order of arrival promises, whatever the order in which the handler ends its operations.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/endian.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using ::testing::ElementsAre;

TEST(Order, OverlappingWritesAreDoneAndAnsweredAsTheyCame) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& first = lun.start(write10(Lba{0}, BlockCount{2}), Bytes(1024, 1));
  TestCommand& second = lun.start(write10(Lba{1}, BlockCount{2}), Bytes(1024, 2));
  TestCommand& third = lun.start(write10(Lba{2}, BlockCount{2}), Bytes(1024, 3));
  EXPECT_EQ(lun.device.held(), 1u);
  lun.device.finish_all();
  EXPECT_THAT(lun.answered, ElementsAre(&first, &second, &third));
  EXPECT_EQ(lun.medium(Lba{1}, BlockCount{1}), lun.block_of(2));
  EXPECT_EQ(lun.medium(Lba{2}, BlockCount{1}), lun.block_of(3));
}

TEST(Order, WritesThatDoNotOverlapDoNotWait) {
  TestLun lun;
  lun.device.hold(true);
  lun.start(write10(Lba{0}, BlockCount{2}), Bytes(1024, 1));
  lun.start(write10(Lba{2}, BlockCount{2}), Bytes(1024, 2));
  EXPECT_EQ(lun.device.held(), 2u);
  lun.device.finish_all();
}

TEST(Order, ReadsDoNotWaitForWrites) {
  TestLun lun;
  lun.device.hold(true);
  lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  lun.start(read10(Lba{0}, BlockCount{1}), lun.block_of(0));
  EXPECT_EQ(lun.device.held(), 2u);
  lun.device.finish_all();
}

// A replay after a crash must find every earlier overlapping write answered: the answer comes before the next
// starts.
TEST(Order, AWriteStartsOnlyAfterTheOneItWaitedForWasAnswered) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& first = lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(2));
  std::vector<bool> first_was_answered;
  lun.device.on_begin = [&](const Op&) { first_was_answered.push_back(first.answered()); };
  lun.device.finish_all();
  EXPECT_THAT(first_was_answered, ElementsAre(true));
}

TEST(Order, AFailedWriteLetsTheNextOneThrough) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& first = lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  TestCommand& second = lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(2));
  lun.device.finish(0, handler::IoStatus::WriteError);
  EXPECT_THAT(first.reply(), HasSense(SenseKey::MediumError, asc::kWriteError));
  lun.device.finish_all();
  EXPECT_THAT(second.reply(), IsGood());
}

TEST(Order, AThousandWritesOfOneBlockThatEndAtOnceAreNoDeepStack) {
  TestLun lun({.max_commands = 1000});
  lun.device.hold(true);
  for (int i = 0; i < 1000; ++i)
    lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(static_cast<std::uint8_t>(i)));
  lun.device.hold(false);
  lun.device.finish();  // the others end within this call
  EXPECT_EQ(lun.answered.size(), 1000u);
  EXPECT_EQ(lun.medium(Lba{0}, BlockCount{1}), lun.block_of(static_cast<std::uint8_t>(999)));
}

// Random changes, started at random times, ended in random order: the medium ends up as if each had been done
// alone in the order of arrival. (The device itself checks that no two overlap.)
class RandomChanges : public ::testing::TestWithParam<unsigned> {
 protected:
  static constexpr std::uint64_t kBlocks = 24;

  std::uint64_t up_to(std::uint64_t most) {
    return std::uniform_int_distribution<std::uint64_t>(0, most)(random_);
  }
  std::pair<Lba, BlockCount> extent() {
    const std::uint64_t first = up_to(kBlocks - 1);
    return {Lba{first}, BlockCount{1 + up_to(kBlocks - first - 1)}};
  }
  void expect(Lba first, BlockCount count, std::uint8_t value) {
    std::fill_n(model_.begin() + static_cast<std::ptrdiff_t>(first.value), count.value, value);
  }

  void start_something(TestLun& lun) {
    const auto value = static_cast<std::uint8_t>(1 + up_to(254));
    const auto [first, count] = extent();
    switch (up_to(7)) {
      case 0:
        lun.start(write16(first, count), Bytes(count.value * 512, value));
        return expect(first, count, value);
      case 1:
        lun.start(write_same10(first, count), lun.block_of(value));
        return expect(first, count, value);
      case 2:
        lun.start(write_same16(first, count, 0x08), lun.block_of(0));
        return expect(first, count, 0);
      case 3: {
        const auto [other, more] = extent();
        const Bytes list = unmap_list({{first.value, static_cast<std::uint32_t>(count.value)},
                                       {other.value, static_cast<std::uint32_t>(more.value)}});
        lun.start(unmap_cdb(list.size()), list);
        expect(first, count, 0);
        return expect(other, more, 0);
      }
      case 4:
        lun.start(extent_cdb(0x8e, first, count, 0x02), Bytes(count.value * 512, value));
        return expect(first, count, value);
      case 5:
        lun.start(extent_cdb(0x8b, first, count), Bytes(count.value * 512, value));
        for (std::uint64_t lba = first.value; lba < first.value + count.value; ++lba) model_[lba] |= value;
        return;
      case 6: {
        // Equal only if all that came before is done, and nothing else.
        Bytes data;
        for (std::uint64_t lba = first.value; lba < first.value + count.value; ++lba)
          data.insert(data.end(), 512, model_[lba]);
        data.resize(2 * data.size(), value);
        lun.start(extent_cdb(0x89, first, count), data);
        return expect(first, count, value);
      }
      default:
        lun.start(read16(first, count), Bytes(count.value * 512));
    }
  }

  std::mt19937 random_{GetParam()};
  std::vector<std::uint8_t> model_ = std::vector<std::uint8_t>(kBlocks, 0);
};
INSTANTIATE_TEST_SUITE_P(Seeds, RandomChanges, ::testing::Range(0u, 20u));

TEST_P(RandomChanges, EndAsIfDoneInOrderOfArrival) {
  handler::Geometry geometry = thin();
  geometry.max_discard_bytes = 3 * 512;
  TestLun lun({.blocks = BlockCount{kBlocks}, .geometry = geometry, .max_commands = 2000});
  lun.device.hold(true);
  for (int i = 0; i < 800; ++i) {
    start_something(lun);
    while (lun.device.held() > 0 && up_to(2) > 0) lun.device.finish(up_to(lun.device.held() - 1));
  }
  while (lun.device.held() > 0) lun.device.finish(up_to(lun.device.held() - 1));
  EXPECT_EQ(lun.answered.size(), 800u);
  for (const TestCommand* command : lun.answered) EXPECT_THAT(command->reply(), IsGood());
  for (std::uint64_t lba = 0; lba < kBlocks; ++lba)
    EXPECT_EQ(lun.medium(Lba{lba}, BlockCount{1}), lun.block_of(model_[lba])) << lba;
}

}  // namespace
}  // namespace bulkhead::scsi
