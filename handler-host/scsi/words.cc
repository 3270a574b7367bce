#include "handler-host/scsi/words.h"

#include <algorithm>
#include <optional>

#include "base/endian.h"
#include "handler-host/scsi/cdb.h"
#include "handler-host/scsi/command_names.h"
#include "handler-host/scsi/sense_codes.h"
#include "proto/opcode_facts.h"

namespace bulkhead::scsi {

void Words::append(std::string_view text) {
  const std::size_t fits = std::min(text.size(), text_.size() - size_);
  std::copy_n(text.begin(), fits, text_.begin() + static_cast<std::ptrdiff_t>(size_));
  size_ += fits;
}

namespace {

void append_hex(Words& words, std::span<const std::uint8_t> bytes) {
  words.append("[");
  for (std::size_t i = 0; i < bytes.size(); ++i) words.format(i == 0 ? "{:02x}" : " {:02x}", bytes[i]);
  words.append("]");
}

void append_name(Words& words, const Cdb& cdb) {
  const bool with_action = has_service_actions(cdb.opcode());
  const std::int16_t action = with_action ? static_cast<std::int16_t>(cdb[1] & 0x1f) : kNoServiceAction;
  if (const auto exact = find_command_name(cdb.opcode(), action)) {
    words.append(exact->name);
    return;
  }
  if (const auto family = find_command_name(cdb.opcode(), kNoServiceAction))
    words.format("{} service action {:02x}h", family->name, action);
  else
    words.format("opcode {:02x}h", cdb.opcode());
}

void append_extent(Words& words, const Cdb& cdb) {
  const auto entry = find_command_name(cdb.opcode(), kNoServiceAction);
  if (!entry || entry->operand != Operand::Extent) return;
  const std::size_t length = cdb_length(cdb.opcode(), 0);
  if (cdb.size() < length) return;
  const Extent extent = extent_of(cdb, length);
  words.format(" LBA {}, {} block{}", extent.first.value, extent.count.value,
               extent.count.value == 1 ? "" : "s");
}

// What a reader wants to know, whichever format it came in.
struct Decoded {
  std::uint8_t key = 0;
  std::uint8_t code = 0;
  std::uint8_t qualifier = 0;
  bool deferred = false;
  std::optional<std::uint64_t> information;
  std::optional<std::array<std::uint8_t, 3>> specific;  // sense key specific data, if SKSV
  std::optional<std::uint16_t> segment;                 // command specific information of COPY ABORTED
  std::string_view side;                                // whose sense data is forwarded
  std::span<const std::uint8_t> forwarded;
};

constexpr std::uint8_t kCopyAborted = static_cast<std::uint8_t>(SenseKey::CopyAborted);

// What sense.cc: put_segment_failure() puts there.
void take_segment_failure(Decoded& decoded, std::span<const std::uint8_t> sense) {
  if (decoded.key != kCopyAborted || sense.size() < 12) return;
  decoded.segment = be16(std::span<const std::uint8_t, 2>(sense.subspan(10, 2)));
  decoded.side = sense[8] != 0 ? "source" : "destination";
  const std::size_t answer = sense[8] != 0 ? sense[8] : sense[9];
  if (answer >= 18 && answer + 1 < sense.size()) decoded.forwarded = sense.subspan(answer + 1);
}

void take_specific(Decoded& decoded, std::span<const std::uint8_t> bytes) {
  if ((bytes[0] & 0x80) != 0) decoded.specific = {bytes[0], bytes[1], bytes[2]};
}

// SPC-4, "Fixed format sense data". A field exists only if the ADDITIONAL SENSE LENGTH reaches it.
Decoded decode_fixed(std::span<const std::uint8_t> sense) {
  Decoded decoded;
  const std::size_t size =
      sense.size() < 8 ? sense.size() : std::min<std::size_t>(sense.size(), 8u + sense[7]);
  decoded.deferred = (sense[0] & 0x7f) == 0x71;
  if (size > 2) decoded.key = sense[2] & 0x0f;
  if (size >= 7 && (sense[0] & 0x80) != 0)
    decoded.information = be32(std::span<const std::uint8_t, 4>(sense.subspan(3, 4)));
  if (size > 13) {
    decoded.code = sense[12];
    decoded.qualifier = sense[13];
  }
  if (size >= 18) take_specific(decoded, sense.subspan(15, 3));
  take_segment_failure(decoded, sense.first(size));
  return decoded;
}

// SPC-4, "Descriptor format sense data".
Decoded decode_descriptors(std::span<const std::uint8_t> sense) {
  Decoded decoded;
  decoded.deferred = (sense[0] & 0x7f) == 0x73;
  if (sense.size() > 1) decoded.key = sense[1] & 0x0f;
  if (sense.size() > 3) {
    decoded.code = sense[2];
    decoded.qualifier = sense[3];
  }
  if (sense.size() < 8) return decoded;
  auto rest = sense.subspan(8, std::min<std::size_t>(sense.size() - 8, sense[7]));
  while (rest.size() >= 2) {
    const std::size_t length = std::size_t{2} + rest[1];
    if (length > rest.size()) break;
    if (rest[0] == 0x00 && length == 12 && (rest[2] & 0x80) != 0)
      decoded.information = be64(std::span<const std::uint8_t, 8>(rest.subspan(4, 8)));
    if (rest[0] == 0x01 && length == 12 && decoded.key == kCopyAborted)
      decoded.segment = be16(std::span<const std::uint8_t, 2>(rest.subspan(6, 2)));
    if (rest[0] == 0x02 && length == 8) take_specific(decoded, rest.subspan(4, 3));
    if (rest[0] == 0x0c && length > 4) {
      decoded.side = (rest[2] & 0x0f) == 0x01 ? "source" : "destination";
      decoded.forwarded = rest.subspan(4, length - 4);
    }
    rest = rest.subspan(length);
  }
  return decoded;
}

// SPC-4, "Sense key specific data": what it is, the sense key says.
void append_specific(Words& words, const Decoded& decoded) {
  if (!decoded.specific) return;
  const auto& bytes = *decoded.specific;
  const int value = bytes[1] << 8 | bytes[2];
  switch (static_cast<SenseKey>(decoded.key)) {
    case SenseKey::NoSense:
    case SenseKey::NotReady:  // progress indication, in parts of 65536
      return words.format(", {} % done", value * 100 / 65536);
    case SenseKey::IllegalRequest:  // field pointer
      words.format(", {} byte {}", (bytes[0] & 0x40) != 0 ? "CDB" : "parameter list", value);
      break;
    case SenseKey::CopyAborted:  // segment pointer
      words.format(", {} byte {}", (bytes[0] & 0x20) != 0 ? "segment descriptor" : "parameter list", value);
      break;
    default:
      return;
  }
  if ((bytes[0] & 0x08) != 0) words.format(" bit {}", bytes[0] & 0x07);
}

Decoded decode(std::span<const std::uint8_t> sense) {
  return (sense[0] & 0x7f) < 0x72 ? decode_fixed(sense) : decode_descriptors(sense);
}

void append_codes(Words& words, const Decoded& decoded) {
  words.append(kSenseKeyNames[decoded.key]);
  if (const std::string_view text = text_of(decoded.code, decoded.qualifier); !text.empty())
    words.format(", {}", text);
  words.format(" ({:x}/{:02x}/{:02x})", decoded.key, decoded.code, decoded.qualifier);
}

bool known_format(std::span<const std::uint8_t> sense) {
  return !sense.empty() && (sense[0] & 0x7f) >= 0x70 && (sense[0] & 0x7f) <= 0x73;
}

}  // namespace

Words describe_cdb(std::span<const std::uint8_t> bytes) {
  Words words;
  if (bytes.empty()) {
    words.append("empty CDB");
    return words;
  }
  const Cdb cdb(bytes);
  append_name(words, cdb);
  append_extent(words, cdb);
  words.append(" ");
  append_hex(words, cdb.bytes());
  return words;
}

Words describe_sense(std::span<const std::uint8_t> sense) {
  Words words;
  if (!known_format(sense)) {
    words.append(sense.empty() ? "no sense data" : "sense data of unknown format ");
    if (!sense.empty()) append_hex(words, sense.first(std::min<std::size_t>(sense.size(), 32)));
    return words;
  }
  const Decoded decoded = decode(sense);
  if (decoded.deferred) words.append("deferred error: ");
  append_codes(words, decoded);
  append_specific(words, decoded);
  if (decoded.information) words.format(", information {}", *decoded.information);
  if (decoded.segment) words.format(", segment {}", *decoded.segment);
  if (known_format(decoded.forwarded)) {
    words.format("; from the {}: ", decoded.side);
    append_codes(words, decode(decoded.forwarded));
  }
  return words;
}

}  // namespace bulkhead::scsi
