// FORMAT UNIT (SBC-4, "FORMAT UNIT command"). The size and the length of blocks stay as they are, there is no
// protection information (FMTPINFO is refused by the opcode table) and there are no defects, so what remains
// is to initialize all blocks: to zeroes, the cheapest way, or to a pattern, which is written.
//
// The parameter list, if FMTDATA says that there is one:
//   header         0 PROTECTION FIELD USAGE | 1 FOV (bit 7), DPRY, DCRT, STPF, IP (3), IMMED (1) |
//                  2 DEFECT LIST LENGTH (2)       short (LONGLIST 0), or
//                  2 reserved | 3 P_I_INFORMATION, PROTECTION INTERVAL EXPONENT | 4 DEFECT LIST LENGTH (4)
//                  long
//   pattern, if IP 0 SI (bit 5) | 1 INITIALIZATION PATTERN TYPE | 2 INITIALIZATION PATTERN LENGTH | 4 the
//   pattern defect list    must be empty: nothing here can be told to avoid a block
#include <algorithm>
#include <bit>

#include "base/endian.h"
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/medium/medium_job.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using handler::IoStatus;
using List = std::span<const std::uint8_t>;

// Byte 1 of the CDB.
constexpr unsigned kLongListBit = 5;
constexpr unsigned kFormatDataBit = 4;
constexpr unsigned kCompleteListBit = 3;
constexpr std::uint8_t kDefectListFormat = 0x07;
constexpr std::uint8_t kShortBlockFormat = 0;
constexpr std::uint8_t kLongBlockFormat = 3;

// Byte 1 of the header.
constexpr std::uint8_t kOptionsValid = 0x80;  // FOV
constexpr std::uint8_t kOptions = 0x78;       // DPRY, DCRT, STPF, IP: only with FOV
constexpr std::uint8_t kPatternIsThere = 0x08;
constexpr std::uint8_t kImmediate = 0x02;
constexpr std::uint8_t kReserved = 0x05;

constexpr std::size_t kDescriptorBytes = 4;
constexpr std::uint8_t kSecurityInitialize = 0x20;  // of byte 0 of the descriptor
constexpr std::uint8_t kDefaultPattern = 0x00;
constexpr std::uint8_t kRepeatPattern = 0x01;

struct Request {
  MediumPlan plan{.purpose = MediumPlan::Purpose::Format, .method = MediumPlan::Method::Clear};
  List pattern;
  bool immediate = false;
  std::optional<Sense> refusal = std::nullopt;
};

Request refused(const Sense& sense) {
  return {.plan = {}, .pattern = {}, .immediate = false, .refusal = sense};
}
Request refused(std::size_t byte, std::optional<std::uint8_t> bit = std::nullopt) {
  return refused(invalid_parameter(static_cast<std::uint16_t>(byte), bit));
}

std::uint8_t highest_bit(std::uint8_t bits) {
  return static_cast<std::uint8_t>(std::bit_width(bits) - 1);
}

// The descriptor at `at` of the list.
Request read_pattern(Request request, List list, std::size_t at, std::uint32_t block_bytes) {
  if (list.size() < at + kDescriptorBytes) return refused(illegal_request(asc::kParameterListLengthError));
  const List descriptor = list.subspan(at);
  const auto wrong = static_cast<std::uint8_t>(descriptor[0] & ~kSecurityInitialize);
  if (wrong != 0) return refused(at, highest_bit(wrong));
  const std::size_t length = be16(descriptor.subspan<2, 2>());
  if (descriptor[1] == kDefaultPattern) {
    if (length != 0) return refused(at + 2);
  } else if (descriptor[1] == kRepeatPattern) {
    if (length == 0 || length > block_bytes) return refused(at + 2);
    if (length > descriptor.size() - kDescriptorBytes)
      return refused(illegal_request(asc::kParameterListLengthError));
    request.pattern = descriptor.subspan(kDescriptorBytes, length);
  } else {
    return refused(at + 1);
  }
  // What was there before must be overwritten, zeroes included.
  const bool security = (descriptor[0] & kSecurityInitialize) != 0;
  const bool zero = std::ranges::all_of(request.pattern, [](std::uint8_t byte) { return byte == 0; });
  if (security || !zero) request.plan.method = MediumPlan::Method::Overwrite;
  return request;
}

Request read_list(List list, bool long_header, std::uint32_t block_bytes) {
  static constexpr std::uint8_t kZero[1] = {0};
  const std::size_t header = long_header ? 8 : 4;
  if (list.size() < header) return refused(illegal_request(asc::kParameterListLengthError));
  const std::uint8_t options = list[1];
  if (list[0] != 0) return refused(0, highest_bit(list[0]));
  if ((options & kReserved) != 0) return refused(1, highest_bit(options & kReserved));
  if ((options & kOptionsValid) == 0 && (options & kOptions) != 0)
    return refused(1, highest_bit(options & kOptions));
  if (long_header && list[2] != 0) return refused(2);
  if (long_header && list[3] != 0) return refused(3);
  const std::uint32_t defects = long_header ? be32(list.subspan<4, 4>()) : be16(list.subspan<2, 2>());
  if (defects != 0) return refused(long_header ? 4 : 2);
  Request request;
  request.pattern = kZero;
  request.immediate = (options & kImmediate) != 0;
  if ((options & kPatternIsThere) == 0) return request;
  return read_pattern(request, list, header, block_bytes);
}

Flow over(Task& task, IoStatus status) {
  if (status == IoStatus::Ok) return task.good();
  MediumJob& job = task.unit().medium_job();
  if (job.format_failed()) return task.fail(Sense{SenseKey::MediumError, asc::kFormatFailed});
  // Stopped, because this host is to end; the next one goes on.
  return task.fail(job.condition().value());
}

}  // namespace

Flow format_unit(Task& task) {
  const Cdb& cdb = task.cdb();
  MediumJob& job = task.unit().medium_job();
  // Only another sanitize operation ends a failed one.
  if (job.sanitize_failed()) return task.fail(job.condition().value());

  const std::uint8_t defects = cdb[1] & kDefectListFormat;
  const bool has_list = cdb.bit(1, kFormatDataBit);
  if (!has_list && cdb.bit(1, kCompleteListBit)) return task.fail(invalid_cdb(1, kCompleteListBit));
  if (defects != kShortBlockFormat && (!has_list || defects != kLongBlockFormat))
    return task.fail(invalid_cdb(1, 2));
  static constexpr std::uint8_t kNoOptions[4] = {};
  const Request request = read_list(has_list ? task.list() : List(kNoOptions),
                                    has_list && cdb.bit(1, kLongListBit), task.unit().block_bytes());
  if (request.refusal) return task.fail(*request.refusal);
  if (!request.immediate) return task.run_job(request.plan, request.pattern, over);
  job.begin(request.plan, request.pattern, nullptr);
  return task.good();
}

}  // namespace bulkhead::scsi
