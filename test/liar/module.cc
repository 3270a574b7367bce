// Handler `liar`: reads zeroes, forgets writes, and lies and does harm when a READ(10) asks for it (lies.h,
// abuses.h).
#include <unistd.h>

#include <cstring>

#include "handler-host/api/handler.h"
#include "test/liar/abuses.h"
#include "test/liar/lies.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::handler;
using bulkhead::test::Abuse;
using bulkhead::test::Lie;

class Liar final : public Device {
 public:
  Liar(UniqueFd told, ByteCount size) : told_(std::move(told)), size_(size) {}

  [[nodiscard]] Geometry geometry() const override { return {.size = size_}; }
  void read(ByteOffset from, std::span<std::byte> into, Io& io) override {
    std::memset(into.data(), 0, into.size());
    const std::uint64_t block = from.value / 512;
    // Larger reads are the kernel's own, looking for partitions.
    if (into.size() == 512 && does_wrong(block, into)) return;
    io.done(IoStatus::Ok);
  }
  void write(ByteOffset, std::span<const std::byte>, Durability, Io& io) override { io.done(IoStatus::Ok); }
  void flush(Io& io) override { io.done(IoStatus::Ok); }
  void discard(ByteOffset, ByteCount, Io& io) override { io.done(IoStatus::NotSupported); }
  void write_zeroes(ByteOffset, ByteCount, Durability, Io& io) override { io.done(IoStatus::Ok); }
  [[nodiscard]] Result<> resize(ByteCount size) override {
    size_ = size;
    return {};
  }
  [[nodiscard]] Result<> close() override { return {}; }

 private:
  // Blocks of the first ones.
  static constexpr std::uint64_t kLies = 1000;
  static constexpr std::uint64_t kAbuses = 2000;

  static bool among(std::uint64_t block, std::uint64_t first, auto count) {
    return block >= first && block - first < static_cast<std::uint64_t>(count);
  }

  // True: the READ is not to be answered.
  bool does_wrong(std::uint64_t block, std::span<std::byte> into) {
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
  ByteCount size_;
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
