// Sense data and the answers that carry it.
// Source: SPC-4, "Fixed format sense data", "Descriptor format sense data", "Field pointer", "Progress
// indication".
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "handler-host/scsi/logical_unit.h"
#include "handler-host/scsi/sense_codes.h"
#include "proto/channel_abi.h"

namespace bulkhead::scsi {

// SAM-5, "Status codes".
enum class Status : std::uint8_t {
  Good = 0x00,
  CheckCondition = 0x02,
  Busy = 0x08,
  TaskSetFull = 0x28,
  TaskAborted = 0x40
};

// Which byte, and which bit of it, was wrong. For a field of several bits or bytes: its most significant one.
struct FieldPointer {
  enum class Where : std::uint8_t { Cdb, ParameterList };
  Where where = Where::Cdb;
  std::uint16_t byte = 0;
  std::optional<std::uint8_t> bit = std::nullopt;  // 0..7; nothing: the whole byte
};

// Where in its list of segments a copy failed, and what the copy source or destination had to say (SPC-4,
// "Errors detected during processing of segment descriptors"). Only with COPY ABORTED.
struct SegmentFailure {
  enum class Side : std::uint8_t { Neither, Source, Destination };
  std::uint16_t number = 0;  // of the segment descriptor, from 0; those before it were copied
  Side side = Side::Neither;
  SenseKey key = SenseKey::NoSense;  // what that side answered, if there is one
  AdditionalSense code = asc::kNone;
};

struct Sense {
  SenseKey key = SenseKey::NoSense;
  AdditionalSense code = asc::kNone;
  std::optional<std::uint64_t> information = std::nullopt;
  std::optional<FieldPointer> field = std::nullopt;
  // PROGRESS INDICATION, in 65536ths; of NOT READY and NO SENSE alone, which have no field pointer.
  std::optional<std::uint16_t> progress = std::nullopt;
  std::optional<SegmentFailure> segment = std::nullopt;
};

enum class SenseFormat : std::uint8_t { Fixed, Descriptor };  // the Control mode page's D_SENSE bit

inline constexpr std::uint8_t kFixedSenseBytes = 18;
// With what a copy source or destination answered: its status and its sense data follow.
inline constexpr std::uint8_t kForwardingSenseBytes = 2 * kFixedSenseBytes + 1;

// Fills the whole of `out`: the kernel hands all of it to the initiator, so what is not sense data is zero.
// Returns how many bytes are sense data. An information value above 32 bits does not fit the fixed format and
// is left out (VALID 0), as the standard says.
[[nodiscard]] std::uint8_t encode(const Sense& sense, SenseFormat format,
                                  std::span<std::uint8_t, channel::kSenseBytes> out);

[[nodiscard]] Reply good_reply(std::uint32_t data_bytes);
[[nodiscard]] Reply status_reply(Status status);
[[nodiscard]] Reply check_condition(const Sense& sense, SenseFormat format);

// The refusals that point at something.
[[nodiscard]] constexpr Sense invalid_cdb(std::uint16_t byte,
                                          std::optional<std::uint8_t> bit = std::nullopt) {
  return {SenseKey::IllegalRequest, asc::kInvalidFieldInCdb, std::nullopt,
          FieldPointer{FieldPointer::Where::Cdb, byte, bit}, std::nullopt};
}
[[nodiscard]] constexpr Sense invalid_parameter(std::uint16_t byte,
                                                std::optional<std::uint8_t> bit = std::nullopt) {
  return {SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList, std::nullopt,
          FieldPointer{FieldPointer::Where::ParameterList, byte, bit}, std::nullopt};
}
[[nodiscard]] constexpr Sense illegal_request(AdditionalSense code) {
  return {SenseKey::IllegalRequest, code, std::nullopt, std::nullopt, std::nullopt};
}

}  // namespace bulkhead::scsi
