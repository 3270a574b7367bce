#include "handler-host/scsi/testing/model_disk.h"

#include <algorithm>
#include <cstring>

namespace bulkhead::scsi::testing {
namespace {

constexpr std::uint64_t kMaxWriteSameBytes = 16 * 1024 * 1024;

Expected refuse(AdditionalSense code) {
  return {0x02, SenseKey::IllegalRequest, code};
}
Expected miscompare(std::uint64_t information) {
  return {0x02, SenseKey::Miscompare, asc::kMiscompare, information};
}

std::uint64_t number(const Bytes& bytes, std::size_t at, std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width; ++i) value = value << 8 | bytes[at + i];
  return value;
}

// What the initiator may set in byte 1, byte by opcode; 0: nothing.
std::uint8_t flags_of(std::uint8_t opcode, bool thin) {
  switch (opcode) {
    case 0x28:
    case 0xa8:
    case 0x88:  // READ 10, 12, 16: DPO, FUA, FUA_NV
    case 0x2a:
    case 0xaa:
    case 0x8a:  // WRITE
      return 0x1a;
    case 0x41:  // WRITE SAME(10): UNMAP
      return thin ? 0x08 : 0x00;
    case 0x93:  // WRITE SAME(16): UNMAP, NDOB
      return thin ? 0x09 : 0x01;
    case 0x2e:
    case 0xae:
    case 0x8e:  // WRITE AND VERIFY: DPO, BYTCHK
    case 0x2f:
    case 0xaf:
    case 0x8f:  // VERIFY
      return 0x16;
    case 0x89:
    case 0x8b:
    case 0x9c:  // COMPARE AND WRITE, ORWRITE, WRITE ATOMIC: DPO, FUA
      return 0x18;
    case 0x35:
    case 0x91:  // SYNCHRONIZE CACHE: SYNC_NV, IMMED
      return 0x06;
    case 0x34:
    case 0x90:  // PRE-FETCH: IMMED
      return 0x02;
    default:
      return 0x00;
  }
}

bool is_read(std::uint8_t opcode) {
  return opcode == 0x28 || opcode == 0xa8 || opcode == 0x88;
}
bool is_write(std::uint8_t opcode) {
  return opcode == 0x2a || opcode == 0xaa || opcode == 0x8a;
}
bool is_verify(std::uint8_t opcode) {
  return opcode == 0x2f || opcode == 0xaf || opcode == 0x8f;
}
bool is_write_and_verify(std::uint8_t opcode) {
  return opcode == 0x2e || opcode == 0xae || opcode == 0x8e;
}
bool is_write_same(std::uint8_t opcode) {
  return opcode == 0x41 || opcode == 0x93;
}
bool changes(std::uint8_t opcode) {
  return is_write(opcode) || is_write_and_verify(opcode) || is_write_same(opcode) || opcode == 0x42 ||
         opcode == 0x89 || opcode == 0x8b || opcode == 0x9c;
}

}  // namespace

ModelDisk::ModelDisk(BlockCount blocks, std::uint32_t block_bytes, bool thin, bool read_only)
    : medium(blocks.value * block_bytes),
      blocks_(blocks.value),
      block_(block_bytes),
      thin_(thin),
      read_only_(read_only) {}

bool ModelDisk::outside(const Range& range) const {
  return range.lba > blocks_ || range.count > blocks_ - range.lba;
}

Expected ModelDisk::execute(const Bytes& cdb, const Bytes& data_out, std::size_t room) {
  const std::uint8_t opcode = cdb[0];
  if (opcode == 0x42 && !thin_) return refuse(asc::kInvalidOpcode);
  if ((cdb[1] & ~flags_of(opcode, thin_)) != 0) return refuse(asc::kInvalidFieldInCdb);
  if (changes(opcode) && read_only_) return {0x02, SenseKey::DataProtect, asc::kWriteProtected};
  if (opcode == 0x42) return unmap(cdb, data_out);

  Range range;
  if (cdb.size() == 10) range = {number(cdb, 2, 4), number(cdb, 7, 2)};
  if (cdb.size() == 12) range = {number(cdb, 2, 4), number(cdb, 6, 4)};
  if (cdb.size() == 16) range = {number(cdb, 2, 8), number(cdb, 10, 4)};
  if (opcode == 0x89) range.count = cdb[13];
  if (opcode == 0x9c) range.count = number(cdb, 12, 2);

  const auto bytchk = static_cast<std::uint8_t>(cdb[1] >> 1 & 0x03);
  if (is_read(opcode)) return read(range, room);
  if (is_write(opcode)) return write(range, data_out);
  if (opcode == 0x9c) return write_atomic(range, data_out);
  if (is_write_same(opcode)) return write_same(range, data_out, opcode == 0x93 && (cdb[1] & 0x01) != 0);
  if (is_verify(opcode)) return verify(range, data_out, bytchk);
  if (is_write_and_verify(opcode)) return write_and_verify(range, data_out, bytchk);
  if (opcode == 0x89) return compare_and_write(range, data_out);
  if (opcode == 0x8b) return or_write(range, data_out);
  return outside(range) ? refuse(asc::kLbaOutOfRange) : Expected{};  // SYNCHRONIZE CACHE, PRE-FETCH
}

Expected ModelDisk::read(const Range& range, std::size_t room) {
  if (outside(range)) return refuse(asc::kLbaOutOfRange);
  const std::size_t bytes = std::min<std::size_t>(range.count * block_, room);
  return {.data_in = Bytes(at(range.lba), at(range.lba) + bytes)};
}

Expected ModelDisk::write(const Range& range, const Bytes& data) {
  if (outside(range)) return refuse(asc::kLbaOutOfRange);
  if (data.size() < range.count * block_) return refuse(asc::kInvalidFieldInInformationUnit);
  std::copy_n(data.begin(), range.count * block_, at(range.lba));
  return {};
}

Expected ModelDisk::write_same(const Range& range, const Bytes& data, bool no_data_out) {
  if (outside({range.lba, std::max<std::uint64_t>(range.count, 1)})) return refuse(asc::kLbaOutOfRange);
  const std::uint64_t count = range.count == 0 ? blocks_ - range.lba : range.count;
  if (count * block_ > kMaxWriteSameBytes) return refuse(asc::kInvalidFieldInCdb);
  if (!no_data_out && data.size() != block_) return refuse(asc::kInvalidFieldInInformationUnit);
  for (std::uint64_t lba = range.lba; lba < range.lba + count; ++lba)
    for (std::uint32_t i = 0; i < block_; ++i) at(lba)[i] = no_data_out ? std::uint8_t{0} : data[i];
  return {};
}

Expected ModelDisk::verify(const Range& range, const Bytes& data, std::uint8_t bytchk) {
  if (bytchk == 2) return refuse(asc::kInvalidFieldInCdb);
  if (outside(range)) return refuse(asc::kLbaOutOfRange);
  if (bytchk == 0 || range.count == 0) return {};
  const std::size_t sent = bytchk == 1 ? range.count * block_ : block_;
  if (data.size() < sent) return refuse(asc::kInvalidFieldInInformationUnit);
  for (std::size_t i = 0; i < range.count * block_; ++i)
    if (at(range.lba)[i] != data[bytchk == 1 ? i : i % block_]) return miscompare(range.lba + i / block_);
  return {};
}

Expected ModelDisk::write_and_verify(const Range& range, const Bytes& data, std::uint8_t bytchk) {
  if (bytchk > 1) return refuse(asc::kInvalidFieldInCdb);
  return write(range, data);
}

Expected ModelDisk::compare_and_write(const Range& range, const Bytes& data) {
  if (outside(range)) return refuse(asc::kLbaOutOfRange);
  const std::size_t half = range.count * block_;
  if (half == 0) return data.empty() ? Expected{} : refuse(asc::kInvalidFieldInCdb);
  if (data.size() != 2 * half) return refuse(asc::kInvalidFieldInInformationUnit);
  for (std::size_t i = 0; i < half; ++i)
    if (at(range.lba)[i] != data[i]) return miscompare(i);
  std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(half), half, at(range.lba));
  return {};
}

// Two blocks at a multiple of two, or none.
Expected ModelDisk::write_atomic(const Range& range, const Bytes& data) {
  if (outside(range)) return refuse(asc::kLbaOutOfRange);
  if (range.count == 0) return {};
  if (range.lba % 2 != 0 || range.count != 2) return refuse(asc::kInvalidFieldInCdb);
  return write(range, data);
}

Expected ModelDisk::or_write(const Range& range, const Bytes& data) {
  if (outside(range)) return refuse(asc::kLbaOutOfRange);
  if (data.size() < range.count * block_) return refuse(asc::kInvalidFieldInInformationUnit);
  for (std::size_t i = 0; i < range.count * block_; ++i) at(range.lba)[i] |= data[i];
  return {};
}

// SBC-4, "UNMAP command": descriptors that the parameter list length cuts off are ignored.
Expected ModelDisk::unmap(const Bytes& cdb, const Bytes& list) {
  const std::size_t length = number(cdb, 7, 2);
  if (length == 0) return {};
  if (length < 8 || length > list.size()) return refuse(asc::kParameterListLengthError);
  const std::size_t announced = number(list, 2, 2);
  if (number(list, 0, 2) < announced + 6) return refuse(asc::kInvalidFieldInParameterList);
  const std::size_t count = std::min(announced, length - 8) / 16;
  for (std::size_t i = 0; i < count; ++i)
    if (outside({number(list, 8 + i * 16, 8), number(list, 16 + i * 16, 4)}))
      return refuse(asc::kLbaOutOfRange);
  for (std::size_t i = 0; i < count; ++i)
    std::fill_n(at(number(list, 8 + i * 16, 8)), number(list, 16 + i * 16, 4) * block_, std::uint8_t{0});
  return {};
}

}  // namespace bulkhead::scsi::testing
