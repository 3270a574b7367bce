#include "supervisor/keeper/kept_name.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

namespace bulkhead::supervisor {
namespace {

TEST(KeptName, IsSpeltAsOperatorsReadIt) {
  EXPECT_EQ(format({7, KeptKind::Journal}), "lun7.journal");
  EXPECT_EQ(format({0, KeptKind::Uio}), "lun0.uio");
  EXPECT_EQ(format({4294967295u, KeptKind::Completions}), "lun4294967295.completions");
}

TEST(KeptName, EveryKindHasANameOfItsOwnThatLeadsBackToIt) {
  std::set<std::string> names;
  for (std::uint8_t kind = 0; kind < kKeptKinds; ++kind) {
    const KeptName name{1048575, static_cast<KeptKind>(kind)};
    EXPECT_EQ(parse_kept_name(format(name)), name);
    names.insert(format(name));
  }
  EXPECT_EQ(names.size(), kKeptKinds);
}

TEST(KeptName, WhatAnotherBuildOrSomebodyElseKeptIsNotOurs) {
  for (const char* text :
       {"", "stored", "lun", "lun7", "lun7.", "lun.journal", "lun07.journal", "lun+7.journal",
        "lun-7.journal", "lun 7.journal", "lun7 .journal", "lun0x7.journal", "lun7.Journal", "lun7.journal2",
        "lun7.journal.", "lun4294967296.journal", "Lun7.journal", "lun99999999999999999999999.journal",
        "xlun7.journal"})
    EXPECT_EQ(parse_kept_name(text), std::nullopt) << text;
}

// What it takes for one of ours would be formatted to the same text again.
TEST(KeptName, OfRandomTextOnlyOurOwnSpellingIsTaken) {
  std::mt19937 random(1);
  const std::string letters = "lun0179.journalcontrolpidfd\xff\n";
  unsigned taken = 0;
  for (int round = 0; round < 100'000; ++round) {
    std::string text =
        format({static_cast<std::uint32_t>(random() % 20), static_cast<KeptKind>(random() % 10)});
    for (auto changes = random() % 3; changes > 0; --changes)
      text[random() % text.size()] = letters[random() % letters.size()];
    const auto name = parse_kept_name(text);
    taken += name ? 1 : 0;
    if (name) {
      ASSERT_EQ(format(*name), text);
    }
  }
  EXPECT_GT(taken, 1000u);
}

}  // namespace
}  // namespace bulkhead::supervisor
