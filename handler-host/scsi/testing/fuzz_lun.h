// What the fuzzers of this folder share: a logical unit over memory whose every answer is judged. A broken
// rule ends the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "handler-host/scsi/logical_unit.h"
#include "handler-host/scsi/testing/memory_device.h"

namespace bulkhead::scsi::testing {

// Hands out the fuzzer's input; zeroes and nothing once it is used up.
class Input {
 public:
  explicit Input(std::span<const std::uint8_t> bytes) : rest_(bytes) {}
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  [[nodiscard]] std::uint8_t u8();
  [[nodiscard]] std::uint16_t u16();
  [[nodiscard]] std::vector<std::uint8_t> bytes(std::size_t most);
  [[nodiscard]] std::vector<std::uint8_t> all() { return bytes(rest_.size()); }

 private:
  std::span<const std::uint8_t> rest_;
};

class FuzzLun {
 public:
  static constexpr std::uint64_t kBlocks = 64;

  // Bits: 0 can discard, 1 discards to zeroes, 2 read-only, 3 blocks of 4096 bytes, 4 no write cache.
  explicit FuzzLun(std::uint8_t shape);

  // Runs one command to its end and judges the reply. `outcome`: how the handler ends its operations, an
  // IoStatus or anything else for Ok. The buffer is exactly as long as said, so that ASan sees a byte too
  // far.
  Reply run(std::span<const std::uint8_t> cdb, std::span<const std::uint8_t> data, std::uint8_t outcome = 0);

  MemoryDevice device;

 private:
  class Services final : public handler::Services {
   public:
    Result<UniqueFd> open_file(const handler::FileRequest&) override;
    void watch(int, std::uint32_t, std::move_only_function<void()>) override {}
    void unwatch(int) override {}
    void post(std::move_only_function<void()> work) override { work(); }
    void after(std::uint32_t, std::move_only_function<void()>) override {}
    void log(handler::LogLevel, std::string_view) override {}
    void count(std::string_view, std::uint64_t) override {}
  };
  class Source final : public IdentitySource {
   public:
    void ask(std::move_only_function<void(Result<Identity>)> answer) override;
  };

  Services services_;
  Source identity_;

 public:
  LogicalUnit unit;
};

}  // namespace bulkhead::scsi::testing
