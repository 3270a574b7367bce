#include "base/memory_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "base/unique_fd.h"

namespace bulkhead {
namespace {

TEST(MemoryFile, ATmpfsIsMemoryAndADiskIsNot) {
  const UniqueFd memory(::memfd_create("a", MFD_CLOEXEC));
  std::string path = ::testing::TempDir() + "/file-XXXXXX";
  const UniqueFd on_disk(::mkostemp(path.data(), O_CLOEXEC));
  ::unlink(path.c_str());
  EXPECT_TRUE(lies_in_memory(memory.get()));
  EXPECT_FALSE(lies_in_memory(on_disk.get()));
  EXPECT_FALSE(lies_in_memory(-1));
}

// Its node lies in memory; what it stands for, nobody knows.
TEST(MemoryFile, ADeviceIsNot) {
  const UniqueFd device(::open("/dev/null", O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(device);
  EXPECT_FALSE(lies_in_memory(device.get()));
}

}  // namespace
}  // namespace bulkhead
