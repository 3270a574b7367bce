#include "supervisor/pump/answer.h"

namespace bulkhead::supervisor {

AnswerError classify(std::uint8_t status, std::span<const std::uint8_t> sense) {
  if (status == 0x08 || status == 0x28) return AnswerError::Busy;  // BUSY, TASK SET FULL
  if (status != kStatusCheckCondition) return AnswerError::OtherStatus;
  if (sense.size() < 3) return AnswerError::OtherSense;
  // Descriptor format (72h, 73h) has the key in byte 1, fixed format (70h, 71h) in byte 2.
  const bool descriptor = (sense[0] & 0x7f) >= 0x72;
  switch ((descriptor ? sense[1] : sense[2]) & 0x0f) {
    case 0x02:
      return AnswerError::NotReady;
    case 0x03:
      return AnswerError::MediumError;
    case 0x04:
      return AnswerError::HardwareError;
    case 0x05:
      return AnswerError::IllegalRequest;
    case 0x06:
      return AnswerError::UnitAttention;
    case 0x07:
      return AnswerError::DataProtect;
    case 0x0b:
      return AnswerError::AbortedCommand;
    case 0x0e:
      return AnswerError::Miscompare;
    default:
      return AnswerError::OtherSense;
  }
}

}  // namespace bulkhead::supervisor
