// Random command streams against a model of a disk: every answer, every sense code and every byte of the
// medium must be the model's. The seed is fixed, so that a failure can be repeated; BULKHEAD_MODEL_SEED sets
// another, and BULKHEAD_MODEL_COMMANDS how many commands each stream has.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "base/endian.h"
#include "handler-host/scsi/testing/model_disk.h"
#include "handler-host/scsi/testing/test_lun.h"
#include "handler-host/scsi/words.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

struct Shape {
  std::string name;
  std::uint32_t block_bytes;
  bool thin;
  bool read_only;
};

constexpr std::uint64_t kBlocks = 24;  // few, so that commands meet

// The commands that touch the medium, by opcode; those with data-out say how many blocks of it per block
// named.
enum class Data : std::uint8_t { None, In, Out, OutTwice, OneBlock, List };
struct Kind {
  std::uint8_t opcode;
  std::size_t cdb_bytes;
  Data data;
};
constexpr Kind kKinds[] = {
    {0x28, 10, Data::In},       {0xa8, 12, Data::In},       {0x88, 16, Data::In},
    {0x2a, 10, Data::Out},      {0xaa, 12, Data::Out},      {0x8a, 16, Data::Out},
    {0x41, 10, Data::OneBlock}, {0x93, 16, Data::OneBlock}, {0x35, 10, Data::None},
    {0x91, 16, Data::None},     {0x42, 10, Data::List},     {0x2e, 10, Data::Out},
    {0xae, 12, Data::Out},      {0x8e, 16, Data::Out},      {0x2f, 10, Data::Out},
    {0xaf, 12, Data::Out},      {0x8f, 16, Data::Out},      {0x89, 16, Data::OutTwice},
    {0x8b, 16, Data::Out},      {0x9c, 16, Data::Out},      {0x34, 10, Data::None},
    {0x90, 16, Data::None},
};

struct Sent {
  Bytes cdb;
  Bytes data_out;
  bool reads = false;    // data-in, with
  std::size_t room = 0;  // an initiator's buffer so large
};

class Generator {
 public:
  Generator(std::uint64_t seed, std::uint32_t block_bytes) : random_(seed), block_(block_bytes) {}

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool once_in(std::uint64_t n) { return below(n) == 0; }

  Sent next(const Bytes& medium) {
    const Kind& kind = kKinds[below(std::size(kKinds))];
    Sent sent{.cdb = Bytes(kind.cdb_bytes), .reads = kind.data == Data::In};
    Bytes& cdb = sent.cdb;
    cdb[0] = kind.opcode;
    if (!once_in(3)) cdb[1] = static_cast<std::uint8_t>(random_() & 0x1f);
    if (once_in(20)) cdb[1] = static_cast<std::uint8_t>(random_());
    if (kind.data == Data::List) return unmap(std::move(sent));

    const std::uint64_t lba = once_in(30) ? random_() : below(kBlocks + 1);
    const std::uint64_t count = once_in(30) ? random_() : below(5);
    put(cdb, lba, count);
    const bool huge = count > 2 * kBlocks;
    const std::uint64_t blocks = huge ? 1 : count;
    sent.room = once_in(10) ? below(4 * block_) : blocks * block_;
    if (kind.data == Data::Out) sent.data_out = content(medium, lba, blocks);
    if (kind.data == Data::OneBlock) sent.data_out = content(medium, lba, 1);
    if (kind.data == Data::OutTwice && blocks > 0) {
      sent.data_out = content(medium, lba, blocks);
      const Bytes second = content(medium, lba, blocks);
      sent.data_out.insert(sent.data_out.end(), second.begin(), second.end());
    }
    if (!sent.data_out.empty() && once_in(25)) sent.data_out.resize(below(sent.data_out.size()));
    return sent;
  }

 private:
  void put(Bytes& cdb, std::uint64_t lba, std::uint64_t count) {
    if (cdb.size() == 16) {
      put_be64(std::span<std::uint8_t, 8>(&cdb[2], 8), lba);
      if (cdb[0] == 0x89)
        cdb[13] = static_cast<std::uint8_t>(count);
      else if (cdb[0] == 0x9c)
        put_be16(std::span<std::uint8_t, 2>(&cdb[12], 2), static_cast<std::uint16_t>(count));
      else
        put_be32(std::span<std::uint8_t, 4>(&cdb[10], 4), static_cast<std::uint32_t>(count));
      return;
    }
    put_be32(std::span<std::uint8_t, 4>(&cdb[2], 4), static_cast<std::uint32_t>(lba));
    if (cdb.size() == 12)
      put_be32(std::span<std::uint8_t, 4>(&cdb[6], 4), static_cast<std::uint32_t>(count));
    else
      put_be16(std::span<std::uint8_t, 2>(&cdb[7], 2), static_cast<std::uint16_t>(count));
  }

  // What is there already, so that comparisons find it; or the same with one byte changed; or something else.
  Bytes content(const Bytes& medium, std::uint64_t lba, std::uint64_t blocks) {
    Bytes data(blocks * block_, static_cast<std::uint8_t>(once_in(3) ? 0 : random_()));
    const bool inside = lba <= kBlocks && blocks <= kBlocks - lba;
    if (data.empty() || !inside || once_in(2)) return data;
    std::copy_n(medium.begin() + static_cast<std::ptrdiff_t>(lba * block_), data.size(), data.begin());
    if (once_in(2)) flip_a_bit(data, data.size());
    return data;
  }

  void flip_a_bit(Bytes& bytes, std::size_t within) {
    std::uint8_t& byte = bytes[below(within)];
    byte = static_cast<std::uint8_t>(byte ^ 1u << below(8));
  }

  Sent unmap(Sent sent) {
    const std::size_t descriptors = below(4);
    Bytes& list = sent.data_out;
    list.resize(8 + descriptors * 16);
    put_be16(std::span<std::uint8_t, 2>(list.data(), 2), static_cast<std::uint16_t>(list.size() - 2));
    put_be16(std::span<std::uint8_t, 2>(&list[2], 2), static_cast<std::uint16_t>(descriptors * 16));
    for (std::size_t i = 0; i < descriptors; ++i) {
      put_be64(std::span<std::uint8_t, 8>(&list[8 + i * 16], 8), below(kBlocks + 1));
      put_be32(std::span<std::uint8_t, 4>(&list[16 + i * 16], 4), static_cast<std::uint32_t>(below(4)));
    }
    if (once_in(5)) flip_a_bit(list, 4);
    const std::size_t length = once_in(8) ? below(list.size() + 4) : list.size();
    put_be16(std::span<std::uint8_t, 2>(&sent.cdb[7], 2), static_cast<std::uint16_t>(length));
    if (!once_in(4)) sent.cdb[1] = 0;
    return sent;
  }

  std::mt19937_64 random_;
  std::uint32_t block_;
};

class Model : public ::testing::TestWithParam<Shape> {
 protected:
  static LunShape lun_shape() {
    LunShape shape{.blocks = BlockCount{kBlocks}, .block_bytes = GetParam().block_bytes};
    if (GetParam().thin) shape.geometry = thin();
    shape.geometry.atomic_write_bytes = 2 * GetParam().block_bytes;
    shape.geometry.read_only = GetParam().read_only;
    return shape;
  }
  static ModelDisk model() {
    return {BlockCount{kBlocks}, GetParam().block_bytes, GetParam().thin, GetParam().read_only};
  }
};
INSTANTIATE_TEST_SUITE_P(Shapes, Model,
                         ::testing::Values(Shape{"Plain", 512, false, false}, Shape{"Thin", 512, true, false},
                                           Shape{"Thin4096", 4096, true, false},
                                           Shape{"ReadOnly", 512, true, true}),
                         [](const auto& shape) { return shape.param.name; });

Bytes medium_of(const TestLun& lun) {
  return lun.medium(Lba{0}, BlockCount{kBlocks});
}

std::optional<std::uint64_t> information_of(const Reply& reply) {
  if ((reply.sense[0] & 0x80) == 0) return std::nullopt;
  return be32(std::span<const std::uint8_t, 4>(&reply.sense[3], 4));
}

// PRE-FETCH may say CONDITION MET, which is as good.
std::uint8_t status_of(const Reply& reply) {
  return reply.status == 0x04 ? std::uint8_t{0} : reply.status;
}

void expect_as_in_model(const Reply& reply, const Expected& expected) {
  ASSERT_EQ(status_of(reply), expected.status);
  if (expected.status == 0) return;
  ASSERT_EQ(sense_key(reply), static_cast<std::uint8_t>(expected.key));
  ASSERT_EQ(sense_code(reply), expected.code.number());
  if (expected.information) {
    ASSERT_EQ(information_of(reply), expected.information);
  }
}

TEST_P(Model, OneCommandAtATime) {
  const std::uint64_t seed = setting("BULKHEAD_MODEL_SEED", 20261125);
  const std::uint64_t commands = setting("BULKHEAD_MODEL_COMMANDS", 20'000);
  Generator generator(seed, GetParam().block_bytes);
  TestLun lun(lun_shape());
  ModelDisk disk = model();
  std::uint64_t good = 0;
  for (std::uint64_t i = 0; i < commands; ++i) {
    const Sent sent = generator.next(disk.medium);
    SCOPED_TRACE("seed " + std::to_string(seed) + ", command " + std::to_string(i) + ": " +
                 std::string(describe_cdb(sent.cdb).view()) + ", " + std::to_string(sent.data_out.size()) +
                 " bytes out, room for " + std::to_string(sent.room));
    const Expected expected = disk.execute(sent.cdb, sent.data_out, sent.room);
    const Answer answer =
        sent.reads ? lun.get(sent.cdb, sent.room) : Answer{lun.put(sent.cdb, sent.data_out), {}};
    expect_as_in_model(answer.reply, expected);
    if (HasFatalFailure()) return;
    if (sent.reads) {
      ASSERT_EQ(answer.data, expected.data_in);
    }
    ASSERT_EQ(medium_of(lun), disk.medium);
    lun.device.ops.clear();
    good += expected.status == 0 ? 1 : 0;
  }
  EXPECT_GT(good, commands / (GetParam().read_only ? 10 : 4));  // not a stream of refusals
}

// Changes under way at once, ended by the back end in any order: the outcome is that of one after the other,
// in the order in which they came.
TEST_P(Model, ManyAtOnceAreAsGoodAsOneAfterTheOther) {
  const std::uint64_t seed = setting("BULKHEAD_MODEL_SEED", 20261125);
  const std::uint64_t batches = setting("BULKHEAD_MODEL_COMMANDS", 20'000) / 40;
  Generator generator(seed, GetParam().block_bytes);
  TestLun lun(lun_shape());
  ModelDisk disk = model();
  for (std::uint64_t batch = 0; batch < batches; ++batch) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", batch " + std::to_string(batch));
    lun.device.hold(true);
    std::vector<std::pair<TestCommand*, Expected>> started;
    while (started.size() < 8) {
      const Sent sent = generator.next(disk.medium);
      const std::uint8_t opcode = sent.cdb[0];
      // What reads without a lock may see either side of a change under way.
      const bool reads = opcode == 0x28 || opcode == 0xa8 || opcode == 0x88 || opcode == 0x2f ||
                         opcode == 0xaf || opcode == 0x8f;
      if (reads) continue;
      started.emplace_back(&lun.start(sent.cdb, sent.data_out), disk.execute(sent.cdb, sent.data_out, 0));
    }
    while (lun.device.held() > 0) lun.device.finish(generator.below(lun.device.held()));
    for (const auto& [command, expected] : started) {
      ASSERT_TRUE(command->answered());
      expect_as_in_model(command->reply(), expected);
      if (HasFatalFailure()) return;
    }
    ASSERT_EQ(medium_of(lun), disk.medium);
    lun.device.ops.clear();
    lun.answered.clear();
  }
}

}  // namespace
}  // namespace bulkhead::scsi
