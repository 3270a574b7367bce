// What the commands that report on third-party copies, and VPD 8Fh, have in common.
#pragma once

#include <cstdint>

namespace bulkhead::scsi {

class Response;
class Unit;
struct CopyResult;

// Service actions of THIRD-PARTY COPY OUT whose results have tokens.
inline constexpr std::uint8_t kPopulateToken = 0x10;
inline constexpr std::uint8_t kWriteUsingToken = 0x11;

// TRANSFER COUNT UNITS and TRANSFER COUNT (SPC-4, "Transfer count units").
struct TransferCount {
  std::uint8_t units = 0;
  std::uint64_t value = 0;
};

// The parameter data of RECEIVE COPY STATUS(LID4), to which RECEIVE ROD TOKEN INFORMATION adds; AVAILABLE
// DATA, its first four bytes, is left to the caller.
void put_operation_status(const Unit& unit, const CopyResult& result, TransferCount count,
                          Response& response);

// DATA SEGMENT GRANULARITY: a power of two.
[[nodiscard]] std::uint8_t data_segment_granularity(const Unit& unit);

}  // namespace bulkhead::scsi
