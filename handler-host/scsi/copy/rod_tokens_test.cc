#include "handler-host/scsi/copy/rod_tokens.h"

#include <gtest/gtest.h>

namespace bulkhead::scsi {
namespace {

using namespace std::chrono_literals;
using State = RodTokens::State;

constexpr RodTokens::Time kStart{1000s};

RodToken token(std::uint8_t with) {
  RodToken made{};
  made.fill(with);
  return made;
}

TEST(RodTokens, AreFoundByAllTheirBytes) {
  RodTokens tokens;
  const BlockRange blocks[] = {{10, 20}};
  EXPECT_TRUE(tokens.add(token(1), blocks, 60s, kStart));
  EXPECT_EQ(tokens.find(token(1), kStart).state, State::Valid);
  RodToken forged = token(1);
  forged.back() ^= 1;
  EXPECT_EQ(tokens.find(forged, kStart).state, State::Unknown);
}

TEST(RodTokens, AreRevokedByAChangeOfAnyOfTheirBlocks) {
  for (const BlockRange change : {BlockRange{19, 20}, BlockRange{0, 11}, BlockRange{40, 41}}) {
    RodTokens tokens;
    const BlockRange blocks[] = {{10, 20}, {40, 50}};
    EXPECT_TRUE(tokens.add(token(1), blocks, 60s, kStart));
    for (const BlockRange elsewhere :
         {BlockRange{0, 10}, BlockRange{20, 40}, BlockRange{50, 99}, BlockRange{15, 15}})
      tokens.changed(elsewhere);
    EXPECT_EQ(tokens.find(token(1), kStart).state, State::Valid);
    tokens.changed(change);
    EXPECT_EQ(tokens.find(token(1), kStart).state, State::Revoked);
  }
}

TEST(RodTokens, AreRevokedOneByOne) {
  RodTokens tokens;
  const BlockRange low[] = {{0, 10}};
  const BlockRange high[] = {{10, 20}};
  EXPECT_TRUE(tokens.add(token(1), low, 60s, kStart));
  EXPECT_TRUE(tokens.add(token(2), high, 60s, kStart));
  tokens.changed({0, 1});
  tokens.changed({1, 2});
  EXPECT_EQ(tokens.find(token(2), kStart).state, State::Valid);
  tokens.revoke_all();
  EXPECT_EQ(tokens.find(token(2), kStart).state, State::Revoked);
}

TEST(RodTokens, OneThatIsDeletedIsRevokedForItsOtherUsers) {
  RodTokens tokens;
  const BlockRange blocks[] = {{0, 10}};
  EXPECT_TRUE(tokens.add(token(1), blocks, 60s, kStart));
  const auto place = tokens.find(token(1), kStart).place;
  tokens.use(place);
  tokens.use(place);
  tokens.release(place, RodTokens::Afterwards::Delete, kStart);
  EXPECT_TRUE(tokens.revoked(place)) << "nobody watches its blocks any more";
  tokens.release(place, RodTokens::Afterwards::Keep, kStart);
}

TEST(RodTokens, ExpireWhenTheyWereNotUsedForTheirTimeout) {
  RodTokens tokens;
  const BlockRange blocks[] = {{0, 10}};
  EXPECT_TRUE(tokens.add(token(1), blocks, 60s, kStart));
  const RodTokens::Found found = tokens.find(token(1), kStart + 59s);
  ASSERT_EQ(found.state, State::Valid);
  tokens.use(found.place);
  EXPECT_EQ(tokens.find(token(1), kStart + 1h).state, State::Valid);  // in use
  tokens.release(found.place, RodTokens::Afterwards::Keep, kStart + 100s);
  EXPECT_EQ(tokens.find(token(1), kStart + 159s).state, State::Valid);
  EXPECT_EQ(tokens.find(token(1), kStart + 160s).state, State::Expired);
}

TEST(RodTokens, AreDeletedOnDemand) {
  RodTokens tokens;
  const BlockRange blocks[] = {{0, 10}};
  EXPECT_TRUE(tokens.add(token(1), blocks, 60s, kStart));
  tokens.use(0);
  tokens.changed({0, 1});  // a token that is both revoked and deleted is counted off once
  tokens.release(0, RodTokens::Afterwards::Delete, kStart);
  EXPECT_EQ(tokens.find(token(1), kStart).state, State::Unknown);
  EXPECT_TRUE(tokens.add(token(2), blocks, 60s, kStart));
  tokens.changed({0, 1});
  EXPECT_EQ(tokens.find(token(2), kStart).state, State::Revoked);
}

TEST(RodTokens, WhenFullTheUselessGoFirstThenTheLongestUnused) {
  RodTokens tokens;
  for (std::uint8_t i = 0; i < RodTokens::kCapacity; ++i) {
    const BlockRange blocks[] = {{i, i + 1u}};
    EXPECT_TRUE(tokens.add(token(i), blocks, 600s, kStart + std::chrono::seconds(i)));
  }
  const BlockRange elsewhere[] = {{900, 901}};
  tokens.changed({5, 6});
  EXPECT_TRUE(tokens.add(token(100), elsewhere, 600s, kStart + 50s));
  EXPECT_EQ(tokens.find(token(5), kStart + 50s).state, State::Unknown);
  EXPECT_TRUE(tokens.add(token(101), elsewhere, 600s, kStart + 50s));
  EXPECT_EQ(tokens.find(token(0), kStart + 50s).state, State::Unknown);
  EXPECT_EQ(tokens.find(token(1), kStart + 50s).state, State::Valid);
}

TEST(RodTokens, ThoseInUseKeepTheirPlaces) {
  RodTokens tokens;
  const BlockRange blocks[] = {{0, 10}};
  for (std::uint8_t i = 0; i < RodTokens::kCapacity; ++i) {
    EXPECT_TRUE(tokens.add(token(i), blocks, 600s, kStart));
    tokens.use(tokens.find(token(i), kStart).place);
  }
  EXPECT_FALSE(tokens.add(token(100), blocks, 600s, kStart));
  tokens.release(3, RodTokens::Afterwards::Keep, kStart);
  EXPECT_TRUE(tokens.add(token(100), blocks, 600s, kStart));
  EXPECT_EQ(tokens.find(token(3), kStart).state, State::Unknown);
}

TEST(RodTokens, TellWhereTheirBlocksAre) {
  RodTokens tokens;
  const BlockRange blocks[] = {{10, 20}, {50, 50}, {40, 45}};
  EXPECT_TRUE(tokens.add(token(1), blocks, 60s, kStart));
  const RodTokens::Place place = tokens.find(token(1), kStart).place;
  EXPECT_EQ(tokens.blocks(place), 15u);
  EXPECT_EQ(tokens.run(place, 0).first, 10u);
  EXPECT_EQ(tokens.run(place, 9).first, 19u);
  EXPECT_EQ(tokens.run(place, 9).end, 20u);
  EXPECT_EQ(tokens.run(place, 10).first, 40u);
  EXPECT_EQ(tokens.run(place, 14).end, 45u);
  EXPECT_TRUE(tokens.run(place, 15).empty());
}

}  // namespace
}  // namespace bulkhead::scsi
