#include "supervisor/pump/granted_cdb.h"

#include <gtest/gtest.h>

#include <vector>

#include "proto/opcode_facts.h"

namespace bulkhead::supervisor {
namespace {

using Cdb = std::vector<std::uint8_t>;

Cdb with(Cdb cdb, std::size_t at, std::uint8_t value) {
  cdb.at(at) = value;
  return cdb;
}

const Cdb kRead6{0x08, 0x12, 0x34, 0x56, 7, 0};
const Cdb kWrite10{0x2a, 0, 0x80, 0x02, 0x03, 0x04, 0, 0x01, 0x02, 0};
const Cdb kRead12{0xa8, 0, 1, 2, 3, 4, 0, 1, 0, 5, 0, 0};
const Cdb kWrite16{0x8a, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9, 0, 0};

struct Example {
  Cdb cdb;
  BlockTransfer transfer;
};

TEST(PlainTransfer, KnowsTheEightForms) {
  for (const auto& [cdb, transfer] :
       {Example{kRead6, {false, 0x123456, 7}}, Example{with(kRead6, 0, 0x0a), {true, 0x123456, 7}},
        Example{with(kRead6, 4, 0), {false, 0x123456, 256}}, Example{kWrite10, {true, 0x80020304, 0x102}},
        Example{with(kWrite10, 0, 0x28), {false, 0x80020304, 0x102}},
        Example{kRead12, {false, 0x01020304, 0x10005}},
        Example{with(kRead12, 0, 0xaa), {true, 0x01020304, 0x10005}},
        Example{kWrite16, {true, 0x0102030405060708, 9}},
        Example{with(kWrite16, 0, 0x88), {false, 0x0102030405060708, 9}}}) {
    const auto found = plain_transfer(cdb);
    ASSERT_TRUE(found) << int{cdb[0]};
    EXPECT_EQ(found->write, transfer.write) << int{cdb[0]};
    EXPECT_EQ(found->lba, transfer.lba) << int{cdb[0]};
    EXPECT_EQ(found->blocks, transfer.blocks) << int{cdb[0]};
  }
}

TEST(PlainTransfer, TakesTheHintNotToCache) {
  EXPECT_TRUE(plain_transfer(with(kWrite10, 1, 0x10)));
  EXPECT_TRUE(plain_transfer(with(kRead12, 1, 0x10)));
  EXPECT_TRUE(plain_transfer(with(kWrite16, 1, 0x10)));
}

TEST(PlainTransfer, LeavesToTheHostWhateverIsSpecial) {
  for (const Cdb& cdb : {with(kRead6, 1, 0x20), with(kRead6, 5, 4), with(kRead6, 5, 1)})
    EXPECT_FALSE(plain_transfer(cdb));
  // WRPROTECT, FUA, RARC, FUA_NV, RELADR; group; CONTROL; no blocks.
  for (const unsigned shift : {7u, 6u, 5u, 3u, 2u, 1u, 0u}) {
    const auto bit = static_cast<std::uint8_t>(1u << shift);
    EXPECT_FALSE(plain_transfer(with(kWrite10, 1, bit))) << int{bit};
    EXPECT_FALSE(plain_transfer(with(kRead12, 1, bit))) << int{bit};
    EXPECT_FALSE(plain_transfer(with(kWrite16, 1, bit))) << int{bit};
  }
  EXPECT_FALSE(plain_transfer(with(kWrite10, 6, 1)));
  EXPECT_FALSE(plain_transfer(with(kWrite10, 9, 1)));
  EXPECT_FALSE(plain_transfer(with(with(kWrite10, 7, 0), 8, 0)));
  EXPECT_FALSE(plain_transfer(with(kRead12, 10, 1)));
  EXPECT_FALSE(plain_transfer(with(kRead12, 11, 1)));
  EXPECT_FALSE(plain_transfer(with(kWrite16, 14, 1)));
  EXPECT_FALSE(plain_transfer(with(kWrite16, 15, 1)));
  EXPECT_FALSE(plain_transfer(with(kWrite16, 13, 0)));
}

TEST(PlainTransfer, LeavesOtherCommandsToTheHost) {
  unsigned known = 0;
  for (unsigned opcode = 0; opcode < 256; ++opcode) {
    Cdb cdb(16);
    cdb[0] = static_cast<std::uint8_t>(opcode);
    cdb[4] = cdb[8] = cdb[9] = cdb[13] = 0;
    cdb[7] = 1;  // blocks, in one of the long forms
    cdb[10] = 0;
    cdb[12] = 1;
    if (plain_transfer(cdb)) ++known;
  }
  // READ and WRITE (6), (10), (12), (16); what (10) and (12) have in byte 7 is the same.
  EXPECT_EQ(known, 8u);
}

TEST(PlainTransfer, ReadsNothingBeyondTheEnd) {
  EXPECT_FALSE(plain_transfer({}));
  for (const Cdb& whole : {kRead6, kWrite10, kRead12, kWrite16})
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes)
      EXPECT_FALSE(plain_transfer(std::span(whole).first(bytes)));
}

TEST(FlushesAll, KnowsTwoFormsWithNothingSet) {
  const Cdb ten = with(Cdb(10), 0, 0x35), sixteen = with(Cdb(16), 0, 0x91);
  unsigned known = 0;
  for (unsigned opcode = 0; opcode < 256; ++opcode)
    if (flushes_all(with(Cdb(16), 0, static_cast<std::uint8_t>(opcode)))) ++known;
  EXPECT_EQ(known, 2u);
  for (const Cdb& whole : {ten, sixteen}) {
    EXPECT_TRUE(flushes_all(whole));
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes)
      EXPECT_FALSE(flushes_all(std::span(whole).first(bytes)));
    // IMMED, LBA, group, NUMBER OF BLOCKS, CONTROL: the host's.
    for (std::size_t at = 1; at < whole.size(); ++at) EXPECT_FALSE(flushes_all(with(whole, at, 2))) << at;
  }
  // The kernel gives 16 bytes and more of any CDB; what follows the command is nobody's.
  Cdb longer = ten;
  longer.resize(16, 0xff);
  EXPECT_TRUE(flushes_all(longer));
}

TEST(BlockTransfer, OverlapsWhereABlockIsInBoth) {
  const BlockTransfer a{true, 10, 5};
  EXPECT_TRUE(a.overlaps({true, 10, 5}));
  EXPECT_TRUE(a.overlaps({true, 14, 1}));
  EXPECT_TRUE(a.overlaps({true, 0, 11}));
  EXPECT_TRUE(a.overlaps({true, 0, 100}));
  EXPECT_FALSE(a.overlaps({true, 15, 1}));
  EXPECT_FALSE(a.overlaps({true, 0, 10}));
  const BlockTransfer last{true, UINT64_MAX, 1};
  EXPECT_TRUE(last.overlaps({true, UINT64_MAX - 1, 2}));
  EXPECT_FALSE(last.overlaps({true, 0, 1}));
}

// What the table of facts calls a change, or does not know, must not run beside a write by grant.
TEST(ExcludedBeside, EverythingThatMayChangeBlocks) {
  for (unsigned opcode = 0; opcode < 256; ++opcode) {
    const OpcodeFacts facts = kOpcodeFacts[opcode];
    const bool changes =
        facts.kind == CommandKind::Write || facts.kind == CommandKind::Unmap || facts.replay == Replay::Never;
    if (!changes) continue;
    EXPECT_NE(excluded_beside(static_cast<std::uint8_t>(opcode)), Excludes::Nothing) << opcode;
  }
  EXPECT_EQ(excluded_beside(0x9c), Excludes::All);
  EXPECT_EQ(excluded_beside(0x55), Excludes::Writes);  // MODE SELECT: write protection
  for (const unsigned flush : {0x35u, 0x91u, 0x1bu})
    EXPECT_EQ(excluded_beside(static_cast<std::uint8_t>(flush)), Excludes::Writes);
  EXPECT_EQ(excluded_beside(0x88), Excludes::Nothing);
}

}  // namespace
}  // namespace bulkhead::supervisor
