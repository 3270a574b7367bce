#include "test/random_cdbs/answer_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

namespace bulkhead::random_cdbs {
namespace {

// SAM-5 table 39.
constexpr std::uint8_t kGood = 0x00, kCheckCondition = 0x02;
struct Status {
  std::uint8_t code;
  std::string_view name;
};
constexpr Status kStatuses[] = {
    {kGood, "GOOD"},       {kCheckCondition, "CHECK CONDITION"}, {0x04, "CONDITION MET"},
    {0x08, "BUSY"},        {0x18, "RESERVATION CONFLICT"},       {0x28, "TASK SET FULL"},
    {0x40, "TASK ABORTED"}};

// SPC-5 table 48.
constexpr std::string_view kSenseKeys[] = {
    "NO SENSE",       "RECOVERED ERROR", "NOT READY",   "MEDIUM ERROR", "HARDWARE ERROR", "ILLEGAL REQUEST",
    "UNIT ATTENTION", "DATA PROTECT",    "BLANK CHECK", "vendor's",     "COPY ABORTED",   "ABORTED COMMAND",
    "reserved",       "VOLUME OVERFLOW", "MISCOMPARE",  "COMPLETED"};
constexpr std::uint8_t kMediumError = 3, kHardwareError = 4, kBlankCheck = 8, kVendor = 9, kReserved = 12;

constexpr std::uint8_t kFixed = 0x70, kFixedDeferred = 0x71, kDescriptors = 0x72, kDescriptorsDeferred = 0x73;
constexpr std::size_t kHeader = 8;  // of both formats: ADDITIONAL SENSE LENGTH counts from there

// The kernel itself answers RESERVE, RELEASE and PERSISTENT RESERVE IN and OUT. It counts what did not fit
// into the room as missing, as a fabric does that tells of an overflow.
constexpr std::uint8_t kAnsweredByTheKernel[] = {0x16, 0x17, 0x56, 0x57, 0x5e, 0x5f};

bool is_kernels(const Command& command) {
  return !command.cdb.empty() &&
         std::ranges::find(kAnsweredByTheKernel, command.cdb[0]) != std::end(kAnsweredByTheKernel);
}

const Status* status_of(const Answer& answer) {
  for (const Status& one : kStatuses)
    if (one.code == answer.status) return &one;
  return nullptr;
}

std::optional<std::string> wrong_with_sense(const Answer& answer) {
  if (answer.sense.size() < kHeader)
    return fmt::format("CHECK CONDITION with {} bytes of sense", answer.sense.size());
  const std::uint8_t format = answer.sense[0] & 0x7f;
  if (format < kFixed || format > kDescriptorsDeferred)
    return fmt::format("sense data of format {:02x}", format);
  if (format == kFixedDeferred || format == kDescriptorsDeferred)
    return "a deferred error, of nothing that was deferred";
  const std::uint8_t key = sense_key(answer);
  for (const std::uint8_t never : {kMediumError, kHardwareError, kBlankCheck, kVendor, kReserved})
    if (key == never) return fmt::format("sense key {}, and nothing is broken", kSenseKeys[key]);
  if (format == kDescriptors) {
    // Descriptors follow each other without a gap (SPC-5 4.4.2.1).
    const std::size_t end = std::min(answer.sense.size(), kHeader + answer.sense[7]);
    for (std::size_t at = kHeader; at < end; at += 2 + answer.sense[at + 1])
      if (at + 2 > end || at + 2 + answer.sense[at + 1] > end)
        return "a sense data descriptor without its end";
  }
  return {};
}

}  // namespace

std::uint8_t sense_key(const Answer& answer) {
  if (answer.sense.size() < kHeader) return 0;
  return (answer.sense[0] & 0x7f) >= kDescriptors ? answer.sense[1] & 0xf : answer.sense[2] & 0xf;
}

std::string outcome_name(const Answer& answer) {
  if (answer.host_status != 0) return fmt::format("host status {:02x}", answer.host_status);
  if (answer.status == kCheckCondition) return std::string(kSenseKeys[sense_key(answer)]);
  const Status* status = status_of(answer);
  return status != nullptr ? std::string(status->name) : fmt::format("status {:02x}", answer.status);
}

std::optional<std::string> wrong_with(const Command& command, const Answer& answer) {
  if (answer.host_status != 0)
    return fmt::format("host status {:02x}: no answer of the disk", answer.host_status);
  if (status_of(answer) == nullptr) return fmt::format("status {:02x}", answer.status);
  if (answer.wrote_beyond_room) return "more data than there was room for";
  if (!is_kernels(command) &&
      (answer.missing < 0 || answer.missing > static_cast<std::int64_t>(command.data.size())))
    return fmt::format("{} bytes missing of {}", answer.missing, command.data.size());
  if (answer.status == kCheckCondition) return wrong_with_sense(answer);
  return {};
}

}  // namespace bulkhead::random_cdbs
