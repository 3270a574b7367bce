// Parameter lists of third-party copy commands, and what tests look at in their answers.
#pragma once

#include <gmock/gmock.h>

#include <cstdint>
#include <vector>

#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi::testing {

inline constexpr std::uint8_t kLid1 = 0x00;
inline constexpr std::uint8_t kLid4 = 0x01;

// Copy source or destination, by the NAA designator that TestLun has, or that of another serial.
[[nodiscard]] Bytes cscd(std::string_view serial = "5cf01f8a-3bde-4b37-a6a7-c9f5f8a0e2d1",
                         std::uint32_t block_bytes = 512);
// Descriptors 02h and 0Ah, from CSCD 0 to CSCD 0.
[[nodiscard]] Bytes segment(Lba from, Lba to, std::uint16_t blocks);
[[nodiscard]] Bytes offset_segment(Lba from, Lba to, std::uint32_t bytes);

struct ListShape {
  std::uint32_t id = 1;
  std::uint8_t usage = 0;
  std::vector<Bytes> cscds = {cscd()};
  std::vector<Bytes> segments;
};
[[nodiscard]] Bytes lid1_list(const ListShape& shape);
[[nodiscard]] Bytes lid4_list(const ListShape& shape);
[[nodiscard]] Bytes extended_copy_cdb(std::uint32_t list_bytes, std::uint8_t action = kLid1);
// A list with a one-byte identifier.
Reply copy_now(TestLun& lun, const ListShape& shape);

// POPULATE TOKEN and WRITE USING TOKEN.
inline constexpr std::uint8_t kPopulate = 0x10;
inline constexpr std::uint8_t kWriteUsing = 0x11;
using Ranges = std::vector<std::pair<std::uint64_t, std::uint32_t>>;  // LBA, blocks
[[nodiscard]] Bytes populate_list(const Ranges& ranges, std::uint32_t timeout = 0);
[[nodiscard]] Bytes write_using_list(const Bytes& token, const Ranges& ranges, std::uint64_t offset = 0);
[[nodiscard]] Bytes token_cdb(std::uint8_t action, std::uint32_t id, std::size_t list_bytes);
// The block device zero ROD token.
[[nodiscard]] Bytes zero_token();

// The RECEIVE COPY commands with an identifier of one byte, and of four.
[[nodiscard]] Bytes receive_copy(std::uint8_t action, std::uint8_t id, std::uint32_t allocation = 1024);
[[nodiscard]] Bytes receive_copy4(std::uint8_t action, std::uint32_t id, std::uint32_t allocation = 1024);

void store(Bytes& bytes, std::size_t at, std::size_t width, std::uint64_t value);
[[nodiscard]] std::uint64_t load(const Bytes& bytes, std::size_t at, std::size_t width);

// SENSE KEY COPY ABORTED, without what a copy source or destination answered.
MATCHER_P2(IsCopyAborted, code, segment, "is COPY ABORTED in this segment") {
  *result_listener << "status " << int{arg.status} << ", sense " << int{sense_key(arg)} << "/" << std::hex
                   << sense_code(arg);
  return arg.status == 0x02 && sense_key(arg) == 0x0a && sense_code(arg) == code.number() &&
         (arg.sense[10] << 8 | arg.sense[11]) == segment && arg.sense[8] == 0 && arg.sense[9] == 0 &&
         arg.sense_bytes == 18;
}
// The same with the answer of one side; `pointer`: 8 for the source, 9 for the destination.
MATCHER_P4(IsCopyAbortedBy, pointer, key, code, segment, "is COPY ABORTED because of this answer") {
  *result_listener << "status " << int{arg.status} << ", sense " << int{sense_key(arg)} << "/" << std::hex
                   << sense_code(arg);
  const std::size_t answer = arg.sense[pointer];
  return arg.status == 0x02 && sense_key(arg) == 0x0a && sense_code(arg) == 0 &&
         (arg.sense[10] << 8 | arg.sense[11]) == segment && arg.sense_bytes == 37 && arg.sense[7] == 29 &&
         answer == 18 && arg.sense[17 - pointer] == 0 && arg.sense[answer] == 0x02 &&
         arg.sense[answer + 3] == static_cast<std::uint8_t>(key) &&
         (arg.sense[answer + 13] << 8 | arg.sense[answer + 14]) == code.number();
}
inline constexpr std::size_t kSource = 8;
inline constexpr std::size_t kDestination = 9;

}  // namespace bulkhead::scsi::testing
