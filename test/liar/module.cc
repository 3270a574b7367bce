// Handler `liar`: reads zeroes, forgets writes, and lies and does harm when a READ(10) asks for it (lies.h,
// abuses.h).
#include <unistd.h>

#include "handler-host/api/handler.h"
#include "test/liar/abuses.h"
#include "test/liar/lies.h"
#include "test/zero_disk/zero_disk.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::handler;
using bulkhead::test::Abuse;
using bulkhead::test::Lie;

class Liar final : public test::ZeroDisk {
 public:
  Liar(UniqueFd told, ByteCount size) : ZeroDisk(size), told_(std::move(told)) {}

 private:
  // Blocks of the first ones.
  static constexpr std::uint64_t kLies = 1000;
  static constexpr std::uint64_t kAbuses = 2000;

  static bool among(std::uint64_t block, std::uint64_t first, auto count) {
    return block >= first && block - first < static_cast<std::uint64_t>(count);
  }

  bool does_more(std::uint64_t block, std::span<std::byte> into) override {
    const bool lies = among(block, kLies, Lie::Count), abuses = among(block, kAbuses, Abuse::Count);
    if ((!lies && !abuses) || told_before(block)) return false;
    const test::SharedMemory memory = test::find_channel(into.data(), told_.get());
    if (lies) return test::tell(static_cast<Lie>(block - kLies), block, memory);
    return test::commit(static_cast<Abuse>(block - kAbuses), block, into, memory);
  }

  // In the file, since the host seldom survives it.
  bool told_before(std::uint64_t block) {
    const auto at = static_cast<off_t>(block - kLies);
    char told = 0;
    [[maybe_unused]] const ssize_t got = ::pread(told_.get(), &told, 1, at);
    const bool before = told == 'x';
    [[maybe_unused]] const ssize_t put = ::pwrite(told_.get(), "x", 1, at);
    return before;
  }

  UniqueFd told_;
};

Result<std::unique_ptr<Device>> open(Services& services, const OpenRequest& request) {
  auto told = services.open_file({.path = request.config, .writable = true});
  if (!told) return std::unexpected(std::move(told.error()));
  return std::make_unique<Liar>(std::move(*told), request.size);
}

Result<> check(Services&, std::string_view, bool) {
  return {};
}

constexpr Module kModule{.subtype = "liar", .open = open, .check = check};

}  // namespace

const bulkhead::handler::Module* bulkhead_handler_module() {
  return &kModule;
}
