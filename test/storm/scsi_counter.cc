#include "test/storm/scsi_counter.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>

#include <cstdlib>
#include <cstring>

#include "base/endian.h"

namespace bulkhead::storm {
namespace {

constexpr std::uint8_t kCompareAndWrite = 0x89;
constexpr unsigned kTimeoutMs = 180'000;
constexpr std::uint8_t kIllegalRequest = 0x5, kMiscompare = 0xe;  // SPC-4 table 43: sense keys

// Of fixed (70h, 71h) and descriptor format (72h, 73h).
std::uint8_t sense_key(std::span<const std::uint8_t, 32> sense) {
  return (sense[0] & 0x7f) >= 0x72 ? sense[1] & 0xf : sense[2] & 0xf;
}

}  // namespace

Result<std::unique_ptr<ScsiCounterBlock>> ScsiCounterBlock::open(const std::string& path,
                                                                 std::uint64_t byte) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_DIRECT));
  if (!fd) return fail_errno(errno, "open " + path);
  std::uint64_t bytes = 0;
  int block_bytes = 0;
  if (::ioctl(fd.get(), BLKGETSIZE64, &bytes) != 0 || ::ioctl(fd.get(), BLKSSZGET, &block_bytes) != 0)
    return fail_errno(errno, path + ": a counter needs a block device");
  const auto block = static_cast<std::size_t>(block_bytes);
  const std::uint64_t lba = (byte + block - 1) / block;
  if ((lba + 1) * block > bytes)
    return fail(Cause::BadInput, EINVAL, path + " has no room for a counter behind the load");
  return std::unique_ptr<ScsiCounterBlock>(new ScsiCounterBlock(std::move(fd), block, lba));
}

ScsiCounterBlock::ScsiCounterBlock(UniqueFd fd, std::size_t block_bytes, std::uint64_t lba)
    : fd_(std::move(fd)),
      block_bytes_(block_bytes),
      lba_(lba),
      buffer_(static_cast<std::byte*>(std::aligned_alloc(4096, 8192))) {
  BULKHEAD_CHECK(buffer_ != nullptr && block_bytes <= 4096);
}

ScsiCounterBlock::~ScsiCounterBlock() {
  std::free(buffer_);
}

bool ScsiCounterBlock::write(std::span<const std::byte> data) {
  std::memcpy(buffer_, data.data(), block_bytes_);
  return ::pwrite(fd_.get(), buffer_, block_bytes_, static_cast<off_t>(lba_ * block_bytes_)) ==
         static_cast<ssize_t>(block_bytes_);
}

bool ScsiCounterBlock::read(std::span<std::byte> data) {
  if (::pread(fd_.get(), buffer_, block_bytes_, static_cast<off_t>(lba_ * block_bytes_)) !=
      static_cast<ssize_t>(block_bytes_))
    return false;
  std::memcpy(data.data(), buffer_, block_bytes_);
  return true;
}

CawAnswer ScsiCounterBlock::compare_and_write(std::span<const std::byte> expected,
                                              std::span<const std::byte> data) {
  std::memcpy(buffer_, expected.data(), block_bytes_);
  std::memcpy(buffer_ + block_bytes_, data.data(), block_bytes_);
  std::uint8_t cdb[16] = {kCompareAndWrite};
  put_be64(std::span<std::uint8_t, 8>(&cdb[2], 8), lba_);
  cdb[13] = 1;  // NUMBER OF LOGICAL BLOCKS
  std::uint8_t sense[32] = {};
  sg_io_hdr_t command{};
  command.interface_id = 'S';
  command.dxfer_direction = SG_DXFER_TO_DEV;
  command.cmdp = cdb;
  command.cmd_len = sizeof cdb;
  command.dxferp = buffer_;
  command.dxfer_len = static_cast<unsigned>(2 * block_bytes_);
  command.sbp = sense;
  command.mx_sb_len = sizeof sense;
  command.timeout = kTimeoutMs;
  if (::ioctl(fd_.get(), SG_IO, &command) != 0) {
    last_answer_ = errno_text(errno);
    return CawAnswer::Open;
  }
  if (command.status == 0 && command.host_status == 0 && command.driver_status == 0) return CawAnswer::Done;
  const std::uint8_t key = command.sb_len_wr > 0 ? sense_key(sense) : 0;
  last_answer_ =
      fmt::format("status {:02x}, host {:02x}, sense key {:x}", command.status, command.host_status, key);
  if (key == kMiscompare) return CawAnswer::Miscompare;
  if (key == kIllegalRequest) return CawAnswer::Refused;
  // ABORTED COMMAND after a host's death, BUSY, or no answer at all: executed or not.
  return CawAnswer::Open;
}

}  // namespace bulkhead::storm
