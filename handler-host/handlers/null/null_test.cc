#include <gmock/gmock.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "handler-host/handlers/null/config.h"
#include "handler-host/handlers/null/null_device.h"
#include "handler-host/runtime/testing/loop_services.h"

namespace bulkhead::handler {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class NullLun {
 public:
  explicit NullLun(const std::string& config) : loop(std::move(*host::EventLoop::create())), services(*loop) {
    auto opened = NullDevice::open(services, OpenRequest{.device = "d", .config = config, .size = {1 << 20}});
    if (opened)
      device = std::move(*opened);
    else
      open_error = opened.error();
  }

  IoStatus read(std::uint64_t lba) {
    host::WaitingIo io;
    device->read({lba * 512}, buffer, io);
    return io.wait(*loop);
  }
  IoStatus write(std::uint64_t lba) {
    host::WaitingIo io;
    device->write({lba * 512}, buffer, Durability::Cached, io);
    return io.wait(*loop);
  }
  IoStatus flush() {
    host::WaitingIo io;
    device->flush(io);
    return io.wait(*loop);
  }

  std::unique_ptr<host::EventLoop> loop;
  host::LoopServices services;
  std::unique_ptr<Device> device;
  Error open_error;
  std::array<std::byte, 4096> buffer{};
};

TEST(Null, ReadsZeroesAndForgetsWrites) {
  NullLun lun("");
  lun.buffer.fill(std::byte{7});
  EXPECT_EQ(lun.write(0), IoStatus::Ok);
  EXPECT_EQ(lun.read(0), IoStatus::Ok);
  EXPECT_THAT(lun.buffer, ::testing::Each(std::byte{0}));
  EXPECT_EQ(lun.flush(), IoStatus::Ok);
  EXPECT_TRUE(lun.device->resize({2 << 20}));
  EXPECT_EQ(lun.device->geometry().size.value, 2u << 20);
}

TEST(Null, HoldsNoDataEver) {
  NullLun lun("");
  EXPECT_EQ(lun.write(0), IoStatus::Ok);
  host::WaitingIo io;
  handler::Run run;
  lun.device->provisioning({0}, {8192}, run, io);
  EXPECT_EQ(io.wait(*lun.loop), IoStatus::Ok);
  EXPECT_EQ(run.provisioning, Provisioning::Deallocated);
  EXPECT_EQ(run.length.value, 8192u);
}

TEST(Null, EveryNthFails) {
  NullLun lun("?fail_read=2&fail_write=3&fail_flush=1");
  EXPECT_THAT((std::vector{lun.read(0), lun.read(0), lun.read(0), lun.read(0)}),
              ElementsAre(IoStatus::Ok, IoStatus::ReadError, IoStatus::Ok, IoStatus::ReadError));
  EXPECT_THAT((std::vector{lun.write(0), lun.write(0), lun.write(0)}),
              ElementsAre(IoStatus::Ok, IoStatus::Ok, IoStatus::WriteError));
  EXPECT_EQ(lun.flush(), IoStatus::WriteError);
}

TEST(Null, FailsWhatTouchesTheBadBlock) {
  NullLun lun("?fail_lba=10");
  EXPECT_EQ(lun.read(2), IoStatus::Ok);  // blocks 2..9
  EXPECT_EQ(lun.read(3), IoStatus::ReadError);
  EXPECT_EQ(lun.write(10), IoStatus::WriteError);
  EXPECT_EQ(lun.write(11), IoStatus::Ok);
}

TEST(Null, RunsOutOfSpace) {
  NullLun lun("?nospace_after=1");
  EXPECT_EQ(lun.write(0), IoStatus::Ok);
  EXPECT_EQ(lun.write(0), IoStatus::NoSpace);
  EXPECT_EQ(lun.read(0), IoStatus::Ok);
}

TEST(Null, AnswersLaterAndInOrder) {
  NullLun lun("?delay_us=20000");
  std::array<host::WaitingIo, 3> ios;
  const auto before = host::EventLoop::Clock::now();
  for (host::WaitingIo& io : ios) lun.device->flush(io);
  EXPECT_EQ(ios[2].answers, 0);
  EXPECT_EQ(ios[2].wait(*lun.loop), IoStatus::Ok);
  EXPECT_GE(host::EventLoop::Clock::now() - before, std::chrono::milliseconds(20));
  EXPECT_EQ(ios[0].answers, 1);
  EXPECT_EQ(ios[1].answers, 1);
}

TEST(Null, HangsAfterItsLastAnswer) {
  NullLun lun("?hang_after=1");
  EXPECT_EQ(lun.flush(), IoStatus::Ok);
  host::WaitingIo io;
  lun.device->flush(io);
  lun.loop->wait(std::chrono::milliseconds(50));
  EXPECT_EQ(io.answers, 0);
}

TEST(NullDeathTest, AbortsAfterItsLastAnswerOrAtABlock) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        NullLun lun("?crash_after=2");
        for (int i = 0; i < 3; ++i) lun.flush();
      },
      "aborting, as option crash_after asks");
  EXPECT_DEATH(
      {
        NullLun lun("?crash_lba=7");
        lun.read(0);
      },
      "aborting, as option crash_lba asks");
  EXPECT_DEATH(
      {
        NullLun lun("?eat_memory_after=1");
        // Ends it as its control group would, but on any machine.
        rlimit little{};
        little.rlim_cur = little.rlim_max = 256 << 20;
        ::setrlimit(RLIMIT_AS, &little);
        for (int i = 0; i < 2; ++i) lun.flush();
      },
      "taking all memory, as option eat_memory_after asks");
}

TEST(Null, OpenFailsAsAsked) {
  const NullLun lun("?open_fail=13");
  EXPECT_EQ(lun.open_error.sys_errno, EACCES);
}

TEST(Null, IsReadOnlyAsAsked) {
  NullLun lun("?ro=on");
  EXPECT_TRUE(lun.device->geometry().read_only);
  EXPECT_EQ(lun.write(0), IoStatus::WriteProtected);
}

std::string refusal(std::string_view text) {
  auto config = parse_null_config(text);
  return config ? "accepted" : config.error().what;
}

TEST(NullConfig, TakesNoPath) {
  EXPECT_EQ(refusal(""), "accepted");
  EXPECT_EQ(refusal("/"), "accepted");
  EXPECT_EQ(refusal("/?delay_us=5"), "accepted");
  EXPECT_EQ(refusal("/srv/a"), "null keeps no data, so it takes no path: leave /srv/a out");
}

TEST(NullConfig, RefusesBadNumbers) {
  EXPECT_EQ(refusal("?delay_us=1000001"),
            "null: option delay_us=1000001: the value must be a number up to 1000000");
  EXPECT_THAT(refusal("?open_fail=0"), HasSubstr("an errno from 1 to 4095"));
  EXPECT_THAT(refusal("?fail_lba=x"), HasSubstr("a block number"));
  EXPECT_THAT(refusal("?delay=1"), HasSubstr("null: unknown option delay; there are ro, delay_us,"));
}

TEST(NullConfig, TheManifestDescribesEveryOption) {
  std::ifstream file("handler-host/handlers/null/null.textproto");
  const std::string manifest{std::istreambuf_iterator<char>(file), {}};
  ASSERT_THAT(manifest, HasSubstr("subtype: \"null\""));
  const std::string known = refusal("?unknown=x");
  std::string names = known.substr(known.find("there are ") + 10) + ", ";
  ASSERT_EQ(std::ranges::count(names, ','), 15);
  for (std::size_t comma = 0; (comma = names.find(", ")) != std::string::npos; names.erase(0, comma + 2))
    EXPECT_THAT(manifest, HasSubstr(names.substr(0, comma) + "="));
}

}  // namespace
}  // namespace bulkhead::handler
