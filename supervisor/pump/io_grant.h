// READ and WRITE without the host, between the kernel's data area and the file that the host has granted; and
// flushes, where there is nothing to flush.
//
// Nothing here waits for storage. The page cache is asked with RWF_NOWAIT, and what it can't do at once is
// the host's work, as without a grant: a page that is not there, a write that must allocate or that the file
// system only does blocking. So a grant is worth most where a hand-over would cost more than the work, and a
// slow disk costs no other LUN anything. Files in memory know no such flag. Reading them
// takes no lock but that of the page, for as long as it takes to copy one; but writing them takes the
// inode's, which a hostile host could keep for a while. So they are written only while the device has its
// pump for itself, where only its own commands can wait.
//
// Past the page cache (O_DIRECT) there is nothing that could be done at once: such reads are begun and told
// of when they are done (direct_reads.h).
//
// What was not done wholly is done again by the host from its beginning: a read or write twice is as good as
// once. Threads: the device's pump. Memory: made once.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/quantity.h"
#include "base/unique_fd.h"
#include "proto/channel_abi.h"
#include "supervisor/journal/journal_abi.h"
#include "supervisor/pump/granted_cdb.h"

namespace bulkhead::supervisor {

// What the host has told of its file, judged (device_grants.cc).
struct GrantedFile {
  std::shared_ptr<const UniqueFd> file;  // null: nothing is granted
  std::uint32_t number = 0;              // IoGrant::number
  ByteOffset first{};                    // of the LUN's block 0
  ByteCount size{};                      // of the LUN
  std::uint32_t block_bytes = 0;
  std::uint32_t largest_bytes = 0;  // of one command
  bool writable = false;
  bool in_memory = false;  // never waits for storage, but knows no RWF_NOWAIT
  bool nothing_to_flush = false;
  bool direct = false;   // open for O_DIRECT, for reading alone
  bool is_disk = false;  // a block device: it knows where its blocks are, and looks nothing up for a read
};

class IoGrant {
 public:
  // More than the largest transfer has pieces of 4 KiB.
  static constexpr std::size_t kMaxSegments = 256;
  static constexpr std::uint32_t kLargestBytes = kMaxSegments * 4096;

  IoGrant() = default;
  explicit IoGrant(const GrantedFile& file) : file_(file) {}

  [[nodiscard]] bool stands() const { return file_.file != nullptr; }
  [[nodiscard]] const GrantedFile& file() const { return file_; }

  // `word`: the channel's grant word, as it is now. `data_bytes`: what the initiator's side moves.
  [[nodiscard]] bool covers(const BlockTransfer& transfer, std::uint64_t data_bytes,
                            std::uint32_t word) const;
  // Of a SYNCHRONIZE CACHE of the whole medium: there is nothing that it would have to do. The host agrees as
  // long as it grants writes: not while a write that is lost is still to be told of.
  [[nodiscard]] bool covers_flush(std::uint32_t word) const {
    return file_.nothing_to_flush && in_force(channel::kGrantWrites, word);
  }
  [[nodiscard]] ByteOffset place_of(const BlockTransfer& transfer) const {
    return {file_.first.value + transfer.lba * file_.block_bytes};
  }
  // True: all of it is done. False: nothing is known of it, and the host must do it. Not for `direct` ones.
  [[nodiscard]] bool carry_out(const BlockTransfer& transfer, std::span<std::byte> region,
                               std::span<const KernelSegment> segments);

  // Of a read that is begun and done later: whether it is worth trying now, and what came of it.
  [[nodiscard]] bool try_read_now() { return reads_.try_now(); }
  void read_came(bool whole) { whole ? reads_.worked() : reads_.in_vain(); }

 private:
  // Where asking was in vain, it is tried ever less often.
  class Patience {
   public:
    [[nodiscard]] bool try_now();
    void worked() { misses_ = 0; }
    void in_vain();

   private:
    std::uint32_t misses_ = 0;
    std::uint32_t skip_ = 0;
  };
  [[nodiscard]] bool in_force(std::uint32_t wanted, std::uint32_t word) const {
    return stands() && (word & wanted) != 0 && word >> channel::kGrantBits == file_.number;
  }
  [[nodiscard]] bool still_reaches(std::uint64_t end) const;

  GrantedFile file_;
  Patience reads_, writes_;
  std::array<iovec, kMaxSegments> pieces_{};
};

}  // namespace bulkhead::supervisor
