// The data path allocates nothing (design: a LUN may carry the machine's own swap).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "handler-host/scsi/testing/test_lun.h"

namespace {
bool counting = false;
std::size_t allocations = 0;
}  // namespace

// Not inlined: GCC 12 would see free() at the end of a new and warn.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  if (counting) ++allocations;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace bulkhead::scsi {
namespace {

using namespace testing;

// A device that ends everything at once and needs no memory for it.
class NullDevice final : public handler::Device {
 public:
  explicit NullDevice(handler::IoStatus outcome) : outcome_(outcome) {}
  [[nodiscard]] handler::Geometry geometry() const override { return able(); }
  void read(ByteOffset, std::span<std::byte>, handler::Io& io) override { io.done(outcome_); }
  void write(ByteOffset, std::span<const std::byte>, handler::Durability, handler::Io& io) override {
    io.done(outcome_);
  }
  void flush(handler::Io& io) override { io.done(outcome_); }
  void discard(ByteOffset, ByteCount, handler::Io& io) override { io.done(outcome_); }
  void write_zeroes(ByteOffset, ByteCount, handler::Durability, handler::Io& io) override {
    io.done(handler::IoStatus::NotSupported);
  }
  [[nodiscard]] Result<> resize(ByteCount) override { return {}; }
  [[nodiscard]] Result<> close() override { return {}; }

 private:
  handler::IoStatus outcome_;
};

class QuietServices final : public handler::Services {
 public:
  Result<UniqueFd> open_file(const handler::FileRequest&) override { return UniqueFd(); }
  void watch(int, std::uint32_t, std::move_only_function<void()>) override {}
  void unwatch(int) override {}
  void post(std::move_only_function<void()>) override {}
  void after(std::uint32_t, std::move_only_function<void()>) override {}
  void log(handler::LogLevel, std::string_view) override {}
  void count(std::string_view, std::uint64_t) override {}
};

class CountedCommand final : public Command {
 public:
  void complete(const Reply&) noexcept override { ++completed; }
  std::size_t completed = 0;
};

std::size_t allocations_of(handler::IoStatus outcome) {
  NullDevice device(outcome);
  QuietServices services;
  FakeIdentity identity;
  LogicalUnit unit(device, services, identity,
                   Parameters{.device = "d", .config = "c", .size = {1 << 20}, .max_commands = 4});
  std::vector<std::byte> buffer(4096, std::byte{1});
  const Bytes list = unmap_list({{0, 8}, {100, 8}});
  std::vector<std::byte> unmap_data(list.size());
  std::memcpy(unmap_data.data(), list.data(), list.size());
  const std::vector<std::pair<Bytes, std::span<std::byte>>> commands{
      {read10(Lba{0}, BlockCount{8}), buffer},
      {read10(Lba{0}, BlockCount{1}), std::span(buffer).first(100)},
      {write16(Lba{0}, BlockCount{8}, 0x08), buffer},
      {write_same16(Lba{0}, BlockCount{1000}), std::span(buffer).first(512)},
      {write_same16(Lba{0}, BlockCount{1000}, 0x01), {}},
      {unmap_cdb(list.size()), unmap_data},
      {extent_cdb(0x2f, Lba{0}, BlockCount{1000}), {}},
      {extent_cdb(0x2e, Lba{0}, BlockCount{8}, 0x02), buffer},
      {extent_cdb(0x89, Lba{0}, BlockCount{4}), buffer},
      {extent_cdb(0x8b, Lba{0}, BlockCount{8}), buffer},
      {extent_cdb(0x9c, Lba{0}, BlockCount{8}), buffer},
      {{0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {}},
      {{0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40, 0, 0}, buffer},
      {{0xd0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {}},
  };
  CountedCommand command;
  allocations = 0;
  counting = true;
  for (const auto& [cdb, data] : commands) {
    command.cdb = cdb;
    command.cdb_bytes = static_cast<std::uint16_t>(cdb.size());
    command.data = data;
    unit.execute(command);
  }
  counting = false;
  EXPECT_EQ(command.completed, commands.size());
  return allocations;
}

TEST(NoAllocation, WhenEverythingGoesWell) {
  EXPECT_EQ(allocations_of(handler::IoStatus::Ok), 0u);
}

TEST(NoAllocation, WhenEverythingFailsAndIsLogged) {
  EXPECT_EQ(allocations_of(handler::IoStatus::WriteError), 0u);
}

TEST(NoAllocation, IsWhatThisTestCanTell) {
  allocations = 0;
  counting = true;
  const auto memory = std::make_unique<int>(1);
  counting = false;
  EXPECT_EQ(allocations, 1u);
}

}  // namespace
}  // namespace bulkhead::scsi
