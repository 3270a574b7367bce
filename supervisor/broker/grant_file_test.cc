#include "supervisor/broker/grant_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

namespace bulkhead::supervisor {
namespace {

TEST(OpenForGrant, AFileInMemoryIsOpenedForWritingThoughOursIsNot) {
  const UniqueFd file(::memfd_create("image", MFD_CLOEXEC));
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  const UniqueFd reader(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(reader);
  auto granted = open_for_grant(reader, false);
  ASSERT_TRUE(granted) << granted.error().what;
  EXPECT_EQ(::pwrite(granted->file.get(), "x", 1, 0), 1);
  char byte = 0;
  EXPECT_EQ(::pread(file.get(), &byte, 1, 0), 1);
  EXPECT_EQ(byte, 'x');
}

TEST(OpenForGrant, PastThePageCacheItIsOpenedForReadingAlone) {
  std::string path = ::testing::TempDir() + "/grant-XXXXXX";
  const UniqueFd file(::mkostemp(path.data(), O_CLOEXEC));
  ASSERT_TRUE(file);
  const auto direct = open_for_grant(file, true), cached = open_for_grant(file, false);
  ::unlink(path.c_str());
  ASSERT_TRUE(direct) << direct.error().what;
  ASSERT_TRUE(cached) << cached.error().what;
  EXPECT_EQ(::fcntl(direct->file.get(), F_GETFL) & (O_ACCMODE | O_DIRECT), O_RDONLY | O_DIRECT);
  EXPECT_EQ(::fcntl(cached->file.get(), F_GETFL) & (O_ACCMODE | O_DIRECT), O_RDWR);
  EXPECT_FALSE(direct->is_disk);
}

TEST(OpenForGrant, WhatCannotBeAskedIsNotGranted) {
  const UniqueFd writer(::open("/proc/self/comm", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(writer);
  const auto granted = open_for_grant(writer, false);
  ASSERT_FALSE(granted);
  EXPECT_EQ(granted.error().cause, Cause::Denied);
}

}  // namespace
}  // namespace bulkhead::supervisor
