#include "handler-host/lockdown/empty_root.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/unique_fd.h"

namespace bulkhead::host {
namespace {

// Debian's /lib and /lib64 are links into /usr; elsewhere they may be folders.
constexpr const char* kSystemPaths[] = {"/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32",     "/lib",
                                        "/lib32",   "/lib64",     "/libx32",    "/etc/ld.so.cache"};
// Where the new root is put together. A folder that every system has, and of which nothing is needed by path
// any more once its parts have been taken.
constexpr const char* kMountPoint = "/usr";
constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

// What will be at `path` in the new root.
struct Piece {
  std::string path;
  std::string link;  // where it points to, if it is a symbolic link
  bool folder = true;
  UniqueFd tree;  // a mount that is nowhere yet
};

bool is_below(std::string_view path, std::string_view folder) {
  return path == folder || (path.starts_with(folder) && path.substr(folder.size()).starts_with('/'));
}

void add(std::vector<std::string>& paths, std::string path) {
  if (std::ranges::none_of(paths, [&](const std::string& there) { return is_below(path, there); }))
    paths.push_back(std::move(path));
}

Result<Piece> take(const std::string& path) {
  Piece piece{.path = path};
  std::array<char, 256> target{};
  if (::readlink(path.c_str(), target.data(), target.size() - 1) > 0 &&
      std::ranges::find(kSystemPaths, std::string_view(path)) != std::end(kSystemPaths)) {
    piece.link = target.data();
    return piece;
  }
  piece.tree = UniqueFd(::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!piece.tree) return fail_errno(errno, fmt::format("take {} along", path));
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (::mount_setattr(piece.tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0)
    return fail_errno(errno, fmt::format("make {} read-only", path));
  struct stat facts{};
  if (::fstat(piece.tree.get(), &facts) != 0) return fail_errno(errno, fmt::format("look at {}", path));
  piece.folder = S_ISDIR(facts.st_mode);
  return piece;
}

Result<> put(const Piece& piece) {
  const std::string at = piece.path.substr(1);  // below the working directory, which is the new root
  const std::filesystem::path folder = piece.folder && piece.link.empty()
                                           ? std::filesystem::path(at)
                                           : std::filesystem::path(at).parent_path();
  std::error_code problem;
  if (!folder.empty() && !std::filesystem::create_directories(folder, problem) && problem)
    return fail_errno(problem.value(), fmt::format("make a place for {}", piece.path));
  if (!piece.link.empty()) {
    if (::symlink(piece.link.c_str(), at.c_str()) != 0)
      return fail_errno(errno, fmt::format("make the link {}", piece.path));
    return {};
  }
  if (!piece.folder && !UniqueFd(::open(at.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0444)))
    return fail_errno(errno, fmt::format("make a place for {}", piece.path));
  if (::move_mount(piece.tree.get(), "", AT_FDCWD, at.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return fail_errno(errno, fmt::format("mount {}", piece.path));
  return {};
}

// The old root lies below the new one for a moment, at the same place.
Result<> change_root() {
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return fail_errno(errno, "pivot_root");
  if (::umount2(".", MNT_DETACH) != 0) return fail_errno(errno, "detach the old root");
  if (::chdir("/") != 0) return fail_errno(errno, "enter the new root");
  if (::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | kFlags, nullptr) != 0)
    return fail_errno(errno, "make the new root read-only");
  return {};
}

}  // namespace

std::vector<std::string> visible_paths(const std::vector<std::string>& more) {
  std::vector<std::string> paths;
  std::error_code problem;
  for (const char* path : kSystemPaths)
    if (std::filesystem::exists(path, problem)) paths.emplace_back(path);
  for (const std::string& path : more) {
    // By the name it is asked for, and by the one it has: a link may lie below a folder that is taken along.
    const std::string real = std::filesystem::canonical(path, problem);
    if (problem) continue;
    add(paths, real);
    add(paths, std::filesystem::path(path).lexically_normal());
  }
  return paths;
}

Result<> enter_empty_root(const std::vector<std::string>& visible) {
  // What is mounted here from now on shall not appear anywhere else.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return fail_errno(errno, "make the mounts private");
  std::vector<Piece> pieces;
  for (const std::string& path : visible) {
    auto piece = take(path);
    if (!piece) return std::unexpected(std::move(piece.error()));
    pieces.push_back(std::move(*piece));
  }
  const mode_t before = ::umask(022);
  if (::mount("tcmu-host", kMountPoint, "tmpfs", kFlags, "mode=0755,size=64k,nr_inodes=256") != 0)
    return fail_errno(errno, "mount an empty root");
  if (::chdir(kMountPoint) != 0) return fail_errno(errno, "enter the empty root");
  for (const Piece& piece : pieces)
    if (auto done = put(piece); !done) return done;
  ::umask(before);
  return change_root();
}

}  // namespace bulkhead::host
