// A disk as the standards describe it, in the simplest code that can be: one array of bytes, one command at a
// time, nothing shared with the command set but the numbers of sense codes. What random command streams are
// judged by. Source: SBC-4, the clauses of the commands named in model_disk.cc.
#pragma once

#include <cstdint>
#include <optional>

#include "handler-host/scsi/sense_codes.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi::testing {

struct Expected {
  std::uint8_t status = 0;  // 00h GOOD or 02h CHECK CONDITION
  SenseKey key = SenseKey::NoSense;
  AdditionalSense code = asc::kNone;
  std::optional<std::uint64_t> information = std::nullopt;
  Bytes data_in = {};
};

class ModelDisk {
 public:
  // `thin`: blocks can be unmapped and read as zeroes then. Two blocks are written atomically.
  ModelDisk(BlockCount blocks, std::uint32_t block_bytes, bool thin, bool read_only);

  // `room`: the length of the initiator's buffer for data-in.
  Expected execute(const Bytes& cdb, const Bytes& data_out, std::size_t room);

  Bytes medium;

 private:
  struct Range {
    std::uint64_t lba = 0;
    std::uint64_t count = 0;
  };
  [[nodiscard]] bool outside(const Range& range) const;
  [[nodiscard]] std::uint8_t* at(std::uint64_t lba) { return medium.data() + lba * block_; }
  Expected read(const Range& range, std::size_t room);
  Expected write(const Range& range, const Bytes& data);
  Expected write_same(const Range& range, const Bytes& data, bool no_data_out);
  Expected verify(const Range& range, const Bytes& data, std::uint8_t bytchk);
  Expected write_and_verify(const Range& range, const Bytes& data, std::uint8_t bytchk);
  Expected compare_and_write(const Range& range, const Bytes& data);
  Expected write_atomic(const Range& range, const Bytes& data);
  Expected or_write(const Range& range, const Bytes& data);
  Expected unmap(const Bytes& cdb, const Bytes& list);

  std::uint64_t blocks_;
  std::uint32_t block_;
  bool thin_;
  bool read_only_;
};

}  // namespace bulkhead::scsi::testing
