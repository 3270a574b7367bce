#include "handler-host/scsi/testing/test_lun.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/endian.h"
#include "base/error.h"
#include "proto/opcode_facts.h"

namespace bulkhead::scsi::testing {
namespace {

void store16(Bytes& bytes, std::size_t at, std::uint64_t value) {
  put_be16(std::span<std::uint8_t, 2>(&bytes[at], 2), static_cast<std::uint16_t>(value));
}
void store32(Bytes& bytes, std::size_t at, std::uint64_t value) {
  put_be32(std::span<std::uint8_t, 4>(&bytes[at], 4), static_cast<std::uint32_t>(value));
}
void store64(Bytes& bytes, std::size_t at, std::uint64_t value) {
  put_be64(std::span<std::uint8_t, 8>(&bytes[at], 8), value);
}

Bytes cdb6(std::uint8_t opcode, std::uint32_t lba, std::uint8_t count) {
  return {opcode,
          static_cast<std::uint8_t>(lba >> 16),
          static_cast<std::uint8_t>(lba >> 8),
          static_cast<std::uint8_t>(lba),
          count,
          0};
}
Bytes cdb10(std::uint8_t opcode, Lba lba, BlockCount count, std::uint8_t flags) {
  Bytes cdb(10);
  cdb[0] = opcode;
  cdb[1] = flags;
  store32(cdb, 2, lba.value);
  store16(cdb, 7, count.value);
  return cdb;
}
Bytes cdb12(std::uint8_t opcode, Lba lba, BlockCount count) {
  Bytes cdb(12);
  cdb[0] = opcode;
  store32(cdb, 2, lba.value);
  store32(cdb, 6, count.value);
  return cdb;
}
Bytes cdb16(std::uint8_t opcode, Lba lba, BlockCount count, std::uint8_t flags) {
  Bytes cdb(16);
  cdb[0] = opcode;
  cdb[1] = flags;
  store64(cdb, 2, lba.value);
  store32(cdb, 10, count.value);
  return cdb;
}

}  // namespace

handler::Geometry thin() {
  handler::Geometry geometry;
  geometry.can_discard = true;
  geometry.discard_zeroes = true;
  return geometry;
}

handler::Geometry able() {
  handler::Geometry geometry = thin();
  geometry.atomic_write_bytes = 4096;
  return geometry;
}

handler::Geometry read_only() {
  handler::Geometry geometry = thin();
  geometry.read_only = true;
  return geometry;
}

TestCommand::TestCommand(Bytes cdb_bytes_given, std::span<std::byte> buffer)
    : cdb_copy_(std::move(cdb_bytes_given)) {
  cdb = std::span(cdb_copy_).first(std::min(cdb_copy_.size(), channel::kCdbBytes));
  cdb_bytes = static_cast<std::uint16_t>(cdb_copy_.size());
  data = buffer;
}

void TestCommand::complete(const Reply& reply) noexcept {
  BULKHEAD_CHECK(!reply_);  // answered twice
  reply_ = reply;
  if (log != nullptr) log->push_back(this);
}

const Reply& TestCommand::reply() const {
  BULKHEAD_CHECK(reply_.has_value());
  return *reply_;
}

Result<UniqueFd> FakeServices::open_file(const handler::FileRequest& request) {
  return fail(Cause::NotFound, ENOENT, request.path);
}

void FakeServices::run_timers() {
  for (auto& timer : std::exchange(timers, {})) timer();
}

void FakeIdentity::ask(std::move_only_function<void(Result<Identity>)> answer) {
  ++asked;
  if (hold)
    held_.push_back(std::move(answer));
  else
    answer(identity);
}

void FakeIdentity::answer_held() {
  BULKHEAD_CHECK(!held_.empty());
  auto answer = std::move(held_.front());
  held_.pop_front();
  answer(identity);
}

TestLun::TestLun(LunShape given)
    : shape(std::move(given)),
      device({shape.blocks.value * shape.block_bytes}, shape.block_bytes, shape.geometry),
      services(shape.room.has_value()),
      unit(device, services, identity,
           Parameters{.device = "user_0/test",
                      .config = shape.config,
                      .size = {shape.blocks.value * shape.block_bytes},
                      .block_bytes = shape.block_bytes,
                      .max_sectors = shape.max_sectors,
                      .largest_transfer_bytes = shape.largest_transfer_bytes,
                      .max_commands = shape.max_commands}) {
  device.room = shape.room;
}

Answer TestLun::get(const Bytes& cdb, std::size_t buffer_bytes) {
  std::vector<std::byte> buffer(buffer_bytes, std::byte{0xee});
  TestCommand command(cdb, buffer);
  unit.execute(command);
  const Reply& reply = command.reply();
  BULKHEAD_CHECK(reply.data_bytes <= buffer_bytes);
  Bytes data(reply.data_bytes);
  if (!data.empty()) std::memcpy(data.data(), buffer.data(), data.size());
  // Beyond what was announced nothing is touched.
  BULKHEAD_CHECK(reply.status != 0 || std::all_of(buffer.begin() + reply.data_bytes, buffer.end(),
                                                  [](std::byte byte) { return byte == std::byte{0xee}; }));
  return {reply, std::move(data)};
}

Reply TestLun::put(const Bytes& cdb, const Bytes& data) {
  return start(cdb, data).reply();
}

TestCommand& TestLun::start(const Bytes& cdb, const Bytes& data) {
  Started& started = started_.emplace_back();
  started.buffer.resize(data.size());
  if (!data.empty()) std::memcpy(started.buffer.data(), data.data(), data.size());
  started.command = std::make_unique<TestCommand>(cdb, started.buffer);
  started.command->log = &answered;
  unit.execute(*started.command);
  return *started.command;
}

void TestLun::switch_cache_off() {
  unit.set_write_cache(false, [](const Result<>& done) { EXPECT_TRUE(done.has_value()); });
  device.ops.pop_back();
}

Bytes TestLun::medium(Lba first, BlockCount count) const {
  Bytes bytes(count.value * shape.block_bytes);
  std::memcpy(bytes.data(), &device.bytes[first.value * shape.block_bytes], bytes.size());
  return bytes;
}

void TestLun::fill(Lba first, BlockCount count, std::uint8_t with) {
  std::memset(&device.bytes[first.value * shape.block_bytes], with, count.value * shape.block_bytes);
}

Bytes read6(std::uint32_t lba, std::uint8_t count) {
  return cdb6(0x08, lba, count);
}
Bytes read10(Lba lba, BlockCount count, std::uint8_t flags) {
  return cdb10(0x28, lba, count, flags);
}
Bytes read12(Lba lba, BlockCount count) {
  return cdb12(0xa8, lba, count);
}
Bytes read16(Lba lba, BlockCount count) {
  return cdb16(0x88, lba, count, 0);
}
Bytes write6(std::uint32_t lba, std::uint8_t count) {
  return cdb6(0x0a, lba, count);
}
Bytes write10(Lba lba, BlockCount count, std::uint8_t flags) {
  return cdb10(0x2a, lba, count, flags);
}
Bytes write12(Lba lba, BlockCount count) {
  return cdb12(0xaa, lba, count);
}
Bytes write16(Lba lba, BlockCount count, std::uint8_t flags) {
  return cdb16(0x8a, lba, count, flags);
}
Bytes write_same10(Lba lba, BlockCount count, std::uint8_t flags) {
  return cdb10(0x41, lba, count, flags);
}
Bytes write_same16(Lba lba, BlockCount count, std::uint8_t flags) {
  return cdb16(0x93, lba, count, flags);
}

Bytes extent_cdb(std::uint8_t opcode, Lba lba, BlockCount count, std::uint8_t flags) {
  switch (cdb_length(opcode, 0)) {
    case 10:
      return cdb10(opcode, lba, count, flags);
    case 12: {
      Bytes cdb = cdb12(opcode, lba, count);
      cdb[1] = flags;
      return cdb;
    }
    default:
      return cdb16(opcode, lba, count, flags);
  }
}

Bytes inquiry_of(std::uint16_t allocation) {
  Bytes cdb{0x12, 0, 0, 0, 0, 0};
  store16(cdb, 3, allocation);
  return cdb;
}

Bytes vpd(std::uint8_t page, std::uint16_t allocation) {
  Bytes cdb = inquiry_of(allocation);
  cdb[1] = 0x01;
  cdb[2] = page;
  return cdb;
}

Bytes unmap_cdb(std::size_t list_bytes) {
  Bytes cdb(10);
  cdb[0] = 0x42;
  store16(cdb, 7, list_bytes);
  return cdb;
}

Bytes unmap_list(std::initializer_list<std::pair<std::uint64_t, std::uint32_t>> ranges) {
  Bytes list(8 + 16 * ranges.size());
  store16(list, 0, list.size() - 2);
  store16(list, 2, list.size() - 8);
  std::size_t at = 8;
  for (const auto& [lba, count] : ranges) {
    store64(list, at, lba);
    store32(list, at + 8, count);
    at += 16;
  }
  return list;
}

Bytes test_unit_ready_cdb() {
  return Bytes(6);
}

bool is_descriptor_sense(const Reply& reply) {
  return reply.sense[0] == 0x72;
}

std::uint8_t sense_key(const Reply& reply) {
  return reply.sense[is_descriptor_sense(reply) ? 1 : 2] & 0x0f;
}

std::uint16_t sense_code(const Reply& reply) {
  const std::size_t at = is_descriptor_sense(reply) ? 2 : 12;
  return static_cast<std::uint16_t>(reply.sense[at] << 8 | reply.sense[at + 1]);
}

SenseKeySpecific sense_key_specific(const Reply& reply) {
  const auto& sense = reply.sense;
  if (!is_descriptor_sense(reply)) return {sense[15], sense[16], sense[17]};
  for (std::size_t at = 8; at + 8 <= reply.sense_bytes; at += 2u + sense[at + 1])
    if (sense[at] == 0x02) return {sense[at + 4], sense[at + 5], sense[at + 6]};
  return {};
}

bool well_formed_sense(const Reply& reply) {
  if (reply.sense_bytes != 8 + reply.sense[7]) return false;
  return is_descriptor_sense(reply) || ((reply.sense[0] & 0x7f) == 0x70 && reply.sense_bytes == 18);
}
std::optional<std::uint32_t> sense_information(const Reply& reply) {
  if ((reply.sense[0] & 0x80) == 0) return std::nullopt;
  return be32(std::span(reply.sense).subspan<3, 4>());
}

}  // namespace bulkhead::scsi::testing
