// Sense keys and additional sense codes: the one list. Who refuses a command names a constant from here; who
// explains sense data to people finds its text here.
// Source: SPC-4, "Sense key and additional sense code definitions", and its annex of numeric order codes.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace bulkhead::scsi {

enum class SenseKey : std::uint8_t {
  NoSense = 0x0,
  RecoveredError = 0x1,
  NotReady = 0x2,
  MediumError = 0x3,
  HardwareError = 0x4,
  IllegalRequest = 0x5,
  UnitAttention = 0x6,
  DataProtect = 0x7,
  BlankCheck = 0x8,
  VendorSpecific = 0x9,
  CopyAborted = 0xa,
  AbortedCommand = 0xb,
  Reserved = 0xc,
  VolumeOverflow = 0xd,
  Miscompare = 0xe,
  Completed = 0xf,
};

inline constexpr std::array<std::string_view, 16> kSenseKeyNames{
    "NO SENSE",       "RECOVERED ERROR", "NOT READY",      "MEDIUM ERROR",
    "HARDWARE ERROR", "ILLEGAL REQUEST", "UNIT ATTENTION", "DATA PROTECT",
    "BLANK CHECK",    "VENDOR SPECIFIC", "COPY ABORTED",   "ABORTED COMMAND",
    "RESERVED (Ch)",  "VOLUME OVERFLOW", "MISCOMPARE",     "COMPLETED",
};

struct AdditionalSense {
  std::uint8_t code = 0;       // ADDITIONAL SENSE CODE
  std::uint8_t qualifier = 0;  // ADDITIONAL SENSE CODE QUALIFIER
  std::string_view text;

  [[nodiscard]] constexpr std::uint16_t number() const {
    return static_cast<std::uint16_t>(code << 8 | qualifier);
  }
  constexpr bool operator==(const AdditionalSense& other) const { return number() == other.number(); }
};

namespace asc {

// What this program's own commands answer.
inline constexpr AdditionalSense kNone{0x00, 0x00, "NO ADDITIONAL SENSE INFORMATION"};
inline constexpr AdditionalSense kFormatInProgress{0x04, 0x04, "LOGICAL UNIT NOT READY, FORMAT IN PROGRESS"};
inline constexpr AdditionalSense kSanitizeInProgress{0x04, 0x1b,
                                                     "LOGICAL UNIT NOT READY, SANITIZE IN PROGRESS"};
inline constexpr AdditionalSense kUnreachableCopyTarget{0x08, 0x04, "UNREACHABLE COPY TARGET"};
inline constexpr AdditionalSense kWriteError{0x0c, 0x00, "WRITE ERROR"};
inline constexpr AdditionalSense kThirdPartyDeviceFailure{0x0d, 0x01, "THIRD PARTY DEVICE FAILURE"};
inline constexpr AdditionalSense kCopyTargetNotReachable{0x0d, 0x02, "COPY TARGET DEVICE NOT REACHABLE"};
inline constexpr AdditionalSense kIncorrectCopyTargetType{0x0d, 0x03, "INCORRECT COPY TARGET DEVICE TYPE"};
inline constexpr AdditionalSense kInvalidFieldInInformationUnit{0x0e, 0x03,
                                                                "INVALID FIELD IN COMMAND INFORMATION UNIT"};
inline constexpr AdditionalSense kUnrecoveredReadError{0x11, 0x00, "UNRECOVERED READ ERROR"};
inline constexpr AdditionalSense kParameterListLengthError{0x1a, 0x00, "PARAMETER LIST LENGTH ERROR"};
inline constexpr AdditionalSense kInvalidOpcode{0x20, 0x00, "INVALID COMMAND OPERATION CODE"};
inline constexpr AdditionalSense kLbaOutOfRange{0x21, 0x00, "LOGICAL BLOCK ADDRESS OUT OF RANGE"};
inline constexpr AdditionalSense kUnsupportedTokenType{0x23, 0x01,
                                                       "INVALID TOKEN OPERATION, UNSUPPORTED TOKEN TYPE"};
inline constexpr AdditionalSense kTokenUnknown{0x23, 0x04, "INVALID TOKEN OPERATION, TOKEN UNKNOWN"};
inline constexpr AdditionalSense kTokenRevoked{0x23, 0x06, "INVALID TOKEN OPERATION, TOKEN REVOKED"};
inline constexpr AdditionalSense kTokenExpired{0x23, 0x07, "INVALID TOKEN OPERATION, TOKEN EXPIRED"};
inline constexpr AdditionalSense kInvalidTokenLength{0x23, 0x0a,
                                                     "INVALID TOKEN OPERATION, INVALID TOKEN LENGTH"};
inline constexpr AdditionalSense kInvalidFieldInCdb{0x24, 0x00, "INVALID FIELD IN CDB"};
inline constexpr AdditionalSense kInvalidFieldInParameterList{0x26, 0x00, "INVALID FIELD IN PARAMETER LIST"};
inline constexpr AdditionalSense kTooManyTargetDescriptors{0x26, 0x06, "TOO MANY TARGET DESCRIPTORS"};
inline constexpr AdditionalSense kUnsupportedTargetDescriptor{0x26, 0x07,
                                                              "UNSUPPORTED TARGET DESCRIPTOR TYPE CODE"};
inline constexpr AdditionalSense kTooManySegmentDescriptors{0x26, 0x08, "TOO MANY SEGMENT DESCRIPTORS"};
inline constexpr AdditionalSense kUnsupportedSegmentDescriptor{0x26, 0x09,
                                                               "UNSUPPORTED SEGMENT DESCRIPTOR TYPE CODE"};
inline constexpr AdditionalSense kInlineDataLengthExceeded{0x26, 0x0b, "INLINE DATA LENGTH EXCEEDED"};
inline constexpr AdditionalSense kSegmentGranularityViolation{0x26, 0x0d,
                                                              "COPY SEGMENT GRANULARITY VIOLATION"};
inline constexpr AdditionalSense kWriteProtected{0x27, 0x00, "WRITE PROTECTED"};
inline constexpr AdditionalSense kSpaceAllocationFailed{0x27, 0x07, "SPACE ALLOCATION FAILED WRITE PROTECT"};
inline constexpr AdditionalSense kModeParametersChanged{0x2a, 0x01, "MODE PARAMETERS CHANGED"};
inline constexpr AdditionalSense kCapacityDataHasChanged{0x2a, 0x09, "CAPACITY DATA HAS CHANGED"};
inline constexpr AdditionalSense kMediumFormatCorrupted{0x31, 0x00, "MEDIUM FORMAT CORRUPTED"};
inline constexpr AdditionalSense kFormatFailed{0x31, 0x01, "FORMAT COMMAND FAILED"};
inline constexpr AdditionalSense kSanitizeFailed{0x31, 0x03, "SANITIZE COMMAND FAILED"};
inline constexpr AdditionalSense kSavingNotSupported{0x39, 0x00, "SAVING PARAMETERS NOT SUPPORTED"};
inline constexpr AdditionalSense kFailedSelfTest{0x3e, 0x03, "LOGICAL UNIT FAILED SELF-TEST"};
inline constexpr AdditionalSense kInternalTargetFailure{0x44, 0x00, "INTERNAL TARGET FAILURE"};
inline constexpr AdditionalSense kInsufficientResourcesForRodToken{
    0x55, 0x0d, "INSUFFICIENT RESOURCES TO CREATE ROD TOKEN"};

// What others in the path answer: the kernel's target core and the supervisor. For the decoder.
inline constexpr AdditionalSense kNotReadyCauseNotReportable{0x04, 0x00,
                                                             "LOGICAL UNIT NOT READY, CAUSE NOT REPORTABLE"};
inline constexpr AdditionalSense kBecomingReady{0x04, 0x01, "LOGICAL UNIT IS IN PROCESS OF BECOMING READY"};
inline constexpr AdditionalSense kAccessStateTransition{
    0x04, 0x0a, "LOGICAL UNIT NOT ACCESSIBLE, ASYMMETRIC ACCESS STATE TRANSITION"};
inline constexpr AdditionalSense kStandby{0x04, 0x0b,
                                          "LOGICAL UNIT NOT ACCESSIBLE, TARGET PORT IN STANDBY STATE"};
inline constexpr AdditionalSense kUnavailable{
    0x04, 0x0c, "LOGICAL UNIT NOT ACCESSIBLE, TARGET PORT IN UNAVAILABLE STATE"};
inline constexpr AdditionalSense kCommunicationFailure{0x08, 0x00, "LOGICAL UNIT COMMUNICATION FAILURE"};
inline constexpr AdditionalSense kMiscompare{0x1d, 0x00, "MISCOMPARE DURING VERIFY OPERATION"};
inline constexpr AdditionalSense kNotSupportedForLun{0x25, 0x00, "LOGICAL UNIT NOT SUPPORTED"};
inline constexpr AdditionalSense kPowerOnOrReset{0x29, 0x00, "POWER ON, RESET, OR BUS DEVICE RESET OCCURRED"};
inline constexpr AdditionalSense kReservationsPreempted{0x2a, 0x03, "RESERVATIONS PREEMPTED"};
inline constexpr AdditionalSense kReservationsReleased{0x2a, 0x04, "RESERVATIONS RELEASED"};
inline constexpr AdditionalSense kAccessStateChanged{0x2a, 0x06, "ASYMMETRIC ACCESS STATE CHANGED"};
inline constexpr AdditionalSense kCommandsClearedByAnother{0x2f, 0x00,
                                                           "COMMANDS CLEARED BY ANOTHER INITIATOR"};
inline constexpr AdditionalSense kSoftThresholdReached{0x38, 0x07,
                                                       "THIN PROVISIONING SOFT THRESHOLD REACHED"};
inline constexpr AdditionalSense kMediumNotPresent{0x3a, 0x00, "MEDIUM NOT PRESENT"};
inline constexpr AdditionalSense kInquiryDataHasChanged{0x3f, 0x03, "INQUIRY DATA HAS CHANGED"};
inline constexpr AdditionalSense kReportedLunsDataHasChanged{0x3f, 0x0e, "REPORTED LUNS DATA HAS CHANGED"};
inline constexpr AdditionalSense kOverlappedCommands{0x4e, 0x00, "OVERLAPPED COMMANDS ATTEMPTED"};
inline constexpr AdditionalSense kInsufficientResources{0x55, 0x03, "INSUFFICIENT RESOURCES"};

}  // namespace asc

// Ascending, so that a number is found by bisection.
inline constexpr std::array kAdditionalSenses{
    asc::kNone,
    asc::kNotReadyCauseNotReportable,
    asc::kBecomingReady,
    asc::kFormatInProgress,
    asc::kAccessStateTransition,
    asc::kStandby,
    asc::kUnavailable,
    asc::kSanitizeInProgress,
    asc::kCommunicationFailure,
    asc::kUnreachableCopyTarget,
    asc::kWriteError,
    asc::kThirdPartyDeviceFailure,
    asc::kCopyTargetNotReachable,
    asc::kIncorrectCopyTargetType,
    asc::kInvalidFieldInInformationUnit,
    asc::kUnrecoveredReadError,
    asc::kParameterListLengthError,
    asc::kMiscompare,
    asc::kInvalidOpcode,
    asc::kLbaOutOfRange,
    asc::kUnsupportedTokenType,
    asc::kTokenUnknown,
    asc::kTokenRevoked,
    asc::kTokenExpired,
    asc::kInvalidTokenLength,
    asc::kInvalidFieldInCdb,
    asc::kNotSupportedForLun,
    asc::kInvalidFieldInParameterList,
    asc::kTooManyTargetDescriptors,
    asc::kUnsupportedTargetDescriptor,
    asc::kTooManySegmentDescriptors,
    asc::kUnsupportedSegmentDescriptor,
    asc::kInlineDataLengthExceeded,
    asc::kSegmentGranularityViolation,
    asc::kWriteProtected,
    asc::kSpaceAllocationFailed,
    asc::kPowerOnOrReset,
    asc::kModeParametersChanged,
    asc::kReservationsPreempted,
    asc::kReservationsReleased,
    asc::kAccessStateChanged,
    asc::kCapacityDataHasChanged,
    asc::kCommandsClearedByAnother,
    asc::kMediumFormatCorrupted,
    asc::kFormatFailed,
    asc::kSanitizeFailed,
    asc::kSoftThresholdReached,
    asc::kSavingNotSupported,
    asc::kMediumNotPresent,
    asc::kFailedSelfTest,
    asc::kInquiryDataHasChanged,
    asc::kReportedLunsDataHasChanged,
    asc::kInternalTargetFailure,
    asc::kOverlappedCommands,
    asc::kInsufficientResources,
    asc::kInsufficientResourcesForRodToken,
};
static_assert(std::ranges::is_sorted(kAdditionalSenses, {}, &AdditionalSense::number));
static_assert(std::ranges::adjacent_find(kAdditionalSenses) == kAdditionalSenses.end());

// The text of a code; empty if it is not in the list.
[[nodiscard]] constexpr std::string_view text_of(std::uint8_t code, std::uint8_t qualifier) {
  const AdditionalSense wanted{code, qualifier, {}};
  const auto* found =
      std::ranges::lower_bound(kAdditionalSenses, wanted.number(), {}, &AdditionalSense::number);
  return found != kAdditionalSenses.end() && *found == wanted ? found->text : std::string_view{};
}

}  // namespace bulkhead::scsi
