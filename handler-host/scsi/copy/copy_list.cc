#include "handler-host/scsi/copy/copy_list.h"

#include <algorithm>
#include <limits>

#include "base/endian.h"
#include "base/error.h"

namespace bulkhead::scsi {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t kLid1HeaderBytes = 16;
constexpr std::size_t kLid4HeaderBytes = 48;
constexpr std::uint8_t kLid4Format = 0x01;
constexpr std::uint16_t kLid4HeaderCscdBytes = 0x0020;
constexpr std::uint8_t kLid4HeaderCscdType = 0xff;

// LIST ID USAGE. 00b and 10b differ in data that is held for RECEIVE COPY DATA; there is none here.
constexpr std::uint8_t kUsageReserved = 1;
constexpr std::uint8_t kUsageNone = 3;

CheckedCopyList refused(const Sense& sense) {
  return {{}, sense};
}

CheckedCopyList refused(AdditionalSense code, std::size_t field) {
  Sense sense = illegal_request(code);
  sense.field =
      FieldPointer{FieldPointer::Where::ParameterList, static_cast<std::uint16_t>(field), std::nullopt};
  return refused(sense);
}

// The header, whichever it is.
struct Header {
  std::size_t bytes = 0;
  std::uint32_t id = 0;
  std::size_t id_field = 0;
  std::uint64_t cscd_bytes = 0;
  std::size_t cscd_bytes_field = 0;
  std::uint64_t segment_bytes = 0;
  std::size_t segment_bytes_field = 0;
  std::uint64_t inline_bytes = 0;
  std::size_t inline_bytes_field = 0;
};

Header lid1_header(Bytes list) {
  return {.bytes = kLid1HeaderBytes,
          .id = list[0],
          .id_field = 0,
          .cscd_bytes = be16(list.subspan<2, 2>()),
          .cscd_bytes_field = 2,
          .segment_bytes = be32(list.subspan<8, 4>()),
          .segment_bytes_field = 8,
          .inline_bytes = be32(list.subspan<12, 4>()),
          .inline_bytes_field = 12};
}

Header lid4_header(Bytes list) {
  return {.bytes = kLid4HeaderBytes,
          .id = be32(list.subspan<20, 4>()),
          .id_field = 20,
          .cscd_bytes = be16(list.subspan<42, 2>()),
          .cscd_bytes_field = 42,
          .segment_bytes = be16(list.subspan<44, 2>()),
          .segment_bytes_field = 44,
          .inline_bytes = be16(list.subspan<46, 2>()),
          .inline_bytes_field = 46};
}

// What the longer header has besides. IMMED would have the copy go on after its answer, and so after its
// buffer was given back; G_SENSE wants sense data with GOOD status.
std::optional<Sense> refuse_lid4_fields(Bytes list) {
  if (list[0] != kLid4Format) return invalid_parameter(0);
  if (be16(list.subspan<2, 2>()) != kLid4HeaderCscdBytes) return invalid_parameter(2);
  if ((list[15] & 0x02) != 0) return invalid_parameter(15, 1);
  if ((list[15] & 0x01) != 0) return invalid_parameter(15, 0);
  if (list[16] != kLid4HeaderCscdType) return invalid_parameter(16);
  return std::nullopt;
}

// Bytes of a segment descriptor of this type, with its first four; 0: not known here.
std::size_t segment_bytes(std::uint8_t type) {
  switch (type) {
    case kBlockToBlock:
      return 28;
    case kBlockToBlockOffset:
      return 32;
    default:
      return 0;
  }
}

std::optional<Sense> refuse_cscds(Bytes list, const CopyList& copy) {
  for (std::uint16_t i = 0; i < copy.cscds; ++i) {
    const std::size_t at = copy.cscds_at + i * kCscdBytes;
    if (list[at] != kIdentificationCscd) return refused(asc::kUnsupportedTargetDescriptor, at).refusal;
    if (list[at + 7] > 20) return invalid_parameter(static_cast<std::uint16_t>(at + 7));
  }
  return std::nullopt;
}

// Counts them on the way.
std::optional<Sense> refuse_segments(Bytes list, CopyList& copy, std::uint64_t bytes) {
  std::size_t at = copy.segments_at;
  const std::size_t end = at + bytes;
  for (; at < end; ++copy.segments) {
    if (copy.segments == kMaxSegmentDescriptors) return refused(asc::kTooManySegmentDescriptors, at).refusal;
    const std::size_t size = segment_bytes(list[at]);
    if (size == 0) return refused(asc::kUnsupportedSegmentDescriptor, at).refusal;
    if (end - at < size) return illegal_request(asc::kParameterListLengthError);
    // What is reserved here may be a wish that must not be overlooked, such as FCO of SPC-5. DC and CAT make
    // no difference between blocks of one size.
    if ((list[at + 1] & 0xfc) != 0) return invalid_parameter(static_cast<std::uint16_t>(at + 1), 7);
    if (be16(list.subspan(at + 2).first<2>()) != size - 4)
      return invalid_parameter(static_cast<std::uint16_t>(at + 2));
    at += size;
  }
  return std::nullopt;
}

}  // namespace

CheckedCopyList check_copy_list(Bytes list, ListIdBytes id_bytes) {
  const bool one = id_bytes == ListIdBytes::One;
  if (list.size() < (one ? kLid1HeaderBytes : kLid4HeaderBytes))
    return refused(illegal_request(asc::kParameterListLengthError));
  if (!one)
    if (const auto sense = refuse_lid4_fields(list)) return refused(*sense);
  const Header header = one ? lid1_header(list) : lid4_header(list);

  const auto usage = static_cast<std::uint8_t>(list[1] >> 3 & 0x03);
  if (usage == kUsageReserved) return refused(invalid_parameter(1, 4));
  if (usage == kUsageNone && header.id != 0)
    return refused(invalid_parameter(static_cast<std::uint16_t>(header.id_field)));
  if (header.inline_bytes != 0) return refused(asc::kInlineDataLengthExceeded, header.inline_bytes_field);
  const std::uint64_t descriptors = header.cscd_bytes + header.segment_bytes;
  if (descriptors > kMaxDescriptorListBytes || header.bytes + descriptors > list.size())
    return refused(illegal_request(asc::kParameterListLengthError));
  if (header.cscd_bytes % kCscdBytes != 0)
    return refused(invalid_parameter(static_cast<std::uint16_t>(header.cscd_bytes_field)));
  if (header.cscd_bytes > kMaxCscdDescriptors * kCscdBytes)
    return refused(asc::kTooManyTargetDescriptors, header.cscd_bytes_field);

  CopyList copy{.id = header.id,
                .identified = usage != kUsageNone,
                .cscds = static_cast<std::uint16_t>(header.cscd_bytes / kCscdBytes),
                .segments = 0,
                .cscds_at = header.bytes,
                .segments_at = header.bytes + header.cscd_bytes};
  if (const auto sense = refuse_cscds(list, copy)) return refused(*sense);
  if (const auto sense = refuse_segments(list, copy, header.segment_bytes)) return refused(*sense);
  return {copy, std::nullopt};
}

// Both types: 0 type | 2 DESCRIPTOR LENGTH | 4 SOURCE CSCD | 6 DESTINATION CSCD | 12 source LBA |
// 20 destination LBA. 02h: 10 NUMBER OF BLOCKS. 0Ah: 8 NUMBER OF BYTES | 28, 30 byte offsets.
Segment segment_of(Bytes bytes, const CopyList& list, std::uint16_t index, std::uint32_t block_bytes) {
  BULKHEAD_CHECK(index < list.segments);
  std::size_t at = list.segments_at;
  for (std::uint16_t i = 0; i < index; ++i) at += segment_bytes(bytes[at]);
  const Bytes segment = bytes.subspan(at);
  const bool with_offsets = segment[0] == kBlockToBlockOffset;
  const auto field = [at](std::size_t byte) { return static_cast<std::uint16_t>(at + byte); };
  Segment result{.source = {.cscd = be16(segment.subspan<4, 2>()),
                            .cscd_field = field(4),
                            .lba = be64(segment.subspan<12, 8>()),
                            .lba_field = field(12)},
                 .destination = {.cscd = be16(segment.subspan<6, 2>()),
                                 .cscd_field = field(6),
                                 .lba = be64(segment.subspan<20, 8>()),
                                 .lba_field = field(20)}};
  if (with_offsets) {
    result.bytes = be32(segment.subspan<8, 4>());
    result.count_field = field(8);
    result.source.byte_offset = be16(segment.subspan<28, 2>());
    result.destination.byte_offset = be16(segment.subspan<30, 2>());
  } else {
    result.bytes = std::uint64_t{be16(segment.subspan<10, 2>())} * block_bytes;
    result.count_field = field(10);
  }
  return result;
}

Cscd cscd_of(Bytes bytes, const CopyList& list, std::uint16_t index) {
  BULKHEAD_CHECK(index < list.cscds);
  const std::size_t at = list.cscds_at + index * kCscdBytes;
  const auto cscd = bytes.subspan(at).first<kCscdBytes>();
  return {.null = (cscd[1] & 0x20) != 0,
          .peripheral_type = static_cast<std::uint8_t>(cscd[1] & 0x1f),
          .code_set = static_cast<std::uint8_t>(cscd[4] & 0x0f),
          .association = static_cast<std::uint8_t>(cscd[5] >> 4 & 0x03),
          .designator_type = static_cast<std::uint8_t>(cscd[5] & 0x0f),
          .designator = cscd.subspan<8, 20>().first(std::min<std::size_t>(cscd[7], 20)),
          .block_bytes = be24(cscd.subspan<29, 3>()),
          .block_bytes_field = static_cast<std::uint16_t>(at + 29)};
}

}  // namespace bulkhead::scsi
