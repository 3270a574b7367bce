#include "supervisor/broker/image_claims.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>

#include "base/printable.h"

namespace bulkhead::supervisor {

// What the kernel knows without asking a server: restore() runs on the control thread.
Result<ImageClaims::Image> ImageClaims::identify(const UniqueFd& image) {
  struct statx status{};
  if (::statx(image.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &status) != 0)
    return fail_errno(errno, "look at an image");
  if (S_ISBLK(status.stx_mode)) return Image(true, makedev(status.stx_rdev_major, status.stx_rdev_minor), 0);
  return Image(false, makedev(status.stx_dev_major, status.stx_dev_minor), status.stx_ino);
}

Result<> ImageClaims::take(const std::weak_ptr<const Lun>& owner, const UniqueFd& image,
                           const std::string& path, Access access) {
  const auto id = identify(image);
  if (!id) return std::unexpected(id.error());
  const Owner asking = owner.lock();
  if (!asking) return fail(Cause::NotFound, ENODEV, "nobody waits for the file any more");
  const std::lock_guard lock(mutex_);
  std::erase_if(claims_, [](const auto& claim) { return claim.second.owner.expired(); });
  const auto at = claims_.find(*id);
  const Owner holder = at == claims_.end() ? nullptr : at->second.owner.lock();
  if (holder && holder->number != asking->number && holder->name == asking->name)
    return fail(Cause::Busy, EBUSY,
                fmt::format("{} is still open for writing by the host of an earlier {}, which has not ended "
                            "yet: storage that does not answer holds it; try again once it has",
                            printable(path), asking->name));
  if (holder && holder->number != asking->number)
    return fail(
        Cause::Busy, EBUSY,
        fmt::format(
            "{} is wanted by {} and open for writing by {}{}: use one image for one LUN alone, or add "
            "lock=off to the configuration of {} if sharing is meant",
            printable(path), asking->name, holder->name,
            at->second.path.empty() || at->second.path == path ? "" : " as " + printable(at->second.path),
            asking->name));
  if (access == Access::Write) claims_.insert_or_assign(*id, Claim{owner, path});
  return {};
}

void ImageClaims::restore(const Owner& owner, const UniqueFd& image) {
  const auto id = identify(image);
  if (!id) return;
  const std::lock_guard lock(mutex_);
  claims_.insert_or_assign(*id, Claim{owner, {}});
}

}  // namespace bulkhead::supervisor
