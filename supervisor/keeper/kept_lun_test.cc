#include "supervisor/keeper/kept_lun.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

namespace bulkhead::supervisor {
namespace {

UniqueFd any() {
  return UniqueFd(::eventfd(0, EFD_CLOEXEC));
}

TEST(KeptLun, DescriptorsAreFoundByLunAndKind) {
  std::vector<KeptFd> kept;
  const int journal = (kept.emplace_back("lun7.journal", any()), kept.back().fd.get());
  kept.emplace_back("lun7.uio", any());
  const int other = (kept.emplace_back("lun12.journal", any()), kept.back().fd.get());
  kept.emplace_back("lun7.of-a-newer-build", any());
  kept.emplace_back("stored", any());
  KeptLuns found = group_by_lun(std::move(kept));
  ASSERT_EQ(found.luns.size(), 2u);
  EXPECT_EQ(found.luns[7].fd(KeptKind::Journal).get(), journal);
  EXPECT_EQ(found.luns[12].fd(KeptKind::Journal).get(), other);
  EXPECT_TRUE(found.luns[7].has(KeptKind::Uio));
  EXPECT_FALSE(found.luns[7].has(KeptKind::Pidfd));
  EXPECT_EQ(found.unknown, (std::vector<std::string>{"lun7.of-a-newer-build", "stored"}));
}

TEST(KeptLun, OfTwoOfOneNameTheFirstCounts) {
  std::vector<KeptFd> kept;
  const int younger = (kept.emplace_back("lun7.pidfd", any()), kept.back().fd.get());
  kept.emplace_back("lun7.pidfd", any());
  KeptLuns found = group_by_lun(std::move(kept));
  EXPECT_EQ(found.luns[7].fd(KeptKind::Pidfd).get(), younger);
}

TEST(KeptLun, WhatIsTakenIsGone) {
  KeptLun lun;
  lun.fd(KeptKind::Uio) = any();
  EXPECT_TRUE(lun.take(KeptKind::Uio));
  EXPECT_FALSE(lun.has(KeptKind::Uio));
}

}  // namespace
}  // namespace bulkhead::supervisor
