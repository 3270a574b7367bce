#include "supervisor/broker/image_claims.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

namespace bulkhead::supervisor {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ImageClaimsTest : public ::testing::Test {
 protected:
  ImageClaimsTest() {
    for (const std::string& path : {path_, other_path_}) std::ofstream(path) << "data";
    ::unlink(link_.c_str());
    EXPECT_EQ(::link(path_.c_str(), link_.c_str()), 0);
  }
  Result<> take(const ImageClaims::Owner& owner, const std::string& path, Access access = Access::Write) {
    return claims_.take(owner, open(path), path, access);
  }
  static UniqueFd open(const std::string& path) {
    return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  }

  const std::string path_ = ::testing::TempDir() + "/a.img", link_ = ::testing::TempDir() + "/link.img",
                    other_path_ = ::testing::TempDir() + "/b.img";
  ImageClaims claims_;
  ImageClaims::Owner first_ = claims_.new_lun("user_1/first"), second_ = claims_.new_lun("user_2/second");
};

TEST_F(ImageClaimsTest, WhatOneWritesNoOtherGetsByWhateverName) {
  EXPECT_TRUE(take(first_, path_));
  const auto refused = take(second_, link_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().sys_errno, EBUSY);
  EXPECT_THAT(refused.error().what, AllOf(HasSubstr(link_ + " is wanted by user_2/second"),
                                          HasSubstr("by user_1/first as " + path_)));
  EXPECT_FALSE(take(second_, path_, Access::Read));
  EXPECT_TRUE(take(second_, other_path_));
}

TEST_F(ImageClaimsTest, ReadersShare) {
  EXPECT_TRUE(take(first_, path_, Access::Read));
  EXPECT_TRUE(take(second_, path_, Access::Read));
}

TEST_F(ImageClaimsTest, NextHostOfTheSameLunGetsIt) {
  EXPECT_TRUE(take(first_, path_));
  EXPECT_TRUE(take(std::make_shared<const ImageClaims::Lun>(*first_), path_));
}

TEST_F(ImageClaimsTest, LunOfTheSameNameWaitsForTheHostOfTheFormerOne) {
  EXPECT_TRUE(take(first_, path_));
  const auto again = claims_.new_lun("user_1/first");
  EXPECT_THAT(take(again, path_).error().what, HasSubstr("by the host of an earlier user_1/first"));
  EXPECT_FALSE(take(again, path_, Access::Read));
  first_.reset();
  EXPECT_TRUE(take(again, path_));
}

TEST_F(ImageClaimsTest, ClaimEndsWithItsOwner) {
  EXPECT_TRUE(take(first_, path_));
  first_.reset();
  EXPECT_TRUE(take(second_, path_));
}

TEST_F(ImageClaimsTest, WhoHasGoneGetsNothing) {
  const std::weak_ptr<const ImageClaims::Lun> gone = first_;
  first_.reset();
  EXPECT_FALSE(claims_.take(gone, open(path_), path_, Access::Write));
  EXPECT_TRUE(take(second_, path_));
}

TEST_F(ImageClaimsTest, HostThatIsWritingAlreadyHasIt) {
  claims_.restore(first_, open(link_));
  EXPECT_THAT(take(second_, path_).error().what, HasSubstr("open for writing by user_1/first: use"));
  EXPECT_TRUE(take(first_, path_));
}

}  // namespace
}  // namespace bulkhead::supervisor
