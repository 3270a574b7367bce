#include "handler-host/scsi/words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bulkhead::scsi {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::string cdb(const Bytes& bytes) {
  return std::string(describe_cdb(bytes).view());
}
std::string sense(const Bytes& bytes) {
  return std::string(describe_sense(bytes).view());
}

Bytes fixed(std::uint8_t key, std::uint8_t code, std::uint8_t qualifier) {
  Bytes bytes(18);
  bytes[0] = 0x70;
  bytes[2] = key;
  bytes[7] = 10;
  bytes[12] = code;
  bytes[13] = qualifier;
  return bytes;
}

TEST(DescribeCdb, NamesTheCommandItsBlocksAndItsBytes) {
  EXPECT_EQ(cdb({0x2a, 0x08, 0, 0, 0x03, 0xe8, 0, 0, 8, 0}),
            "WRITE(10) LBA 1000, 8 blocks [2a 08 00 00 03 e8 00 00 08 00]");
}

TEST(DescribeCdb, ReadsTheSixByteForm) {
  EXPECT_EQ(cdb({0x08, 0x1f, 0xff, 0xff, 0, 0}), "READ(6) LBA 2097151, 256 blocks [08 1f ff ff 00 00]");
}

TEST(DescribeCdb, ReadsTheSixteenByteForm) {
  EXPECT_EQ(cdb({0x88, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0}),
            "READ(16) LBA 4294967296, 1 block [88 00 00 00 00 01 00 00 00 00 00 00 00 01 00 00]");
}

TEST(DescribeCdb, NamesAServiceAction) {
  EXPECT_THAT(cdb({0x9e, 0x10}), ::testing::StartsWith("READ CAPACITY(16) "));
  EXPECT_THAT(cdb({0xa3, 0x1e}), ::testing::StartsWith("MAINTENANCE IN service action 1eh "));
}

TEST(DescribeCdb, AnUnknownOpcodeIsANumber) {
  EXPECT_EQ(cdb({0xd7, 1}), "opcode d7h [d7 01]");
}

TEST(DescribeCdb, ACdbThatIsCutShortIsNotReadBeyond) {
  EXPECT_EQ(cdb({0x28, 0, 0}), "READ(10) [28 00 00]");
}

TEST(DescribeCdb, NothingIsSaidToBeNothing) {
  EXPECT_EQ(cdb({}), "empty CDB");
}

TEST(DescribeSense, NamesKeyAndCodeOfTheFixedFormat) {
  EXPECT_EQ(sense(fixed(0x3, 0x11, 0x00)), "MEDIUM ERROR, UNRECOVERED READ ERROR (3/11/00)");
}

TEST(DescribeSense, SaysWhichBitOfTheCdbWasWrong) {
  Bytes bytes = fixed(0x5, 0x24, 0x00);
  bytes[15] = 0x80 | 0x40 | 0x08 | 3;
  bytes[17] = 1;
  EXPECT_EQ(sense(bytes), "ILLEGAL REQUEST, INVALID FIELD IN CDB (5/24/00), CDB byte 1 bit 3");
}

TEST(DescribeSense, SaysWhichByteOfAParameterListWasWrong) {
  Bytes bytes = fixed(0x5, 0x26, 0x00);
  bytes[15] = 0x80;
  bytes[16] = 1;
  bytes[17] = 2;
  EXPECT_EQ(sense(bytes),
            "ILLEGAL REQUEST, INVALID FIELD IN PARAMETER LIST (5/26/00), parameter list byte 258");
}

TEST(DescribeSense, SaysHowFarALongCommandIs) {
  Bytes bytes = fixed(0x2, 0x04, 0x1b);
  bytes[15] = 0x80;
  bytes[16] = 0x40;
  EXPECT_EQ(sense(bytes), "NOT READY, LOGICAL UNIT NOT READY, SANITIZE IN PROGRESS (2/04/1b), 25 % done");
  EXPECT_EQ(sense({0x72, 0x02, 0x04, 0x04, 0, 0, 0, 8, 0x02, 6, 0, 0, 0x80, 0xff, 0xff, 0}),
            "NOT READY, LOGICAL UNIT NOT READY, FORMAT IN PROGRESS (2/04/04), 99 % done");
}

TEST(DescribeSense, SaysWhichSegmentDescriptorWasWrong) {
  Bytes bytes = fixed(0xa, 0x26, 0x00);
  bytes[15] = 0x80 | 0x20 | 0x08 | 1;
  bytes[17] = 4;
  EXPECT_EQ(
      sense(bytes),
      "COPY ABORTED, INVALID FIELD IN PARAMETER LIST (a/26/00), segment descriptor byte 4 bit 1, segment 0");
}

TEST(DescribeSense, LeavesOutBytesThatOtherSenseKeysHaveThere) {
  Bytes bytes = fixed(0x3, 0x11, 0x00);
  bytes[15] = 0x80;
  bytes[17] = 7;  // ACTUAL RETRY COUNT
  EXPECT_EQ(sense(bytes), "MEDIUM ERROR, UNRECOVERED READ ERROR (3/11/00)");
}

TEST(DescribeSense, ReadsTheDescriptorFormat) {
  EXPECT_EQ(sense({0x72, 0x0e, 0x1d, 0x00, 0, 0, 0, 12, 0, 10, 0x80, 0, 0, 0, 0, 0, 0, 0, 2, 0}),
            "MISCOMPARE, MISCOMPARE DURING VERIFY OPERATION (e/1d/00), information 512");
}

TEST(DescribeSense, SaysWhichSegmentOfACopyFailedAndWhatTheDeviceSaid) {
  const std::vector<std::uint8_t> fixed{0x70, 0, 0x0a, 0, 0, 0, 0, 29, 18, 0, 0, 3, 0,    0, 0, 0, 0, 0, 0x02,
                                        0x70, 0, 0x03, 0, 0, 0, 0, 10, 0,  0, 0, 0, 0x11, 0, 0, 0, 0, 0};
  EXPECT_EQ(
      describe_sense(fixed).view(),
      "COPY ABORTED, NO ADDITIONAL SENSE INFORMATION (a/00/00), segment 3; from the source: MEDIUM ERROR, "
      "UNRECOVERED READ ERROR (3/11/00)");
  const std::vector<std::uint8_t> descriptors{0x72, 0x0a, 0x0d, 0x02, 0,    0,    0, 24, 0x01, 10,   0,
                                              0,    0,    0,    0,    4,    0,    0, 0,  0,    0x0c, 10,
                                              0x02, 0x02, 0x72, 0x07, 0x27, 0x00, 0, 0,  0,    0};
  EXPECT_EQ(describe_sense(descriptors).view(),
            "COPY ABORTED, COPY TARGET DEVICE NOT REACHABLE (a/0d/02), segment 4; from the destination: DATA "
            "PROTECT, WRITE PROTECTED (7/27/00)");
}

TEST(DescribeSense, APlaceBeyondTheSenseDataIsNotReadForWhatADeviceSaid) {
  std::vector<std::uint8_t> sense{0x70, 0, 0x0a, 0, 0, 0, 0, 10, 0xff, 0, 0, 3, 0, 0, 0, 0, 0, 0};
  for (unsigned pointer = 0; pointer < 256; ++pointer) {
    sense[8] = static_cast<std::uint8_t>(pointer);
    EXPECT_EQ(describe_sense(sense).view(),
              "COPY ABORTED, NO ADDITIONAL SENSE INFORMATION (a/00/00), segment 3");
  }
}

TEST(DescribeSense, ACodeThatHasNoNameIsANumber) {
  EXPECT_EQ(sense(fixed(0x4, 0x99, 0x01)), "HARDWARE ERROR (4/99/01)");
}

TEST(DescribeSense, SaysThatAnErrorIsDeferred) {
  Bytes bytes = fixed(0x3, 0x0c, 0x00);
  bytes[0] = 0x71;
  EXPECT_EQ(sense(bytes), "deferred error: MEDIUM ERROR, WRITE ERROR (3/0c/00)");
}

TEST(DescribeSense, BytesThatAreNoSenseDataAreShownAsTheyAre) {
  EXPECT_EQ(sense({0x12, 0x34}), "sense data of unknown format [12 34]");
  EXPECT_EQ(sense({}), "no sense data");
}

TEST(DescribeSense, CutSenseDataIsNotReadBeyond) {
  EXPECT_EQ(sense({0x70}), "NO SENSE, NO ADDITIONAL SENSE INFORMATION (0/00/00)");
  EXPECT_EQ(sense({0x72, 0x05, 0x20, 0x00, 0, 0, 0, 200, 0x00, 10}),
            "ILLEGAL REQUEST, INVALID COMMAND OPERATION CODE (5/20/00)");
}

}  // namespace
}  // namespace bulkhead::scsi
