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

// Of two of one name, which a supervisor that died between drop() and keep() never leaves, the last counts.
[[nodiscard]] inline KeptLuns group_by_lun(std::vector<KeptFd> kept) {
  KeptLuns found;
  for (KeptFd& one : kept) {
    if (const auto name = parse_kept_name(one.name))
      found.luns[name->lun].fd(name->kind) = std::move(one.fd);
    else
      found.unknown.push_back(std::move(one.name));
  }
  return found;
}

}  // namespace bulkhead::supervisor
