// A file on a disk, as a host would grant it for reads past the page cache.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace bulkhead::supervisor::testing {

// Each block is full of one byte.
class ImageFile {
 public:
  static constexpr std::uint32_t kBlock = 4096;
  static constexpr std::uint32_t kBlocks = 64;
  [[nodiscard]] static constexpr std::uint8_t content_of(std::uint8_t block) {
    return static_cast<std::uint8_t>(block + 1);
  }

  ImageFile() {
    std::string path = ::testing::TempDir() + "/image-XXXXXX";
    const UniqueFd writer(::mkostemp(path.data(), O_CLOEXEC));
    std::vector<std::uint8_t> content(kBlocks * kBlock);
    for (std::size_t i = 0; i < content.size(); ++i)
      content[i] = content_of(static_cast<std::uint8_t>(i / kBlock));
    EXPECT_EQ(::pwrite(writer.get(), content.data(), content.size(), 0),
              static_cast<ssize_t>(content.size()));
    // Written back: the kernel does not do without waiting what it would first have to write.
    EXPECT_EQ(::fsync(writer.get()), 0);
    file_ = std::make_shared<const UniqueFd>(::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
    EXPECT_TRUE(*file_) << "the folder for tests must lie on a file system with O_DIRECT";
    writer_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    ::unlink(path.c_str());
  }

  [[nodiscard]] const std::shared_ptr<const UniqueFd>& file() const { return file_; }
  void cut() { EXPECT_EQ(::ftruncate(writer_.get(), 0), 0); }

 private:
  std::shared_ptr<const UniqueFd> file_;
  UniqueFd writer_;
};

}  // namespace bulkhead::supervisor::testing
