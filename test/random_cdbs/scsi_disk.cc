#include "test/random_cdbs/scsi_disk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>

namespace bulkhead::random_cdbs {
namespace {

// Behind each buffer, to see whether more arrives than was asked for.
constexpr std::size_t kGuardBytes = 512;
constexpr std::uint8_t kGuard = 0xa5;

int direction_of(const Command& command) {
  if (command.data.empty()) return SG_DXFER_NONE;
  switch (command.direction) {
    case Direction::None:
      return SG_DXFER_NONE;
    case Direction::FromDisk:
      return SG_DXFER_FROM_DEV;
    case Direction::ToDisk:
      return SG_DXFER_TO_DEV;
  }
  return SG_DXFER_NONE;
}

}  // namespace

Result<ScsiDisk> ScsiDisk::open(const std::string& path, std::chrono::milliseconds deadline) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail_errno(errno, "open " + path);
  return ScsiDisk(std::move(fd), deadline);
}

Result<Answer> ScsiDisk::execute(Command& command) {
  room_.assign(command.data.begin(), command.data.end());
  room_.resize(command.data.size() + kGuardBytes, kGuard);
  std::array<std::uint8_t, 255> sense{};
  sg_io_hdr_t request{};
  request.interface_id = 'S';
  request.dxfer_direction = direction_of(command);
  request.cmdp = command.cdb.data();
  request.cmd_len = static_cast<unsigned char>(command.cdb.size());
  if (request.dxfer_direction != SG_DXFER_NONE) {
    request.dxferp = room_.data();
    request.dxfer_len = static_cast<unsigned>(command.data.size());
  }
  request.sbp = sense.data();
  request.mx_sb_len = sense.size();
  request.timeout = static_cast<unsigned>(deadline_.count());
  if (::ioctl(fd_.get(), SG_IO, &request) != 0) return fail_errno(errno, "SG_IO");
  const auto guard = std::span(room_).last(kGuardBytes);
  Answer answer{.status = request.status,
                .host_status = request.host_status,
                .sense = {sense.begin(), sense.begin() + request.sb_len_wr},
                .missing = request.resid,
                .wrote_beyond_room = std::ranges::any_of(guard, [](auto byte) { return byte != kGuard; }),
                .took = std::chrono::milliseconds(request.duration)};
  if (command.direction == Direction::FromDisk)
    std::copy_n(room_.begin(), command.data.size(), command.data.begin());
  return answer;
}

}  // namespace bulkhead::random_cdbs
