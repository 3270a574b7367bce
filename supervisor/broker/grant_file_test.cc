#include "supervisor/broker/grant_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
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
  auto granted = open_for_grant(reader);
  ASSERT_TRUE(granted) << granted.error().what;
  EXPECT_EQ(::pwrite(granted->file.get(), "x", 1, 0), 1);
  char byte = 0;
  EXPECT_EQ(::pread(file.get(), &byte, 1, 0), 1);
  EXPECT_EQ(byte, 'x');
}

TEST(OpenForGrant, WhatCannotBeAskedIsNotGranted) {
  const UniqueFd writer(::open("/proc/self/comm", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(writer);
  const auto granted = open_for_grant(writer);
  ASSERT_FALSE(granted);
  EXPECT_EQ(granted.error().cause, Cause::Denied);
}

}  // namespace
}  // namespace bulkhead::supervisor
