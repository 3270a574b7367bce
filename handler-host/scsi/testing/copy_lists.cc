#include "handler-host/scsi/testing/copy_lists.h"

#include <algorithm>
#include <utility>

#include "handler-host/scsi/report/identity.h"

namespace bulkhead::scsi::testing {
namespace {

void append(Bytes& to, const std::vector<Bytes>& parts) {
  for (const Bytes& part : parts) to.insert(to.end(), part.begin(), part.end());
}

std::size_t size_of(const std::vector<Bytes>& parts) {
  std::size_t size = 0;
  for (const Bytes& part : parts) size += part.size();
  return size;
}

}  // namespace

void store(Bytes& bytes, std::size_t at, std::size_t width, std::uint64_t value) {
  for (std::size_t i = width; i-- > 0; value >>= 8) bytes.at(at + i) = static_cast<std::uint8_t>(value);
}

std::uint64_t load(const Bytes& bytes, std::size_t at, std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width; ++i) value = value << 8 | bytes.at(at + i);
  return value;
}

Bytes cscd(std::string_view serial, std::uint32_t block_bytes) {
  Bytes bytes(32);
  bytes[0] = 0xe4;
  bytes[4] = 1;  // binary
  bytes[5] = 3;  // NAA, of the logical unit
  bytes[7] = 16;
  std::ranges::copy(naa_designator(serial), bytes.begin() + 8);
  store(bytes, 29, 3, block_bytes);
  return bytes;
}

Bytes segment(Lba from, Lba to, std::uint16_t blocks) {
  Bytes bytes(28);
  bytes[0] = 0x02;
  store(bytes, 2, 2, 24);
  store(bytes, 10, 2, blocks);
  store(bytes, 12, 8, from.value);
  store(bytes, 20, 8, to.value);
  return bytes;
}

Bytes offset_segment(Lba from, Lba to, std::uint32_t count) {
  Bytes bytes(32);
  bytes[0] = 0x0a;
  store(bytes, 2, 2, 28);
  store(bytes, 8, 4, count);
  store(bytes, 12, 8, from.value);
  store(bytes, 20, 8, to.value);
  return bytes;
}

Bytes lid1_list(const ListShape& shape) {
  Bytes list(16);
  store(list, 0, 1, shape.id);
  list[1] = static_cast<std::uint8_t>(shape.usage << 3);
  store(list, 2, 2, size_of(shape.cscds));
  store(list, 8, 4, size_of(shape.segments));
  append(list, shape.cscds);
  append(list, shape.segments);
  return list;
}

Bytes lid4_list(const ListShape& shape) {
  Bytes list(48);
  list[0] = 0x01;
  list[1] = static_cast<std::uint8_t>(shape.usage << 3);
  store(list, 2, 2, 0x20);
  list[16] = 0xff;
  store(list, 20, 4, shape.id);
  store(list, 42, 2, size_of(shape.cscds));
  store(list, 44, 2, size_of(shape.segments));
  append(list, shape.cscds);
  append(list, shape.segments);
  return list;
}

Bytes extended_copy_cdb(std::uint32_t list_bytes, std::uint8_t action) {
  Bytes cdb(16);
  cdb[0] = 0x83;
  cdb[1] = action;
  store(cdb, 10, 4, list_bytes);
  return cdb;
}

Reply copy_now(TestLun& lun, const ListShape& shape) {
  const Bytes list = lid1_list(shape);
  return lun.put(extended_copy_cdb(static_cast<std::uint32_t>(list.size())), list);
}

namespace {

Bytes with_ranges(Bytes header, const Ranges& ranges) {
  Bytes list = std::move(header);
  store(list, list.size() - 2, 2, 16 * ranges.size());
  for (const auto& [lba, blocks] : ranges) {
    list.resize(list.size() + 16);
    store(list, list.size() - 16, 8, lba);
    store(list, list.size() - 8, 4, blocks);
  }
  store(list, 0, 2, list.size() - 2);
  return list;
}

}  // namespace

Bytes populate_list(const Ranges& ranges, std::uint32_t timeout) {
  Bytes header(16);
  store(header, 4, 4, timeout);
  return with_ranges(std::move(header), ranges);
}

Bytes write_using_list(const Bytes& token, const Ranges& ranges, std::uint64_t offset) {
  Bytes header(536);
  store(header, 8, 8, offset);
  std::ranges::copy(token, header.begin() + 16);
  return with_ranges(std::move(header), ranges);
}

Bytes token_cdb(std::uint8_t action, std::uint32_t id, std::size_t list_bytes) {
  Bytes cdb(16);
  cdb[0] = 0x83;
  cdb[1] = action;
  store(cdb, 6, 4, id);
  store(cdb, 10, 4, list_bytes);
  return cdb;
}

Bytes zero_token() {
  Bytes token(512);
  store(token, 0, 4, 0xffff0001);
  store(token, 6, 2, 0x01f8);
  return token;
}

Bytes receive_copy(std::uint8_t action, std::uint8_t id, std::uint32_t allocation) {
  Bytes cdb(16);
  cdb[0] = 0x84;
  cdb[1] = action;
  cdb[2] = id;
  store(cdb, 10, 4, allocation);
  return cdb;
}

Bytes receive_copy4(std::uint8_t action, std::uint32_t id, std::uint32_t allocation) {
  Bytes cdb = receive_copy(action, 0, allocation);
  store(cdb, 2, 4, id);
  return cdb;
}

}  // namespace bulkhead::scsi::testing
