#include "bench/path/floor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <vector>

#include "base/unique_fd.h"

namespace bulkhead::bench {
namespace {

using Clock = std::chrono::steady_clock;

std::uint32_t ns_between(Clock::time_point begin, Clock::time_point end) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(end - begin).count());
}

}  // namespace

Result<> make_file(const Job& job) {
  const UniqueFd file(::open(job.file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return fail_errno(errno, fmt::format("make {}", job.file));
  if (::ftruncate(file.get(), static_cast<off_t>(job.file_bytes)) != 0)
    return fail_errno(errno, fmt::format("size of {}", job.file));
  const std::vector<std::byte> piece(1 << 20, std::byte{0xa5});
  for (std::uint64_t at = 0; at < job.file_bytes; at += piece.size())
    if (::pwrite(file.get(), piece.data(), piece.size(), static_cast<off_t>(at)) !=
        static_cast<ssize_t>(piece.size()))
      return fail_errno(errno, fmt::format("fill {}", job.file));
  return {};
}

Result<Sample> run_floor(const Job& job) {
  const UniqueFd file(::open(job.file.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) return fail_errno(errno, fmt::format("open {}", job.file));
  std::vector<std::byte> buffer(job.block_bytes, std::byte{0x5a});
  std::vector<std::uint32_t> latencies;
  latencies.reserve(1 << 22);
  std::minstd_rand random(7);
  const std::uint64_t places = job.file_bytes / job.block_bytes;
  const auto before = cost_of(::getpid());
  const auto begin = Clock::now();
  auto now = begin;
  while (now < begin + job.round) {
    const auto at = static_cast<off_t>(random() % places * job.block_bytes);
    const bool writes = random() % 100 < job.write_percent;
    const auto started = now;
    const ssize_t moved = writes ? ::pwrite(file.get(), buffer.data(), buffer.size(), at)
                                 : ::pread(file.get(), buffer.data(), buffer.size(), at);
    if (moved != static_cast<ssize_t>(buffer.size()))
      return fail_errno(errno, fmt::format("use {}", job.file));
    now = Clock::now();
    latencies.push_back(ns_between(started, now));
  }
  const auto after = cost_of(::getpid());
  if (!before || !after) return fail(Cause::NotFound, ENOENT, "our own processor time");
  Sample sample{.seconds = std::chrono::duration<double>(now - begin).count(),
                .kernel = after->since(*before)};
  put_latencies(latencies, sample);
  return sample;
}

}  // namespace bulkhead::bench
