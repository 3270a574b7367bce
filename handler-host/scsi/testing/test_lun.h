// A logical unit over memory, for tests: give it a CDB, get the reply.
#pragma once

#include <gmock/gmock.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "handler-host/scsi/logical_unit.h"
#include "handler-host/scsi/sense.h"
#include "handler-host/scsi/testing/memory_device.h"

namespace bulkhead::scsi::testing {

using Bytes = std::vector<std::uint8_t>;

// What the LUN is made of; a test names what matters to it.
struct LunShape {
  BlockCount blocks{64};
  std::uint32_t block_bytes = 512;
  handler::Geometry geometry{};  // size is filled in
  std::uint32_t max_sectors = 0;
  std::uint32_t largest_transfer_bytes = 0;
  std::uint32_t max_commands = 32;
  std::string config = "memory/test";
  std::optional<handler::Space> room = std::nullopt;  // as the back end tells it; timers are held then
};
[[nodiscard]] handler::Geometry thin();  // discards, and reads zeroes then
[[nodiscard]] handler::Geometry able();  // has all that commands may need, so that none is missing
[[nodiscard]] handler::Geometry read_only();

// A command of the test's own; it must outlive its completion.
class TestCommand final : public Command {
 public:
  TestCommand(Bytes cdb_bytes_given, std::span<std::byte> buffer);
  void complete(const Reply& reply) noexcept override;

  [[nodiscard]] bool answered() const { return reply_.has_value(); }
  [[nodiscard]] const Reply& reply() const;
  std::vector<TestCommand*>* log = nullptr;  // gets this when it is answered

 private:
  Bytes cdb_copy_;
  std::optional<Reply> reply_;
};

class FakeServices final : public handler::Services {
 public:
  explicit FakeServices(bool holds_timers = false) : hold_timers(holds_timers) {}
  Result<UniqueFd> open_file(const handler::FileRequest&) override;
  void watch(int, std::uint32_t, std::move_only_function<void()>) override {}
  void unwatch(int) override {}
  void post(std::move_only_function<void()> work) override { work(); }
  void after(std::uint32_t, std::move_only_function<void()> work) override {
    if (!hold_timers) return work();
    timers.push_back(std::move(work));
  }
  void log(handler::LogLevel, std::string_view text) override { lines.emplace_back(text); }
  void count(std::string_view, std::uint64_t) override {}
  // Lets all pass that were set so far.
  void run_timers();
  std::vector<std::string> lines;
  const bool hold_timers;  // else they pass at once
  std::vector<std::move_only_function<void()>> timers;
};

class FakeIdentity final : public IdentitySource {
 public:
  void ask(std::move_only_function<void(Result<Identity>)> answer) override;
  // Answers the oldest question that was held.
  void answer_held();
  Result<Identity> identity = Identity{"5cf01f8a-3bde-4b37-a6a7-c9f5f8a0e2d1", {}, {}, {}};
  bool hold = false;
  std::size_t asked = 0;

 private:
  std::deque<std::move_only_function<void(Result<Identity>)>> held_;
};

// What a command brought: its reply and the data it returned.
struct Answer {
  Reply reply;
  Bytes data;  // the first data_bytes of the buffer
};

class TestLun {
 public:
  explicit TestLun(LunShape shape = {});

  // Runs a command that ends at once. `buffer_bytes`: what the initiator expects to get.
  Answer get(const Bytes& cdb, std::size_t buffer_bytes = 4096);
  Reply put(const Bytes& cdb, const Bytes& data = {});
  Reply run(const Bytes& cdb) { return put(cdb); }
  // Starts one that may not end at once; the result lives as long as the LUN.
  TestCommand& start(const Bytes& cdb, const Bytes& data = {});

  // As an administrator; the flush that this takes is not among device.ops.
  void switch_cache_off();
  [[nodiscard]] Bytes medium(Lba first, BlockCount count) const;
  void fill(Lba first, BlockCount count, std::uint8_t with);
  [[nodiscard]] Bytes block_of(std::uint8_t with) const { return Bytes(shape.block_bytes, with); }

  const LunShape shape;
  MemoryDevice device;
  FakeServices services;
  FakeIdentity identity;
  LogicalUnit unit;
  std::vector<TestCommand*> answered;  // in this order

 private:
  struct Started {
    std::vector<std::byte> buffer;
    std::unique_ptr<TestCommand> command;
  };
  std::deque<Started> started_;
};

// CDBs.
[[nodiscard]] Bytes read6(std::uint32_t lba, std::uint8_t count);
[[nodiscard]] Bytes read10(Lba lba, BlockCount count, std::uint8_t flags = 0);
[[nodiscard]] Bytes read12(Lba lba, BlockCount count);
[[nodiscard]] Bytes read16(Lba lba, BlockCount count);
[[nodiscard]] Bytes write6(std::uint32_t lba, std::uint8_t count);
[[nodiscard]] Bytes write10(Lba lba, BlockCount count, std::uint8_t flags = 0);
[[nodiscard]] Bytes write12(Lba lba, BlockCount count);
[[nodiscard]] Bytes write16(Lba lba, BlockCount count, std::uint8_t flags = 0);
[[nodiscard]] Bytes write_same10(Lba lba, BlockCount count, std::uint8_t flags = 0);
[[nodiscard]] Bytes write_same16(Lba lba, BlockCount count, std::uint8_t flags = 0);
// Any command with an LBA and a number of blocks, where CDBs of the opcode's length have them.
[[nodiscard]] Bytes extent_cdb(std::uint8_t opcode, Lba lba, BlockCount count, std::uint8_t flags = 0);
[[nodiscard]] Bytes inquiry_of(std::uint16_t allocation = 255);
[[nodiscard]] Bytes vpd(std::uint8_t page, std::uint16_t allocation = 1024);
[[nodiscard]] Bytes unmap_cdb(std::size_t list_bytes);
[[nodiscard]] Bytes unmap_list(std::initializer_list<std::pair<std::uint64_t, std::uint32_t>> ranges);
[[nodiscard]] Bytes test_unit_ready_cdb();

// Readers of replies, whichever format their sense data has.
using SenseKeySpecific = std::array<std::uint8_t, 3>;
[[nodiscard]] bool is_descriptor_sense(const Reply& reply);
[[nodiscard]] std::uint8_t sense_key(const Reply& reply);
[[nodiscard]] std::uint16_t sense_code(const Reply& reply);
// INFORMATION, if it is valid.
[[nodiscard]] std::optional<std::uint32_t> sense_information(const Reply& reply);
[[nodiscard]] SenseKeySpecific sense_key_specific(const Reply& reply);  // zeroes if there are none
// Current sense data whose own length is the reply's.
[[nodiscard]] bool well_formed_sense(const Reply& reply);

MATCHER(IsGood, "is GOOD without sense") {
  return arg.status == 0 && arg.sense_bytes == 0;
}
MATCHER(IsBusy, "is BUSY") {
  return arg.status == 0x08 && arg.sense_bytes == 0;
}
// Of either format.
MATCHER_P2(HasSense, key, code, "has the sense") {
  *result_listener << "status " << int{arg.status} << ", sense " << int{sense_key(arg)} << "/" << std::hex
                   << sense_code(arg);
  return arg.status == 0x02 && arg.data_bytes == 0 && well_formed_sense(arg) &&
         sense_key(arg) == static_cast<std::uint8_t>(key) && sense_code(arg) == code.number();
}
// Where the sense key specific bytes point, and optionally at which bit.
MATCHER_P(PointsAtCdb, byte, "points at a byte of the CDB") {
  const SenseKeySpecific at = sense_key_specific(arg);
  return (at[0] & 0xc0) == 0xc0 && (at[1] << 8 | at[2]) == byte;
}
MATCHER_P2(PointsAtCdb, byte, bit, "points at a bit of the CDB") {
  const SenseKeySpecific at = sense_key_specific(arg);
  return (at[0] & 0xcf) == (0xc8 | bit) && (at[1] << 8 | at[2]) == byte;
}
MATCHER_P(PointsAtList, byte, "points at a byte of the parameter list") {
  const SenseKeySpecific at = sense_key_specific(arg);
  return (at[0] & 0xc0) == 0x80 && (at[1] << 8 | at[2]) == byte;
}
MATCHER_P2(PointsAtList, byte, bit, "points at a bit of the parameter list") {
  const SenseKeySpecific at = sense_key_specific(arg);
  return (at[0] & 0xcf) == (0x88 | bit) && (at[1] << 8 | at[2]) == byte;
}

}  // namespace bulkhead::scsi::testing
