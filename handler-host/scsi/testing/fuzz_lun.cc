#include "handler-host/scsi/testing/fuzz_lun.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "handler-host/scsi/words.h"

namespace bulkhead::scsi::testing {
namespace {

using handler::IoStatus;

std::uint32_t block_bytes_of(std::uint8_t shape) {
  return (shape & 0x08) != 0 ? 4096 : 512;
}

handler::Geometry geometry_of(std::uint8_t shape) {
  handler::Geometry geometry;
  geometry.can_discard = (shape & 0x01) != 0;
  geometry.discard_zeroes = (shape & 0x02) != 0;
  geometry.read_only = (shape & 0x04) != 0;
  geometry.write_cache = (shape & 0x10) == 0;
  geometry.max_discard_bytes = 8192;
  geometry.discard_granularity_bytes = 4096;
  geometry.atomic_write_bytes = 8192;
  return geometry;
}

class JudgedCommand final : public Command {
 public:
  void complete(const Reply& reply) noexcept override {
    BULKHEAD_CHECK(!reply_);  // once
    reply_ = reply;
  }
  [[nodiscard]] const Reply& reply() const {
    BULKHEAD_CHECK(reply_.has_value());  // and not never
    return *reply_;
  }

 private:
  std::optional<Reply> reply_;
};

void judge(const Reply& reply, std::size_t buffer_bytes) {
  BULKHEAD_CHECK(reply.data_bytes <= buffer_bytes);
  const auto tail = std::span(reply.sense).subspan(reply.sense_bytes);
  BULKHEAD_CHECK(std::ranges::all_of(tail, [](std::uint8_t byte) { return byte == 0; }));
  if (reply.status != 0x02) {
    BULKHEAD_CHECK(reply.status == 0x00 || reply.status == 0x08);
    BULKHEAD_CHECK(reply.sense_bytes == 0 && (reply.status == 0x00 || reply.data_bytes == 0));
    return;
  }
  BULKHEAD_CHECK(reply.data_bytes == 0 && reply.sense_bytes == 8 + reply.sense[7]);
  const bool descriptors = reply.sense[0] == 0x72;
  const std::uint8_t key = reply.sense[descriptors ? 1 : 2] & 0x0f;
  BULKHEAD_CHECK(descriptors || (reply.sense[0] & 0x7f) == 0x70);
  // More only to say why a copy was aborted.
  const bool copy_aborted = key == 0x0a;
  BULKHEAD_CHECK(descriptors || reply.sense_bytes == 18 || (copy_aborted && reply.sense_bytes == 37));
  BULKHEAD_CHECK(key != 0);
  BULKHEAD_CHECK(!describe_sense(reply.sense).view().empty());
}

}  // namespace

std::uint8_t Input::u8() {
  if (rest_.empty()) return 0;
  const std::uint8_t value = rest_.front();
  rest_ = rest_.subspan(1);
  return value;
}

std::uint16_t Input::u16() {
  const std::uint8_t high = u8();
  return static_cast<std::uint16_t>(high << 8 | u8());
}

std::vector<std::uint8_t> Input::bytes(std::size_t most) {
  const auto taken = rest_.first(std::min(most, rest_.size()));
  rest_ = rest_.subspan(taken.size());
  return {taken.begin(), taken.end()};
}

Result<UniqueFd> FuzzLun::Services::open_file(const handler::FileRequest& request) {
  return fail(Cause::NotFound, ENOENT, request.path);
}

void FuzzLun::Source::ask(std::move_only_function<void(Result<Identity>)> answer) {
  answer(Identity{"5cf01f8a-3bde-4b37-a6a7-c9f5f8a0e2d1", {}, {}, {}});
}

FuzzLun::FuzzLun(std::uint8_t shape)
    : device({kBlocks * block_bytes_of(shape)}, block_bytes_of(shape), geometry_of(shape)),
      unit(device, services_, identity_,
           Parameters{.device = "user_0/fuzz",
                      .config = "memory/fuzz",
                      .size = {kBlocks * block_bytes_of(shape)},
                      .block_bytes = block_bytes_of(shape),
                      .max_sectors = 128,
                      .largest_transfer_bytes = 1 << 20,
                      .max_commands = 2}) {}

Reply FuzzLun::run(std::span<const std::uint8_t> cdb, std::span<const std::uint8_t> data,
                   std::uint8_t outcome) {
  const bool fails = outcome > 0 && outcome <= static_cast<std::uint8_t>(IoStatus::NotSupported);
  const IoStatus status = fails ? static_cast<IoStatus>(outcome) : IoStatus::Ok;
  for (const OpKind kind : {OpKind::Read, OpKind::Write, OpKind::Flush, OpKind::Discard, OpKind::WriteZeroes,
                            OpKind::Provisioning})
    device.fail(kind, status);

  std::vector<std::byte> buffer(data.size());
  if (!data.empty()) std::memcpy(buffer.data(), data.data(), data.size());
  const std::vector<std::uint8_t> exact(cdb.begin(), cdb.end());
  JudgedCommand command;
  command.cdb = exact;
  command.cdb_bytes = static_cast<std::uint16_t>(exact.size());
  command.data = buffer;
  unit.execute(command);
  judge(command.reply(), buffer.size());
  BULKHEAD_CHECK(unit.under_way() == 0);
  BULKHEAD_CHECK(!describe_cdb(exact).view().empty());
  return command.reply();
}

}  // namespace bulkhead::scsi::testing
