// Which LUN has which image open for writing, so that no other gets at it. An image is what the kernel takes
// for one: whatever name or node leads to it.
//
// Any thread. Lifetime: outlives all that hold an Owner. A LUN that claims an image again, as each of its
// hosts does, keeps it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/unique_fd.h"

namespace bulkhead::supervisor {

enum class Access : bool { Read, Write };

class ImageClaims {
 public:
  struct Lun {
    std::string name;      // messages call it so
    std::uint64_t number;  // its own, also beside one that had the name before
  };
  // Who claims. Its claims end when its last owner lets go, whatever still hangs in a call.
  using Owner = std::shared_ptr<const Lun>;

  [[nodiscard]] Owner new_lun(std::string name) {
    return std::make_shared<const Lun>(std::move(name), next_number_++);
  }
  // For writing, the image is `owner`'s from now on. Errors: Busy, another LUN has it; the error names both.
  [[nodiscard]] Result<> take(const std::weak_ptr<const Lun>& owner, const UniqueFd& image,
                              const std::string& path, Access access);
  // A host that is writing already goes on: what stands against it came later. Never blocks.
  void restore(const Owner& owner, const UniqueFd& image);

 private:
  using Image = std::tuple<bool, dev_t, ino_t>;  // block device, and its number; or file system and inode
  struct Claim {
    std::weak_ptr<const Lun> owner;
    std::string path;  // empty: not known
  };
  [[nodiscard]] static Result<Image> identify(const UniqueFd& image);

  std::atomic<std::uint64_t> next_number_ = 0;
  std::mutex mutex_;
  std::map<Image, Claim> claims_;  // under mutex_
};

}  // namespace bulkhead::supervisor
