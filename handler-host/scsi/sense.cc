#include "handler-host/scsi/sense.h"

#include <algorithm>
#include <limits>

#include "base/endian.h"

namespace bulkhead::scsi {
namespace {

using Out = std::span<std::uint8_t, channel::kSenseBytes>;

// SPC-4, "Field pointer sense key specific data": SKSV C/D . . BPV BIT | FIELD POINTER (2 bytes).
void put_field_pointer(const FieldPointer& field, std::span<std::uint8_t, 3> out) {
  out[0] = 0x80;
  if (field.where == FieldPointer::Where::Cdb) out[0] |= 0x40;
  if (field.bit) out[0] = static_cast<std::uint8_t>(out[0] | 0x08 | *field.bit);
  put_be16(out.subspan<1, 2>(), field.byte);
}

// SPC-4, "Sense key specific data": of an illegal request a field pointer, of a unit that is not ready how
// far it is: SKSV . . . . . . . | PROGRESS INDICATION (2 bytes).
bool put_key_specific(const Sense& sense, std::span<std::uint8_t, 3> out) {
  if (sense.field) {
    put_field_pointer(*sense.field, out);
  } else if (sense.progress) {
    out[0] = 0x80;
    put_be16(out.subspan<1, 2>(), *sense.progress);
  }
  return sense.field || sense.progress;
}

// COMMAND-SPECIFIC INFORMATION, bytes 8..11: where the answers of source and destination start, if they are
// here, and the number of the segment descriptor. An answer is a status byte and sense data. Returns the size
// of all.
std::uint8_t put_segment_failure(const SegmentFailure& failure, Out out) {
  using enum SegmentFailure::Side;
  put_be16(out.subspan<10, 2>(), failure.number);
  if (failure.side == Neither) return kFixedSenseBytes;
  out[failure.side == Source ? 8 : 9] = kFixedSenseBytes;
  const auto answer = out.subspan<kFixedSenseBytes, kForwardingSenseBytes - kFixedSenseBytes>();
  answer[0] = static_cast<std::uint8_t>(Status::CheckCondition);
  answer[1] = 0x70;
  answer[3] = static_cast<std::uint8_t>(failure.key);
  answer[8] = kFixedSenseBytes - 8;
  answer[13] = failure.code.code;
  answer[14] = failure.code.qualifier;
  return kForwardingSenseBytes;
}

std::uint8_t encode_fixed(const Sense& sense, Out out) {
  out[0] = 0x70;  // current information, fixed format
  out[2] = static_cast<std::uint8_t>(sense.key);
  if (sense.information && *sense.information <= std::numeric_limits<std::uint32_t>::max()) {
    out[0] |= 0x80;  // VALID
    put_be32(out.subspan<3, 4>(), static_cast<std::uint32_t>(*sense.information));
  }
  out[12] = sense.code.code;
  out[13] = sense.code.qualifier;
  put_key_specific(sense, out.subspan<15, 3>());
  const std::uint8_t size = sense.segment ? put_segment_failure(*sense.segment, out) : kFixedSenseBytes;
  out[7] = static_cast<std::uint8_t>(size - 8);  // ADDITIONAL SENSE LENGTH
  return size;
}

// Command specific information descriptor, type 01h, and forwarded sense data descriptor, type 0Ch. Returns
// their size.
std::size_t put_segment_descriptors(const SegmentFailure& failure, std::span<std::uint8_t> out) {
  using enum SegmentFailure::Side;
  out[0] = 0x01;
  out[1] = 10;
  put_be16(std::span<std::uint8_t, 2>(out.subspan(6, 2)), failure.number);  // the field's 3rd and 4th byte
  if (failure.side == Neither) return 12;
  out[12] = 0x0c;
  out[13] = 10;
  out[14] = failure.side == Source ? 0x01 : 0x02;  // SENSE DATA SOURCE
  out[15] = static_cast<std::uint8_t>(Status::CheckCondition);
  out[16] = 0x72;
  out[17] = static_cast<std::uint8_t>(failure.key);
  out[18] = failure.code.code;
  out[19] = failure.code.qualifier;
  return 24;
}

std::uint8_t encode_descriptors(const Sense& sense, Out out) {
  out[0] = 0x72;  // current information, descriptor format
  out[1] = static_cast<std::uint8_t>(sense.key);
  out[2] = sense.code.code;
  out[3] = sense.code.qualifier;
  std::uint8_t at = 8;
  if (sense.information) {  // information descriptor: type 00h, 12 bytes
    out[at + 1u] = 10;
    out[at + 2u] = 0x80;  // VALID
    put_be64(std::span<std::uint8_t, 8>(out.subspan(at + 4u, 8)), *sense.information);
    at = static_cast<std::uint8_t>(at + 12);
  }
  // Sense key specific descriptor: type 02h, 8 bytes.
  if (put_key_specific(sense, std::span<std::uint8_t, 3>(out.subspan(at + 4u, 3)))) {
    out[at] = 0x02;
    out[at + 1u] = 6;
    at = static_cast<std::uint8_t>(at + 8);
  }
  if (sense.segment)
    at = static_cast<std::uint8_t>(at + put_segment_descriptors(*sense.segment, out.subspan(at)));
  out[7] = static_cast<std::uint8_t>(at - 8);  // ADDITIONAL SENSE LENGTH
  return at;
}

}  // namespace

std::uint8_t encode(const Sense& sense, SenseFormat format, Out out) {
  std::ranges::fill(out, std::uint8_t{0});
  return format == SenseFormat::Fixed ? encode_fixed(sense, out) : encode_descriptors(sense, out);
}

Reply good_reply(std::uint32_t data_bytes) {
  Reply reply;
  reply.data_bytes = data_bytes;
  return reply;
}

Reply status_reply(Status status) {
  Reply reply;
  reply.status = static_cast<std::uint8_t>(status);
  return reply;
}

Reply check_condition(const Sense& sense, SenseFormat format) {
  Reply reply = status_reply(Status::CheckCondition);
  reply.sense_bytes = encode(sense, format, reply.sense);
  return reply;
}

}  // namespace bulkhead::scsi
