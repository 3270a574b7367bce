// What handler `file` does with data, by every engine, past the page cache and through it.
#include "handler-host/handlers/file/file_device.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "handler-host/handlers/file/file_lun_for_tests.h"

namespace bulkhead::handler {
namespace {

using ::testing::HasSubstr;

struct Way {
  std::string engine;
  std::string direct;
};

void PrintTo(const Way& way, std::ostream* to) {
  *to << way.engine << ", direct " << way.direct;
}

class EveryWay : public ::testing::TestWithParam<Way> {
 protected:
  [[nodiscard]] std::string options() const {
    return "?engine=" + GetParam().engine + "&direct=" + GetParam().direct;
  }
  [[nodiscard]] std::string counter(const std::string& what) const {
    return (GetParam().direct == "on" ? "direct_" : "cached_") + what;
  }
  // engine=auto chooses to work in place only where the data is in memory.
  ScratchFolder folder{GetParam().engine == "auto" ? "/dev/shm" : ::testing::TempDir()};
};

std::uint64_t allocated_bytes(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

std::uint64_t size_of(const std::string& path) {
  return std::filesystem::file_size(path);
}

TEST_P(EveryWay, ReadsBackWhatWasWritten) {
  const std::string path = folder.file("a.img", kMebibyte);
  FileLun lun(path + options(), kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  const Buffer out(65536), in(65536);
  out.fill(0xa5);
  EXPECT_EQ(lun.write(512 * 7, out), IoStatus::Ok);
  EXPECT_EQ(lun.read(512 * 7, in), IoStatus::Ok);
  EXPECT_TRUE(in.holds_only(0xa5));
  const Buffer before(512);
  before.fill(0xff);
  EXPECT_EQ(lun.read(512 * 6, before), IoStatus::Ok);
  EXPECT_TRUE(before.holds_only(0));
  EXPECT_EQ(lun.services.counted(counter("writes")), 1u);
  EXPECT_EQ(lun.services.counted(counter("reads")), 2u);
  EXPECT_TRUE(lun.device->close());
}

TEST_P(EveryWay, WritesAreInTheFileForOtherReaders) {
  const std::string path = folder.file("a.img", kMebibyte);
  FileLun lun(path + options(), kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  const Buffer out(4096);
  out.fill(0x5a);
  ASSERT_EQ(lun.write(8192, out, Durability::Durable), IoStatus::Ok);
  EXPECT_EQ(lun.flush(), IoStatus::Ok);
  std::array<char, 4096> seen{};
  UniqueFd other(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::pread(other.get(), seen.data(), seen.size(), 8192), 4096);
  EXPECT_THAT(seen, ::testing::Each(0x5a));
  EXPECT_EQ(lun.services.counted("flushes"), 1u);
}

TEST_P(EveryWay, ManyAtOnceAreAllAnswered) {
  const std::string path = folder.file("a.img", 4 * kMebibyte);
  FileLun lun(path + options(), 4 * kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  constexpr std::size_t kMany = 1000;  // several times what the kernel's rings hold
  std::vector<host::WaitingIo> ios(kMany);
  const Buffer out(4096);
  out.fill(0x11);
  for (std::size_t i = 0; i < kMany; ++i)
    lun.device->write({i * 4096}, out.bytes(), Durability::Cached, ios[i]);
  for (host::WaitingIo& io : ios) EXPECT_EQ(io.wait(*lun.loop), IoStatus::Ok);
  const Buffer in(kMany * 4096);
  EXPECT_EQ(lun.read(0, in), IoStatus::Ok);
  EXPECT_TRUE(in.holds_only(0x11));
}

TEST_P(EveryWay, TakesBuffersOfAnyAlignment) {
  const std::string path = folder.file("a.img", kMebibyte);
  FileLun lun(path + options(), kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  const Buffer out(8192, 3), in(8192, 5);
  out.fill(0x77);
  EXPECT_EQ(lun.write(4096, out), IoStatus::Ok);
  EXPECT_EQ(lun.read(4096, in), IoStatus::Ok);
  EXPECT_TRUE(in.holds_only(0x77));
}

TEST_P(EveryWay, DiscardMakesAHoleThatReadsAsZeroes) {
  const std::string path = folder.file("a.img", kMebibyte);
  FileLun lun(path + options(), kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  ASSERT_TRUE(lun.device->geometry().can_discard);
  EXPECT_TRUE(lun.device->geometry().discard_zeroes);
  const Buffer all(kMebibyte);
  all.fill(0x33);
  ASSERT_EQ(lun.write(0, all), IoStatus::Ok);
  ASSERT_EQ(lun.flush(), IoStatus::Ok);
  ASSERT_GE(allocated_bytes(path), kMebibyte);

  EXPECT_EQ(lun.discard(kMebibyte / 4, kMebibyte / 2), IoStatus::Ok);

  EXPECT_LE(allocated_bytes(path), kMebibyte * 5 / 8);
  EXPECT_EQ(size_of(path), kMebibyte);
  const Buffer hole(kMebibyte / 2), edge(512);
  hole.fill(1);
  EXPECT_EQ(lun.read(kMebibyte / 4, hole), IoStatus::Ok);
  EXPECT_TRUE(hole.holds_only(0));
  EXPECT_EQ(lun.read(kMebibyte / 4 - 512, edge), IoStatus::Ok);
  EXPECT_TRUE(edge.holds_only(0x33));
  EXPECT_EQ(lun.services.counted("punched_bytes"), kMebibyte / 2);
}

TEST_P(EveryWay, WriteZeroesKeepsTheSpaceOfAThickFile) {
  const std::string path = folder.file("a.img", kMebibyte);
  FileLun lun(path + options(), kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  const Buffer all(kMebibyte);
  all.fill(0x44);
  ASSERT_EQ(lun.write(0, all, Durability::Durable), IoStatus::Ok);
  const std::uint64_t before = allocated_bytes(path);

  EXPECT_EQ(lun.write_zeroes(65536, 65536, Durability::Durable), IoStatus::Ok);

  const Buffer in(65536), next(512);
  in.fill(1);
  EXPECT_EQ(lun.read(65536, in), IoStatus::Ok);
  EXPECT_TRUE(in.holds_only(0));
  EXPECT_EQ(lun.read(131072, next), IoStatus::Ok);
  EXPECT_TRUE(next.holds_only(0x44));
  // tmpfs can only make a hole.
  if (GetParam().engine != "auto") {
    EXPECT_GE(allocated_bytes(path), before);
  }
}

TEST_P(EveryWay, AFileCutWhileServedFailsReadsAndIsNotGrownByWrites) {
  const std::string path = folder.file("a.img", kMebibyte);
  FileLun lun(path + options(), kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  std::filesystem::resize_file(path, kMebibyte / 2 + 100);

  const Buffer buffer(8192);
  buffer.fill(0x66);
  EXPECT_EQ(lun.read(kMebibyte - 8192, buffer), IoStatus::BeyondEnd);
  EXPECT_EQ(lun.read(kMebibyte / 2 - 4096, buffer), IoStatus::BeyondEnd);
  EXPECT_EQ(lun.write(kMebibyte - 8192, buffer), IoStatus::BeyondEnd);
  EXPECT_EQ(lun.write_zeroes(kMebibyte - 8192, 8192), IoStatus::BeyondEnd);
  EXPECT_EQ(lun.discard(kMebibyte - 8192, 8192), IoStatus::BeyondEnd);

  EXPECT_EQ(size_of(path), kMebibyte / 2 + 100);
  EXPECT_EQ(lun.read(0, buffer), IoStatus::Ok);
  EXPECT_EQ(lun.services.counted("beyond_end"), 5u);
  EXPECT_THAT(lun.services.logged(LogLevel::Error),
              HasSubstr(path + ": a command needs 1048576 bytes of it, but it "
                               "has been cut to 524388"));
}

TEST_P(EveryWay, ADeletedFileIsServedOnAndReportedOnce) {
  const std::string path = folder.file("a.img", kMebibyte);
  FileLun lun(path + options(), kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  std::filesystem::remove(path);
  const Buffer buffer(4096);
  EXPECT_EQ(lun.write(0, buffer), IoStatus::Ok);
  EXPECT_EQ(lun.write(0, buffer), IoStatus::Ok);
  const std::string logged = lun.services.logged(LogLevel::Error);
  EXPECT_THAT(logged, HasSubstr(path + " has been deleted while it is served"));
  EXPECT_EQ(std::ranges::count(logged, '\n'), 1);
}

// A file size limit stands in for a full disk: the same path from a failed write to the initiator's sense.
TEST_P(EveryWay, AWriteThatFindsNoSpaceSaysSoAndTheDeviceGoesOn) {
  const std::string path = folder.file("a.img", kMebibyte);
  FileLun lun(path + options(), kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit unlimited{};
  ::getrlimit(RLIMIT_FSIZE, &unlimited);
  const rlimit half{kMebibyte / 2, unlimited.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &half), 0);
  const Buffer buffer(8192);
  const IoStatus beyond = lun.write(kMebibyte - 8192, buffer);
  const IoStatus within = lun.write(0, buffer);
  ::setrlimit(RLIMIT_FSIZE, &unlimited);
  EXPECT_EQ(beyond, IoStatus::NoSpace);
  EXPECT_EQ(within, IoStatus::Ok);
  EXPECT_THAT(lun.services.logged(LogLevel::Error), HasSubstr("write of 8192 bytes at byte 1040384"));
}

TEST_P(EveryWay, AReadOnlyLunRefusesEveryChange) {
  const std::string path = folder.file("a.img", kMebibyte);
  FileLun lun(path + options() + "&ro=on", kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  EXPECT_FALSE(lun.services.requests.at(0).writable);
  const Geometry geometry = lun.device->geometry();
  EXPECT_TRUE(geometry.read_only);
  const Buffer buffer(4096);
  EXPECT_EQ(lun.read(0, buffer), IoStatus::Ok);
  EXPECT_EQ(lun.write(0, buffer), IoStatus::WriteProtected);
  EXPECT_EQ(lun.write_zeroes(0, 4096), IoStatus::WriteProtected);
  EXPECT_EQ(lun.discard(0, 4096), IoStatus::WriteProtected);
  EXPECT_EQ(lun.flush(), IoStatus::Ok);
  EXPECT_EQ(allocated_bytes(path), 0u);
}

TEST_P(EveryWay, GrowsOnlyAsFarAsTheFile) {
  const std::string path = folder.file("a.img", kMebibyte);
  FileLun lun(path + options(), kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;

  const auto refused = lun.device->resize({2 * kMebibyte});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().sys_errno, EINVAL);
  EXPECT_THAT(refused.error().what, HasSubstr("`truncate -s 2097152 " + path + "`"));

  std::filesystem::resize_file(path, 2 * kMebibyte);
  ASSERT_TRUE(lun.device->resize({2 * kMebibyte}));
  EXPECT_EQ(lun.device->geometry().size.value, 2 * kMebibyte);
  const Buffer buffer(4096);
  EXPECT_EQ(lun.write(2 * kMebibyte - 4096, buffer), IoStatus::Ok);
}

INSTANTIATE_TEST_SUITE_P(Engines, EveryWay,
                         ::testing::Values(Way{"uring", "on"}, Way{"uring", "off"}, Way{"threads", "on"},
                                           Way{"threads", "off"}, Way{"auto", "off"}),
                         [](const auto& way) {
                           return way.param.engine + (way.param.direct == "on" ? "Direct" : "Cached");
                         });

TEST(FileDevice, CreateMakesAMissingFileWithTheLunsSize) {
  const ScratchFolder folder;
  FileLun lun(folder.path("new.img") + "?create=on", 3 * kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  EXPECT_EQ(size_of(folder.path("new.img")), 3 * kMebibyte);
}

TEST(FileDevice, TellsPhysicalBlocksOf4096BytesOrNone) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.img", kMebibyte + 100);
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  const FileLun lun(path, kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  const Geometry geometry = lun.device->geometry();
  EXPECT_EQ(geometry.physical_block_bytes, status.st_blksize >= 4096 ? 4096u : 0u);
  EXPECT_EQ(geometry.atomic_write_bytes, 0u);  // of a file's disk nothing is known
  EXPECT_EQ(geometry.size.value, kMebibyte);   // whole blocks
  EXPECT_TRUE(geometry.write_cache);
}

TEST(FileDevice, WithoutWriteCacheEveryWriteIsDurable) {
  const ScratchFolder folder;
  FileLun lun(folder.file("a.img", kMebibyte) + "?write_cache=off", kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  EXPECT_FALSE(lun.device->geometry().write_cache);
  const Buffer buffer(4096);
  EXPECT_EQ(lun.write(0, buffer), IoStatus::Ok);
}

TEST(FileDevice, DiscardOffNeitherOffersNorDoesIt) {
  const ScratchFolder folder;
  FileLun lun(folder.file("a.img", kMebibyte) + "?discard=off", kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  EXPECT_FALSE(lun.device->geometry().can_discard);
  EXPECT_EQ(lun.discard(0, 4096), IoStatus::NotSupported);
}

TEST(FileDevice, GrantsItsFileAsFarAsOthersMayUseIt) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.img", kMebibyte);
  auto granted = [&](const std::string& options) -> std::string {
    const FileLun lun(path + options, kMebibyte);
    EXPECT_TRUE(lun.device) << lun.open_error.what;
    const auto grant = lun.device->io_grant();
    if (!grant) return "nothing";
    EXPECT_EQ(grant->first.value, 0u);
    return grant->direct ? "reads past the page cache" : "the page cache";
  };
  EXPECT_EQ(granted("?direct=off"), "the page cache");
  EXPECT_EQ(granted("?direct=on"), "reads past the page cache");
  EXPECT_EQ(granted("?direct=off&write_cache=off"), "nothing");
  EXPECT_EQ(granted("?direct=on&write_cache=off"), "reads past the page cache");
  EXPECT_EQ(granted("?direct=on&ro=on"), "nothing");
}

TEST(FileDevice, SaysWhereThereIsNothingToFlush) {
  const ScratchFolder memory("/dev/shm"), disk;
  const FileLun in_memory(memory.file("a.img", kMebibyte), kMebibyte),
      on_disk(disk.file("a.img", kMebibyte) + "?direct=off", kMebibyte);
  ASSERT_TRUE(in_memory.device && on_disk.device);
  EXPECT_TRUE(in_memory.device->io_grant()->nothing_to_flush);
  EXPECT_FALSE(on_disk.device->io_grant()->nothing_to_flush);
}

TEST(FileDevice, SaysHowTheFileIsServed) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.img", kMebibyte);
  const FileLun lun(path + "?direct=off&engine=threads", kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  EXPECT_EQ(lun.services.logged(LogLevel::Info), path + ": 1048576 bytes, page cache, threads, read-write\n");
}

}  // namespace
}  // namespace bulkhead::handler
