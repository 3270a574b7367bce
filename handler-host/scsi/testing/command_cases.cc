#include "handler-host/scsi/testing/command_cases.h"

#include <utility>
#include <vector>

#include "handler-host/scsi/testing/copy_lists.h"
#include "handler-host/scsi/testing/mode_lists.h"
#include "proto/opcode_facts.h"

namespace bulkhead::scsi::testing {
namespace {

constexpr Lba kInside{8};
constexpr Lba kLast{63};
constexpr BlockCount kTwo{2};

Bytes zeroes(std::size_t count) {
  return Bytes(count, 0);
}

// A CDB with LBA and count where those of its length have them.
Bytes with_lba(std::uint8_t opcode, std::uint8_t lba, std::uint8_t count, std::uint8_t flags = 0) {
  return extent_cdb(opcode, Lba{lba}, BlockCount{count}, flags);
}
Bytes compare_and_write(std::uint8_t lba) {
  return with_lba(0x89, lba, 1);
}
Bytes write_atomic(std::uint8_t lba) {
  return with_lba(0x9c, lba, 8);
}

// A copy of two blocks within the unit.
Bytes small_copy(std::uint8_t action) {
  const ListShape shape{.segments = {segment(Lba{8}, Lba{16}, 2)}};
  return action == kLid1 ? lid1_list(shape) : lid4_list(shape);
}
std::uint32_t small_copy_bytes(std::uint8_t action) {
  return static_cast<std::uint32_t>(small_copy(action).size());
}
// From another unit, which can't be reached.
Bytes copy_that_fails() {
  return lid1_list(
      {.cscds = {cscd("00000000-0000-0000-0000-000000000001")}, .segments = {segment(Lba{8}, Lba{16}, 2)}});
}
Sent write_zeroes_by_token(std::uint8_t lba) {
  const Bytes list = write_using_list(zero_token(), {{lba, 2}});
  return {token_cdb(kWriteUsing, 1, list.size()), list};
}
Sent cut(const Bytes& cdb, Bytes list) {
  list.pop_back();
  return {cdb, std::move(list)};
}

std::vector<CommandCase> make_cases() {
  return {
      {.opcode = 0x00, .good = {zeroes(6)}},
      {.opcode = 0x03, .good = {{0x03, 0, 0, 0, 18, 0}}, .data_in_bytes = 18},
      {.opcode = 0x04,
       .good = {{0x04, 0x10, 0, 0, 0, 0}, {0, 0x80, 0, 0}},  // FOV
       .too_little_data = Sent{{0x04, 0x10, 0, 0, 0, 0}, {0, 0x80, 0}},
       .fails_its_own_way = true},
      {.opcode = 0x08, .good = {read6(8, 2)}, .data_in_bytes = 1024, .beyond_end = Sent{read6(63, 2)}},
      {.opcode = 0x0a,
       .good = {write6(8, 2), zeroes(1024)},
       .beyond_end = Sent{write6(63, 2), zeroes(1024)},
       .too_little_data = Sent{write6(8, 2), zeroes(1023)}},
      {.opcode = 0x12, .good = {inquiry_of(36)}, .data_in_bytes = 36},
      {.opcode = 0x15,
       .good = {{0x15, 0x10, 0, 0, 24, 0}, caching_list(true, 4)},
       .too_little_data = Sent{{0x15, 0x10, 0, 0, 24, 0}, zeroes(23)}},
      {.opcode = 0x1a, .good = {{0x1a, 0, 0x3f, 0, 255, 0}}, .data_in_bytes = 12 + 12 + 20 + 12 + 12},
      {.opcode = 0x1b, .good = {{0x1b, 0, 0, 0, 1, 0}}},
      {.opcode = 0x1c, .good = {{0x1c, 0x01, 0x00, 0, 64, 0}}, .data_in_bytes = 5},
      {.opcode = 0x1d, .good = {{0x1d, 0x04, 0, 0, 0, 0}}},
      {.opcode = 0x1e, .good = {{0x1e, 0, 0, 0, 1, 0}}},
      {.opcode = 0x25, .good = {{0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0}}, .data_in_bytes = 8},
      {.opcode = 0x28,
       .good = {read10(kInside, kTwo)},
       .data_in_bytes = 1024,
       .beyond_end = Sent{read10(kLast, kTwo)}},
      {.opcode = 0x2a,
       .good = {write10(kInside, kTwo), zeroes(1024)},
       .beyond_end = Sent{write10(kLast, kTwo), zeroes(1024)},
       .too_little_data = Sent{write10(kInside, kTwo), zeroes(1023)}},
      {.opcode = 0x2e,
       .good = {with_lba(0x2e, 8, 2, 0x02), zeroes(1024)},
       .beyond_end = Sent{with_lba(0x2e, 63, 2), zeroes(1024)},
       .too_little_data = Sent{with_lba(0x2e, 8, 2), zeroes(1023)}},
      {.opcode = 0x2f,
       .good = {with_lba(0x2f, 8, 2, 0x02), zeroes(1024)},
       .beyond_end = Sent{with_lba(0x2f, 63, 2), zeroes(1024)},
       .too_little_data = Sent{with_lba(0x2f, 8, 2, 0x02), zeroes(1023)}},
      {.opcode = 0x34, .good = {with_lba(0x34, 8, 2)}, .beyond_end = Sent{with_lba(0x34, 63, 2)}},
      {.opcode = 0x35,
       .good = {{0x35, 0, 0, 0, 0, 8, 0, 0, 2, 0}},
       .beyond_end = Sent{{0x35, 0, 0, 0, 0, 63, 0, 0, 2, 0}}},
      {.opcode = 0x37, .good = {{0x37, 0, 0x08, 0, 0, 0, 0, 0, 64, 0}}, .data_in_bytes = 4},
      {.opcode = 0x41,
       .good = {write_same10(kInside, kTwo), zeroes(512)},
       .beyond_end = Sent{write_same10(kLast, kTwo), zeroes(512)},
       .too_little_data = Sent{write_same10(kInside, kTwo), zeroes(511)}},
      {.opcode = 0x42,
       .good = {unmap_cdb(24), unmap_list({{8, 2}})},
       .beyond_end = Sent{unmap_cdb(24), unmap_list({{63, 2}})},
       .too_little_data = Sent{unmap_cdb(24), zeroes(23)}},
      {.opcode = 0x48,
       .service_action = 0x01,
       .good = {{0x48, 0x01, 0, 0, 0, 0, 0, 0, 8, 0}, {1, 0, 0, 4, 1, 2, 3, 4}},
       .too_little_data = Sent{{0x48, 0x01, 0, 0, 0, 0, 0, 0, 8, 0}, {1, 0, 0, 4, 1, 2, 3}},
       .fails_its_own_way = true},
      {.opcode = 0x48,
       .service_action = 0x02,
       .good = {{0x48, 0x02, 0, 0, 0, 0, 0, 0, 0, 0}},
       .fails_its_own_way = true},
      {.opcode = 0x48, .service_action = 0x1f, .good = {{0x48, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0}}},
      {.opcode = 0x4c, .good = {{0x4c, 0x02, 0x40, 0, 0, 0, 0, 0, 0, 0}}},
      {.opcode = 0x4d, .good = {{0x4d, 0, 0x40, 0, 0, 0, 0, 1, 0, 0}}, .data_in_bytes = 4 + 5},
      {.opcode = 0x55,
       .good = {{0x55, 0x10, 0, 0, 0, 0, 0, 0, 28, 0}, caching_list(true, 8)},
       .too_little_data = Sent{{0x55, 0x10, 0, 0, 0, 0, 0, 0, 28, 0}, zeroes(27)}},
      {.opcode = 0x5a,
       .good = {{0x5a, 0, 0x3f, 0, 0, 0, 0, 1, 0, 0}},
       .data_in_bytes = 16 + 12 + 20 + 12 + 12},
      {.opcode = 0x83,
       .service_action = 0x00,
       .good = {extended_copy_cdb(small_copy_bytes(kLid1)), small_copy(kLid1)},
       .too_little_data = cut(extended_copy_cdb(small_copy_bytes(kLid1)), small_copy(kLid1)),
       .fails_its_own_way = true},
      {.opcode = 0x83,
       .service_action = 0x01,
       .good = {extended_copy_cdb(small_copy_bytes(kLid4), kLid4), small_copy(kLid4)},
       .too_little_data = cut(extended_copy_cdb(small_copy_bytes(kLid4), kLid4), small_copy(kLid4)),
       .fails_its_own_way = true},
      {.opcode = 0x83,
       .service_action = 0x10,
       .good = {token_cdb(kPopulate, 1, populate_list({{8, 2}}).size()), populate_list({{8, 2}})},
       .beyond_end = Sent{token_cdb(kPopulate, 1, populate_list({{63, 2}}).size()), populate_list({{63, 2}})},
       .too_little_data =
           cut(token_cdb(kPopulate, 1, populate_list({{8, 2}}).size()), populate_list({{8, 2}}))},
      {.opcode = 0x83,
       .service_action = 0x11,
       .good = write_zeroes_by_token(8),
       .beyond_end = write_zeroes_by_token(63),
       .too_little_data = cut(write_zeroes_by_token(8).cdb, write_zeroes_by_token(8).data_out)},
      {.opcode = 0x84,
       .service_action = 0x00,
       .before = Sent{extended_copy_cdb(small_copy_bytes(kLid1)), small_copy(kLid1)},
       .good = {receive_copy(0x00, 1)},
       .data_in_bytes = 12},
      {.opcode = 0x84, .service_action = 0x03, .good = {receive_copy(0x03, 0)}, .data_in_bytes = 44 + 3},
      {.opcode = 0x84,
       .service_action = 0x04,
       .before =
           Sent{extended_copy_cdb(static_cast<std::uint32_t>(copy_that_fails().size())), copy_that_fails()},
       .good = {receive_copy(0x04, 1)},
       .data_in_bytes = 4 + 56 + 18},
      {.opcode = 0x84,
       .service_action = 0x05,
       .before = Sent{extended_copy_cdb(small_copy_bytes(kLid4), kLid4), small_copy(kLid4)},
       .good = {receive_copy4(0x05, 1)},
       .data_in_bytes = 32},
      {.opcode = 0x84,
       .service_action = 0x07,
       .before = Sent{token_cdb(kPopulate, 1, populate_list({{8, 2}}).size()), populate_list({{8, 2}})},
       .good = {receive_copy4(0x07, 1)},
       .data_in_bytes = 32 + 4 + 2 + 512},
      {.opcode = 0x84, .service_action = 0x08, .good = {receive_copy4(0x08, 0)}, .data_in_bytes = 8},
      {.opcode = 0x88,
       .good = {read16(kInside, kTwo)},
       .data_in_bytes = 1024,
       .beyond_end = Sent{read16(kLast, kTwo)}},
      {.opcode = 0x89,
       .good = {compare_and_write(8), zeroes(1024)},
       .beyond_end = Sent{compare_and_write(64), zeroes(1024)},
       .too_little_data = Sent{compare_and_write(8), zeroes(1023)}},
      {.opcode = 0x8a,
       .good = {write16(kInside, kTwo), zeroes(1024)},
       .beyond_end = Sent{write16(kLast, kTwo), zeroes(1024)},
       .too_little_data = Sent{write16(kInside, kTwo), zeroes(1023)}},
      {.opcode = 0x8b,
       .good = {with_lba(0x8b, 8, 2), zeroes(1024)},
       .beyond_end = Sent{with_lba(0x8b, 63, 2), zeroes(1024)},
       .too_little_data = Sent{with_lba(0x8b, 8, 2), zeroes(1023)}},
      {.opcode = 0x8e,
       .good = {with_lba(0x8e, 8, 2, 0x02), zeroes(1024)},
       .beyond_end = Sent{with_lba(0x8e, 63, 2), zeroes(1024)},
       .too_little_data = Sent{with_lba(0x8e, 8, 2), zeroes(1023)}},
      {.opcode = 0x8f,
       .good = {with_lba(0x8f, 8, 2, 0x02), zeroes(1024)},
       .beyond_end = Sent{with_lba(0x8f, 63, 2), zeroes(1024)},
       .too_little_data = Sent{with_lba(0x8f, 8, 2, 0x02), zeroes(1023)}},
      {.opcode = 0x90, .good = {with_lba(0x90, 8, 2)}, .beyond_end = Sent{with_lba(0x90, 63, 2)}},
      {.opcode = 0x91,
       .good = {{0x91, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0}},
       .beyond_end = Sent{{0x91, 0, 0, 0, 0, 0, 0, 0, 0, 63, 0, 0, 0, 2, 0, 0}}},
      {.opcode = 0x93,
       .good = {write_same16(kInside, kTwo), zeroes(512)},
       .beyond_end = Sent{write_same16(kLast, kTwo), zeroes(512)},
       .too_little_data = Sent{write_same16(kInside, kTwo), zeroes(511)}},
      {.opcode = 0x9c,
       .good = {write_atomic(8), zeroes(4096)},
       .beyond_end = Sent{write_atomic(64), zeroes(4096)},
       .too_little_data = Sent{write_atomic(8), zeroes(4095)}},
      {.opcode = 0x9e,
       .service_action = 0x10,
       .good = {{0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0}},
       .data_in_bytes = 32},
      {.opcode = 0x9e,
       .service_action = 0x12,
       .good = {{0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 24, 0, 0}},
       .data_in_bytes = 24,
       .beyond_end = Sent{{0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 24, 0, 0}}},
      {.opcode = 0x9e,
       .service_action = 0x12,
       .good = {{0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 64, 0, 0}},
       .data_in_bytes = 8 + 16,
       .beyond_end = Sent{{0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 64, 0, 0}}},
      {.opcode = 0xa3,
       .service_action = 0x0c,
       .good = {{0xa3, 0x0c, 0x01, 0x28, 0, 0, 0, 0, 0, 64, 0, 0}},
       .data_in_bytes = 4 + 10},
      {.opcode = 0xa3,
       .service_action = 0x0d,
       .good = {{0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0}},
       .data_in_bytes = 4},
      {.opcode = 0xa3,
       .service_action = 0x0f,
       .good = {{0xa3, 0x0f, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0}},
       .data_in_bytes = 12},
      {.opcode = 0xa8,
       .good = {read12(kInside, kTwo)},
       .data_in_bytes = 1024,
       .beyond_end = Sent{read12(kLast, kTwo)}},
      {.opcode = 0xaa,
       .good = {write12(kInside, kTwo), zeroes(1024)},
       .beyond_end = Sent{write12(kLast, kTwo), zeroes(1024)},
       .too_little_data = Sent{write12(kInside, kTwo), zeroes(1023)}},
      {.opcode = 0xab,
       .service_action = 0x01,
       .good = {{0xab, 0x01, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0}},
       .data_in_bytes = 44},
      {.opcode = 0xae,
       .good = {with_lba(0xae, 8, 2, 0x02), zeroes(1024)},
       .beyond_end = Sent{with_lba(0xae, 63, 2), zeroes(1024)},
       .too_little_data = Sent{with_lba(0xae, 8, 2), zeroes(1023)}},
      {.opcode = 0xaf,
       .good = {with_lba(0xaf, 8, 2, 0x02), zeroes(1024)},
       .beyond_end = Sent{with_lba(0xaf, 63, 2), zeroes(1024)},
       .too_little_data = Sent{with_lba(0xaf, 8, 2, 0x02), zeroes(1023)}},
      {.opcode = 0xb7, .good = {{0xb7, 0x08, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0}}, .data_in_bytes = 8},
  };
}

}  // namespace

std::span<const CommandCase> command_cases() {
  static const std::vector<CommandCase> cases = make_cases();
  return cases;
}

}  // namespace bulkhead::scsi::testing
