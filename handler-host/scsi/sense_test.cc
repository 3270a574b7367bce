#include "handler-host/scsi/sense.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace bulkhead::scsi {
namespace {

using ::testing::ElementsAre;

std::vector<std::uint8_t> head(const Reply& reply, std::size_t bytes) {
  return {reply.sense.begin(), reply.sense.begin() + static_cast<std::ptrdiff_t>(bytes)};
}

// SPC-4, "Fixed format sense data".
TEST(FixedSense, HasKeyCodeAndLengthInTheirPlaces) {
  const Reply reply = check_condition({SenseKey::MediumError, asc::kWriteError}, SenseFormat::Fixed);
  EXPECT_EQ(reply.status, 0x02);
  EXPECT_EQ(reply.sense_bytes, 18);
  EXPECT_THAT(head(reply, 18),
              ElementsAre(0x70, 0, 0x03, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x0c, 0x00, 0, 0, 0, 0));
}

TEST(FixedSense, WhatFollowsItIsZeroWhateverWasThereBefore) {
  std::array<std::uint8_t, channel::kSenseBytes> bytes;
  bytes.fill(0xff);
  const std::uint8_t size = encode({SenseKey::Miscompare, asc::kMiscompare}, SenseFormat::Fixed, bytes);
  EXPECT_TRUE(std::all_of(bytes.begin() + size, bytes.end(), [](std::uint8_t byte) { return byte == 0; }));
}

TEST(FixedSense, AFieldPointerNamesByteAndBitOfTheCdb) {
  const Reply reply = check_condition(invalid_cdb(1, 3), SenseFormat::Fixed);
  EXPECT_EQ(reply.sense[15], 0x80 | 0x40 | 0x08 | 3);  // SKSV, C/D, BPV
  EXPECT_EQ(reply.sense[16], 0);
  EXPECT_EQ(reply.sense[17], 1);
}

TEST(FixedSense, AFieldPointerIntoAParameterListHasNoCdbBitAndReachesBeyond255) {
  const Reply reply = check_condition(invalid_parameter(0x1234), SenseFormat::Fixed);
  EXPECT_EQ(reply.sense[15], 0x80);
  EXPECT_EQ(reply.sense[16], 0x12);
  EXPECT_EQ(reply.sense[17], 0x34);
}

TEST(FixedSense, InformationIsValidUpTo32Bits) {
  Sense sense{SenseKey::Miscompare, asc::kMiscompare, 0xdeadbeef};
  Reply reply = check_condition(sense, SenseFormat::Fixed);
  EXPECT_EQ(reply.sense[0], 0xf0);
  EXPECT_EQ(reply.sense[3], 0xde);
  EXPECT_EQ(reply.sense[6], 0xef);

  sense.information = 0x1'0000'0000;
  reply = check_condition(sense, SenseFormat::Fixed);
  EXPECT_EQ(reply.sense[0], 0x70);
  EXPECT_EQ(reply.sense[3] | reply.sense[4] | reply.sense[5] | reply.sense[6], 0);
}

// SPC-4, "Progress indication".
TEST(FixedSense, ProgressIsKeySpecific) {
  Sense sense{SenseKey::NotReady, asc::kSanitizeInProgress};
  sense.progress = 0x1234;
  const Reply reply = check_condition(sense, SenseFormat::Fixed);
  EXPECT_EQ(reply.sense_bytes, 18);
  EXPECT_EQ(reply.sense[15], 0x80);
  EXPECT_EQ(reply.sense[16], 0x12);
  EXPECT_EQ(reply.sense[17], 0x34);
}

TEST(DescriptorSense, ProgressIsInTheKeySpecificDescriptor) {
  Sense sense{SenseKey::NotReady, asc::kFormatInProgress};
  sense.progress = 0x1234;
  const Reply reply = check_condition(sense, SenseFormat::Descriptor);
  EXPECT_EQ(reply.sense_bytes, 16);
  EXPECT_THAT(head(reply, 16),
              ElementsAre(0x72, 0x02, 0x04, 0x04, 0, 0, 0, 8, 0x02, 6, 0, 0, 0x80, 0x12, 0x34, 0));
}

// SPC-4, "Errors detected during processing of segment descriptors".
TEST(FixedSense, ACopyThatFailsTellsItsSegmentAndForwardsWhatADeviceSaid) {
  Sense sense{SenseKey::CopyAborted, asc::kCopyTargetNotReachable};
  sense.segment = SegmentFailure{0x0102};
  const Reply alone = check_condition(sense, SenseFormat::Fixed);
  EXPECT_EQ(alone.sense_bytes, 18);
  EXPECT_THAT(head(alone, 18),
              ElementsAre(0x70, 0, 0x0a, 0, 0, 0, 0, 10, 0, 0, 1, 2, 0x0d, 0x02, 0, 0, 0, 0));

  sense.code = asc::kNone;
  sense.segment->side = SegmentFailure::Side::Destination;
  sense.segment->key = SenseKey::MediumError;
  sense.segment->code = asc::kWriteError;
  const Reply forwarding = check_condition(sense, SenseFormat::Fixed);
  EXPECT_EQ(forwarding.sense_bytes, 37);
  EXPECT_THAT(head(forwarding, 37),
              ElementsAre(0x70, 0, 0x0a, 0, 0, 0, 0, 29, 0, 18, 1, 2, 0, 0, 0, 0, 0, 0,
                          0x02,  // CHECK CONDITION
                          0x70, 0, 0x03, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x0c, 0x00, 0, 0, 0, 0));
}

TEST(DescriptorSense, ACopyThatFailsTellsItsSegmentAndForwardsWhatADeviceSaid) {
  Sense sense{SenseKey::CopyAborted, asc::kNone};
  sense.segment =
      SegmentFailure{0x0102, SegmentFailure::Side::Source, SenseKey::MediumError, asc::kUnrecoveredReadError};
  const Reply reply = check_condition(sense, SenseFormat::Descriptor);
  EXPECT_EQ(reply.sense_bytes, 32);
  EXPECT_THAT(head(reply, 32), ElementsAre(0x72, 0x0a, 0, 0, 0, 0, 0, 24,           //
                                           0x01, 10, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0,  //
                                           0x0c, 10, 0x01, 0x02, 0x72, 0x03, 0x11, 0x00, 0, 0, 0, 0));
}

// SPC-4, "Descriptor format sense data".
TEST(DescriptorSense, WithoutInformationIsTheEightByteHeader) {
  const Reply reply =
      check_condition({SenseKey::DataProtect, asc::kSpaceAllocationFailed}, SenseFormat::Descriptor);
  EXPECT_EQ(reply.sense_bytes, 8);
  EXPECT_THAT(head(reply, 8), ElementsAre(0x72, 0x07, 0x27, 0x07, 0, 0, 0, 0));
}

TEST(DescriptorSense, CarriesInformationOf64BitsAndAFieldPointer) {
  Sense sense = invalid_cdb(2, 7);
  sense.information = 0x0102030405060708;
  const Reply reply = check_condition(sense, SenseFormat::Descriptor);
  EXPECT_EQ(reply.sense_bytes, 8 + 12 + 8);
  EXPECT_THAT(head(reply, 28), ElementsAre(0x72, 0x05, 0x24, 0x00, 0, 0, 0, 20,        //
                                           0x00, 10, 0x80, 0, 1, 2, 3, 4, 5, 6, 7, 8,  //
                                           0x02, 6, 0, 0, 0x80 | 0x40 | 0x08 | 7, 0x00, 2, 0));
}

}  // namespace
}  // namespace bulkhead::scsi
