// Which pages of the channel's data file are taken: contiguous runs, lowest first, so that an idle device's
// hot pages stay few. Threads: one at a time. Allocates only when made.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

namespace bulkhead::supervisor {

class PageMap {
 public:
  explicit PageMap(std::uint32_t pages) : pages_(pages), taken_((pages + 63) / 64) {
    // Bits beyond the end count as taken.
    if (pages % 64 != 0) taken_.back() = ~std::uint64_t{0} << (pages % 64);
  }

  // First page of a run of `count` free pages, now taken; nullopt: there is none. count > 0.
  [[nodiscard]] std::optional<std::uint32_t> take(std::uint32_t count) {
    std::uint32_t run = 0;
    for (std::uint32_t page = 0; page < pages_;) {
      const std::uint64_t word = taken_[page / 64] >> (page % 64);
      if (word & 1) {
        run = 0;
        page += static_cast<std::uint32_t>(std::countr_one(word));
        continue;
      }
      const auto free = static_cast<std::uint32_t>(std::countr_zero(word));
      const std::uint32_t here = word == 0 ? 64 - page % 64 : free;
      run += here;
      page += here;
      if (run >= count) {
        const std::uint32_t first = page - run;
        mark(first, count, true);
        return first;
      }
    }
    return std::nullopt;
  }

  // A run that is known to be free, e.g. by a journal.
  void claim(std::uint32_t first, std::uint32_t count) { mark(first, count, true); }
  void give_back(std::uint32_t first, std::uint32_t count) { mark(first, count, false); }

  [[nodiscard]] std::uint32_t pages() const { return pages_; }

 private:
  void mark(std::uint32_t first, std::uint32_t count, bool taken) {
    for (std::uint32_t page = first; page < first + count;) {
      const std::uint32_t bit = page % 64;
      const std::uint32_t here = std::min(64 - bit, first + count - page);
      const std::uint64_t mask = (here == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << here) - 1) << bit;
      if (taken)
        taken_[page / 64] |= mask;
      else
        taken_[page / 64] &= ~mask;
      page += here;
    }
  }

  std::uint32_t pages_;
  std::vector<std::uint64_t> taken_;
};

}  // namespace bulkhead::supervisor
