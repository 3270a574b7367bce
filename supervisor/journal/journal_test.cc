#include "supervisor/journal/journal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace bulkhead::supervisor {
namespace {

UniqueFd copy_of(const UniqueFd& fd) {
  return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
}

TEST(Journal, WhatOneSupervisorStoredTheNextOneReads) {
  UniqueFd kept;
  {
    auto journal = Journal::create(8, 16).value();
    EXPECT_FALSE(journal->adopted());
    EXPECT_EQ(journal->record(), "");
    journal->commands()[7].sequence = 42;
    journal->segments()[15].bytes = 4096;
    journal->cursors().taken = RingMark(43, 120);
    ASSERT_TRUE(journal->store_record("first"));
    ASSERT_TRUE(journal->store_record("second"));
    kept = copy_of(journal->fd());
  }
  auto next = Journal::adopt(std::move(kept)).value();
  EXPECT_TRUE(next->adopted());
  EXPECT_EQ(next->slots(), 8u);
  EXPECT_EQ(next->pages(), 16u);
  EXPECT_EQ(next->commands()[7].sequence, 42u);
  EXPECT_EQ(next->segments()[15].bytes, 4096u);
  EXPECT_EQ(next->cursors().taken.count(), 43u);
  EXPECT_EQ(next->cursors().taken.offset(), 120u);
  EXPECT_EQ(next->record(), "second");
}

TEST(Journal, PartsDoNotOverlap) {
  auto journal = Journal::create(3, 5).value();
  std::ranges::fill(std::as_writable_bytes(journal->commands()), std::byte{0x11});
  std::ranges::fill(std::as_writable_bytes(journal->segments()), std::byte{0x22});
  std::ranges::fill(journal->stats(), std::byte{0x33});
  ASSERT_TRUE(journal->store_record(std::string(Journal::kMaxRecord, 'a')));
  ASSERT_TRUE(journal->store_record(std::string(Journal::kMaxRecord, 'b')));
  EXPECT_EQ(journal->cursors().taken.count(), 0u);
  EXPECT_EQ(journal->commands()[2].sequence, 0x1111111111111111u);
  EXPECT_EQ(journal->segments()[4].bytes, 0x2222222222222222u);
  EXPECT_EQ(journal->stats().back(), std::byte{0x33});
  EXPECT_EQ(journal->record(), std::string(Journal::kMaxRecord, 'b'));
}

TEST(Journal, RecordThatDoesNotFitIsRefusedAndTheOldOneStays) {
  auto journal = Journal::create(8, 16).value();
  ASSERT_TRUE(journal->store_record("good"));
  EXPECT_FALSE(journal->store_record(std::string(Journal::kMaxRecord + 1, 'x')));
  EXPECT_EQ(journal->record(), "good");
}

TEST(Journal, WhatIsNoJournalOrOfAnotherVersionIsNotAdopted) {
  UniqueFd plain(::memfd_create("plain", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(plain.get(), 65536), 0);
  EXPECT_EQ(Journal::adopt(std::move(plain)).error().cause, Cause::BadInput) << "not sealed";
  auto other = make_sealed_memfd("other", 65536).value();
  EXPECT_EQ(Journal::adopt(std::move(other)).error().cause, Cause::BadInput);

  auto journal = Journal::create(8, 16).value();
  const std::uint32_t version = kJournalVersion + 1;
  ASSERT_EQ(::pwrite(journal->fd().get(), &version, sizeof version, offsetof(JournalHeader, version)), 4);
  auto refused = Journal::adopt(copy_of(journal->fd()));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().what.find("version 2"), std::string::npos) << refused.error().what;
  const std::uint32_t back = kJournalVersion, slots = 800;
  ASSERT_EQ(::pwrite(journal->fd().get(), &back, sizeof back, offsetof(JournalHeader, version)), 4);
  ASSERT_EQ(::pwrite(journal->fd().get(), &slots, sizeof slots, offsetof(JournalHeader, slots)), 4);
  EXPECT_FALSE(Journal::adopt(copy_of(journal->fd()))) << "the size belongs to 8 slots";
}

}  // namespace
}  // namespace bulkhead::supervisor
