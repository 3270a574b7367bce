// The host's side of a channel, for tests: honest by default, with the means to lie in every field.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/doorbell.h"
#include "base/mapping.h"
#include "proto/channel_abi.h"
#include "supervisor/channel/channel.h"

namespace bulkhead::supervisor::testing {

class FakeHost {
 public:
  explicit FakeHost(HostEnds ends);

  // The next submission; nullopt: none.
  std::optional<std::uint32_t> next();
  // Waits for the doorbell, at most `ms`. As a host should: announces, looks once more, blocks.
  bool wait(int ms);

  [[nodiscard]] const channel::Slot& slot(std::uint32_t index) const;
  [[nodiscard]] std::span<std::byte> buffer(std::uint32_t index) const;

  // An honest answer to the submission in `index`, published and rung.
  void answer(std::uint32_t index, std::uint8_t status = 0, std::uint32_t data_bytes = 0);
  // Any answer at all.
  void answer_raw(const channel::CompletionEntry& entry);
  [[nodiscard]] channel::CompletionEntry honest(std::uint32_t index) const;
  void set_completion_head(std::uint32_t head);
  void set_grant(std::uint32_t word);
  [[nodiscard]] std::uint32_t granted_writes() const;
  [[nodiscard]] bool requests_are_read_only() const;

 private:
  HostEnds ends_;
  Mapping requests_;
  Mapping completions_;
  Mapping data_;
  SleepWord sleep_;
  Doorbell ring_supervisor_;
  std::uint32_t slots_;
  std::uint32_t taken_ = 0;
  std::uint32_t completed_ = 0;
};

}  // namespace bulkhead::supervisor::testing
