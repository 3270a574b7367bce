// The load on one device: O_DIRECT reads and writes by io_uring, many at once and overlapping, each judged by
// the checker. First every block is written, then blocks are read and written at random, at the end
// everything is read back. Threads: run() may be called on any one thread; stop() on any.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "test/storm/device_checker.h"

struct io_uring;

namespace bulkhead::storm {

enum class Caching : std::uint8_t { Direct, Buffered };

struct LoadOptions {
  std::uint32_t device = 0;  // its number in the blocks' headers
  std::uint64_t run = 0;
  std::uint64_t seed = 0;
  std::uint64_t kib = 1024;      // how much of the device is used; little, so that much overlaps
  std::uint64_t offset_kib = 0;  // where that begins
  unsigned depth = 8;            // operations in flight
  unsigned longest_kib = 64;     // of one operation
  unsigned read_percent = 50;
  double rate = 0;                    // operations per second; 0: as fast as it goes
  std::chrono::seconds hang{300};     // this long without any answer, and the device counts as dead
  Caching caching = Caching::Direct;  // Buffered: for files in tests
};

struct LoadReport {
  std::string path;
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
  std::uint64_t blocks_read = 0;
  std::uint64_t errors = 0;  // operations that failed
  std::string first_error;
  std::uint64_t torn_while_written = 0;
  std::chrono::microseconds longest_stall{0};  // without any answer, while something was asked
  std::int64_t longest_stall_at = 0;           // when it began, microseconds since the epoch
  bool read_back = false;                      // everything, at the end
  bool hung = false;
  std::string violation;  // empty: every read returned what it may
};

class DeviceLoad {
 public:
  // `path`: a block device that nobody else has open for himself, or a file that is large enough.
  static Result<std::unique_ptr<DeviceLoad>> open(const std::string& path, const LoadOptions& options);
  ~DeviceLoad();
  DeviceLoad(const DeviceLoad&) = delete;
  DeviceLoad& operator=(const DeviceLoad&) = delete;

  // Until stop(), a violation or a hang. What has hung is still in flight afterwards: its memory is kept.
  LoadReport run();
  void stop() { stopping_ = true; }
  [[nodiscard]] bool filled() const { return filled_; }  // every block written once
  [[nodiscard]] bool over() const { return over_; }

 private:
  using Clock = std::chrono::steady_clock;
  enum class Phase : std::uint8_t { Fill, Random, ReadBack, Done };
  enum class Kind : std::uint8_t { Idle, Read, Write };
  struct Slot {
    Kind kind = Kind::Idle;
    std::byte* data = nullptr;
    Extent extent;
    DeviceChecker::Read read;
    DeviceChecker::Write write;
  };

  DeviceLoad(std::string path, const LoadOptions& options, UniqueFd fd, std::size_t block_bytes);
  Result<> prepare();
  void submit_all();
  [[nodiscard]] bool may_submit();
  void begin(Slot& slot, Kind kind, Extent extent);
  [[nodiscard]] Extent random_extent();
  void wait_for_one();
  void finish(Slot& slot, int result);
  void measure_gap(Clock::time_point now);
  void next_phase();

  LoadOptions options_;
  UniqueFd fd_;
  DeviceChecker checker_;
  std::unique_ptr<io_uring> ring_;
  std::vector<Slot> slots_;
  std::byte* memory_ = nullptr;
  std::mt19937_64 random_;
  LoadReport report_;
  Phase phase_ = Phase::Fill;
  std::uint64_t cursor_ = 0;  // of Fill and ReadBack: the next block
  unsigned in_flight_ = 0;
  Clock::time_point quiet_since_;  // the last answer, or the first question after a pause
  Clock::time_point began_;
  std::uint64_t paced_ = 0;  // operations begun, for the rate
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> filled_ = false;
  std::atomic<bool> over_ = false;
};

}  // namespace bulkhead::storm
