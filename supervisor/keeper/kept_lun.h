// What systemd kept of one LUN. Move-only value; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "supervisor/keeper/fd_store.h"
#include "supervisor/keeper/kept_name.h"

namespace bulkhead::supervisor {

class KeptLun {
 public:
  [[nodiscard]] UniqueFd& fd(KeptKind kind) { return fds_[static_cast<std::size_t>(kind)]; }
  [[nodiscard]] UniqueFd take(KeptKind kind) { return std::move(fd(kind)); }
  [[nodiscard]] bool has(KeptKind kind) const {
    return static_cast<bool>(fds_[static_cast<std::size_t>(kind)]);
  }

 private:
  std::array<UniqueFd, kKeptKinds> fds_;
};

struct KeptLuns {
  std::map<std::uint32_t, KeptLun> luns;  // by minor
  std::vector<std::string> unknown;       // names nobody will ask for, to be dropped
};

// Of two of one name the first counts: systemd hands out first what it was given last
// (service_add_fd_store()).
[[nodiscard]] inline KeptLuns group_by_lun(std::vector<KeptFd> kept) {
  KeptLuns found;
  for (KeptFd& one : kept) {
    const auto name = parse_kept_name(one.name);
    if (!name)
      found.unknown.push_back(std::move(one.name));
    else if (UniqueFd& fd = found.luns[name->lun].fd(name->kind); !fd)
      fd = std::move(one.fd);
  }
  return found;
}

}  // namespace bulkhead::supervisor
