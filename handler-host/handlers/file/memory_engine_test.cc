#include "handler-host/handlers/file/memory_engine.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>

#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "handler-host/handlers/file/file_lun_for_tests.h"

namespace bulkhead::handler {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The engine behind: only remembers what it got.
class Remembering final : public Engine {
 public:
  explicit Remembering(std::vector<Work>& got) : got_(got) {}
  void start(Operation& operation) override { got_.push_back(operation.work); }
  void kick() override {}

 private:
  std::vector<Work>& got_;
};

class MemoryEngineTest : public ::testing::Test, public Finisher {
 protected:
  void finished(Operation&, std::int64_t result) noexcept override { results.push_back(result); }
  Operation operation(Work work, std::uint64_t bytes) {
    Operation made;
    made.work = work;
    made.at = buffer.data();
    made.left = bytes;
    return made;
  }

  UniqueFd file{::memfd_create("memory-engine-test", MFD_CLOEXEC)};
  std::vector<std::byte> buffer = std::vector<std::byte>(kMebibyte, std::byte{7});
  std::vector<std::int64_t> results;
  std::vector<Work> others;
  std::unique_ptr<host::EventLoop> loop = std::move(*host::EventLoop::create());
  host::LoopServices services{*loop};
  MemoryEngine engine{file.get(), std::make_unique<Remembering>(others), services, *this};
};

TEST_F(MemoryEngineTest, ReadsAndWritesAreOverWhenTheKickIs) {
  Operation write = operation(Work::Write, 4096);
  Operation read = operation(Work::Read, 4096);
  engine.start(write);
  engine.start(read);
  EXPECT_THAT(results, IsEmpty());
  engine.kick();
  EXPECT_THAT(results, ElementsAre(4096, 4096));
  EXPECT_THAT(others, IsEmpty());
}

TEST_F(MemoryEngineTest, TellsErrorsAndTheEndOfTheFileAsTheKernelDoes) {
  Operation beyond = operation(Work::Read, 4096);
  Operation faulty = operation(Work::Write, 4096);
  faulty.at = nullptr;
  engine.start(beyond);
  engine.start(faulty);
  engine.kick();
  EXPECT_THAT(results, ElementsAre(0, -EFAULT));
}

TEST_F(MemoryEngineTest, WhatIsLongOrNoTransferIsForTheOtherEngine) {
  Operation large = operation(Work::Read, kMebibyte);
  Operation punch = operation(Work::Punch, 4096);
  for (Operation* one : {&large, &punch}) engine.start(*one);
  engine.kick();
  EXPECT_THAT(others, ElementsAre(Work::Read, Work::Punch));
  EXPECT_THAT(results, IsEmpty());
}

TEST_F(MemoryEngineTest, AFlushHasNothingToWaitFor) {
  Operation flush = operation(Work::Flush, 0);
  engine.start(flush);
  engine.kick();
  EXPECT_THAT(results, ElementsAre(0));
  EXPECT_THAT(others, IsEmpty());
}

TEST_F(MemoryEngineTest, AfterEnoughBytesTheRestWaitsForTheNextRoundOfTheLoop) {
  std::vector<Operation> many(5, operation(Work::Write, 64 * 1024));
  for (Operation& one : many) engine.start(one);
  engine.kick();
  EXPECT_EQ(results.size(), 2u);
  while (loop->has_posted()) loop->run_posted();
  EXPECT_EQ(results.size(), 5u);
}

TEST(FileDeviceInMemory, IsServedByPlainCallsUnlessAnEngineIsAskedFor) {
  const ScratchFolder folder("/dev/shm");
  ASSERT_TRUE(folder.valid());
  const std::string path = folder.file("a.img", kMebibyte);
  FileLun lun(path, kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  EXPECT_THAT(lun.services.logged(LogLevel::Info), HasSubstr("plain calls"));
  const Buffer out(4096), in(4096);
  out.fill(0xa5);
  EXPECT_EQ(lun.write(8192, out, Durability::Durable), IoStatus::Ok);
  EXPECT_EQ(lun.flush(), IoStatus::Ok);
  EXPECT_EQ(lun.read(8192, in), IoStatus::Ok);
  EXPECT_TRUE(in.holds_only(0xa5));
  EXPECT_TRUE(lun.device->close());
  const FileLun asked(path + "?lock=off&engine=threads", kMebibyte);
  EXPECT_THAT(asked.services.logged(LogLevel::Info), HasSubstr("threads"));
}

}  // namespace
}  // namespace bulkhead::handler
