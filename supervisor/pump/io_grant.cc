#include "supervisor/pump/io_grant.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace bulkhead::supervisor {
namespace {

constexpr std::uint32_t kMostSkipped = 64;

}  // namespace

bool IoGrant::Patience::try_now() {
  if (skip_ == 0) return true;
  --skip_;
  return false;
}

void IoGrant::Patience::in_vain() {
  misses_ = std::min(misses_ + 1, 6u);
  skip_ = std::min((1u << misses_) - 1, kMostSkipped);
}

bool IoGrant::covers(const BlockTransfer& transfer, std::uint64_t data_bytes, std::uint32_t word) const {
  if (!in_force(transfer.write ? channel::kGrantWrites : channel::kGrantReads, word)) return false;
  if (transfer.write && !file_.writable) return false;
  const std::uint64_t bytes = std::uint64_t{transfer.blocks} * file_.block_bytes;
  const std::uint64_t blocks = file_.size.value / file_.block_bytes;
  return bytes == data_bytes && bytes <= file_.largest_bytes && transfer.blocks <= blocks &&
         transfer.lba <= blocks - transfer.blocks;
}

// A write beyond the file's end would make it longer, and lost data read as zeroes.
bool IoGrant::still_reaches(std::uint64_t end) const {
  struct stat status{};
  if (::fstat(file_.file->get(), &status) != 0) return false;
  return S_ISBLK(status.st_mode) || end <= static_cast<std::uint64_t>(status.st_size);
}

bool IoGrant::carry_out(const BlockTransfer& transfer, std::span<std::byte> region,
                        std::span<const KernelSegment> segments) {
  Patience& patience = transfer.write ? writes_ : reads_;
  if (segments.size() > kMaxSegments || !patience.try_now()) return false;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const auto piece = region.subspan(segments[i].offset, segments[i].bytes);
    pieces_[i] = {piece.data(), piece.size()};
    bytes += piece.size();
  }
  const std::uint64_t at = place_of(transfer).value;
  if (transfer.write && !still_reaches(at + bytes)) return false;
  const int count = static_cast<int>(segments.size());
  // From userspace RWF_NOWAIT also means that no read-ahead is begun: IOCB_NOIO, of kiocb_set_rw_flags() in
  // include/linux/fs.h.
  const int flags = file_.in_memory ? 0 : RWF_NOWAIT;
  const auto offset = static_cast<off64_t>(at);
  const ssize_t moved = transfer.write ? ::pwritev2(file_.file->get(), pieces_.data(), count, offset, flags)
                                       : ::preadv2(file_.file->get(), pieces_.data(), count, offset, flags);
  if (moved == static_cast<ssize_t>(bytes)) {
    patience.worked();
    return true;
  }
  // This file system writes only blocking.
  if (moved < 0 && errno == EOPNOTSUPP && transfer.write) file_.writable = false;
  patience.in_vain();
  return false;
}

}  // namespace bulkhead::supervisor
