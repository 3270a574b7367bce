// A shared memory mapping with one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/unique_fd.h"

namespace bulkhead {

// Move-only; unmaps when destroyed. A fork's child does not inherit it (MADV_DONTFORK): a child that kept the
// uio region mapped would keep the kernel's device open after its supervisor died.
class Mapping {
 public:
  enum class Access : std::uint8_t { Read, ReadWrite };

  Mapping() = default;
  Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  // Maps the first `size` bytes of `fd`, shared. `what` names the mapping in the error.
  [[nodiscard]] static Result<Mapping> map(const UniqueFd& fd, std::size_t size, Access access,
                                           std::string_view what);

  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] bool valid() const { return !bytes_.empty(); }

 private:
  explicit Mapping(std::span<std::byte> bytes) : bytes_(bytes) {}
  std::span<std::byte> bytes_;
};

// An anonymous shared memory file of exactly `size` bytes that can neither shrink nor grow (sealed), so that
// no holder can make another one's access fault, and mode 0600, so that another user can't reopen it.
// `name` shows in /proc/PID/maps.
[[nodiscard]] Result<UniqueFd> make_sealed_memfd(const char* name, std::size_t size);

// A second descriptor of the same memory file that can only be read and mapped for reading.
[[nodiscard]] Result<UniqueFd> reopen_read_only(const UniqueFd& memfd);

}  // namespace bulkhead
