// The real program under a supervisor's hand, from Hello to its end.
#include "handler-host/runtime/testing/host_process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace bulkhead::host {
namespace {

using control::Message;
using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::uint64_t kMebibyte = 1 << 20;
constexpr int kGood = 0x00;
constexpr int kCheckCondition = 0x02;

class Host : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(image); }
  std::string image_of(std::uint64_t bytes) {
    std::ofstream(image).close();
    std::filesystem::resize_file(image, bytes);
    return image;
  }
  void fill(std::uint64_t offset, std::uint64_t bytes, std::uint8_t value) {
    std::memset(host.channel().data(offset, bytes).data(), value, bytes);
  }
  bool holds_only(std::uint64_t offset, std::uint64_t bytes, std::uint8_t value) {
    return std::ranges::all_of(host.channel().data(offset, bytes),
                               [=](std::byte b) { return b == std::byte{value}; });
  }
  HostEnd end_with(const Message& message) {
    host.send(message);
    return host.wait_end();
  }

  const std::string image = ::testing::TempDir() + "/host-process-" + std::to_string(::getpid()) + ".img";
  HostProcess host;
};

TEST_F(Host, ServesAFileFromHelloToClose) {
  ASSERT_EQ(host.open("file", image_of(kMebibyte), kMebibyte), "");
  EXPECT_EQ(host.facts.size_bytes(), kMebibyte);
  EXPECT_FALSE(host.facts.read_only());
  EXPECT_TRUE(host.facts.write_cache());
  fill(0, 8192, 0xab);
  EXPECT_EQ(host.execute(ChannelPeer::write16(100, 16, 0)), kGood);
  EXPECT_EQ(host.execute(ChannelPeer::synchronize_cache()), kGood);
  EXPECT_EQ(host.execute(ChannelPeer::read16(100, 16, 65536)), kGood);
  EXPECT_TRUE(holds_only(65536, 8192, 0xab));
  EXPECT_EQ(host.execute(ChannelPeer::read16(2048, 1, 0)), kCheckCondition);  // beyond the last block
  EXPECT_EQ(host.close(), "");
  EXPECT_EQ(host.wait_end(), (HostEnd{true, 0, ""}));
  ASSERT_TRUE(host.grant);
  EXPECT_EQ(host.grant->bytes(), kMebibyte);
  EXPECT_TRUE(host.grant->direct()) << "the folder for tests must lie on a file system with O_DIRECT";
  std::ifstream file(image, std::ios::binary);
  file.seekg(100 * 512);
  EXPECT_EQ(file.get(), 0xab);
}

TEST_F(Host, KeepsManyCommandsInFlight) {
  ASSERT_EQ(host.open("file", image_of(kMebibyte), kMebibyte), "");
  for (int round = 0; round < 200; ++round) {
    for (std::uint32_t slot = 0; slot < kTestSlots; ++slot) {
      channel::Slot request = slot % 2 == 0 ? ChannelPeer::write16(slot * 8, 8, slot * 4096)
                                            : ChannelPeer::read16(slot * 8, 8, slot * 4096);
      request.generation = static_cast<std::uint32_t>(round);
      host.channel().submit(slot, request);
      if (slot % 5 == 0) host.channel().publish();
    }
    host.channel().publish();
    std::uint32_t seen = 0;
    for (std::uint32_t i = 0; i < kTestSlots; ++i) {
      const auto entry = host.channel().wait_completion();
      ASSERT_TRUE(entry);
      EXPECT_EQ(entry->scsi_status, kGood);
      EXPECT_EQ(entry->generation, static_cast<std::uint32_t>(round));
      seen |= 1u << entry->slot;
    }
    ASSERT_EQ(seen, 0xffffffffu);
  }
  EXPECT_EQ(host.close(), "");
}

TEST_F(Host, EndsInGoodOrderWhenTheSupervisorIsGone) {
  ASSERT_EQ(host.open("file", image_of(kMebibyte), kMebibyte), "");
  fill(0, 512, 0xcd);
  EXPECT_EQ(host.execute(ChannelPeer::write16(0, 1, 0)), kGood);
  host.hang_up();
  EXPECT_EQ(host.wait_end(), (HostEnd{true, 0, ""}));
}

TEST_F(Host, EndsAtOnceWhenNothingIsUnderWay) {
  ASSERT_EQ(host.open("null", "", kMebibyte), "");
  const auto before = std::chrono::steady_clock::now();
  host.hang_up();
  EXPECT_EQ(host.wait_end(), (HostEnd{true, 0, ""}));
  EXPECT_LT(std::chrono::steady_clock::now() - before, 6s)
      << "the 8 s for commands under way were waited for";
}

// Its writes may still be on their way to the disk; the lock tells when they are through.
TEST_F(Host, AHostKilledUnderLoadIsFollowedByOneThatOpensTheSameFile) {
  constexpr std::uint64_t kSize = 64 * kMebibyte;
  ASSERT_EQ(host.open("file", image_of(kSize), kSize), "");
  for (std::uint32_t slot = 0; slot < kTestSlots; ++slot)
    host.channel().submit(slot, ChannelPeer::write16(slot * 2048, 256, slot * 128 * 1024));
  host.channel().publish();
  host.kill();
  EXPECT_FALSE(host.wait_end().exited);
  HostProcess next;
  EXPECT_EQ(next.open("file", image, kSize), "");
  EXPECT_EQ(next.execute(ChannelPeer::write16(0, 8, 0)), kGood);
  EXPECT_EQ(next.close(), "");
}

TEST_F(Host, FinishesWhatIsInFlightWhenTheSupervisorIsGone) {
  ASSERT_EQ(host.open("null", "?delay_us=300000", kMebibyte), "");
  host.channel().submit(4, ChannelPeer::write16(0, 8, 0));
  host.channel().publish();
  // The host has it: the next one, behind it, is seen to be refused... by the doorbell having been answered.
  const auto before = std::chrono::steady_clock::now();
  ASSERT_TRUE(host.channel().wait_until_host_sleeps()) << "the host has not taken the command";
  host.hang_up();
  EXPECT_EQ(host.wait_end(), (HostEnd{true, 0, ""}));
  EXPECT_GE(std::chrono::steady_clock::now() - before, 290ms);
  EXPECT_TRUE(host.channel().wait_completion(0ms));
}

TEST_F(Host, CloseWaitsForCommandsInFlight) {
  ASSERT_EQ(host.open("null", "?delay_us=100000", kMebibyte), "");
  for (std::uint32_t slot = 0; slot < 4; ++slot) host.channel().submit(slot, ChannelPeer::read16(0, 1, 0));
  host.channel().publish();
  EXPECT_EQ(host.close(), "");
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(host.channel().next_completion());
  EXPECT_EQ(host.wait_end(), (HostEnd{true, 0, ""}));
}

TEST_F(Host, CloseGivesUpOnACommandThatNeverEnds) {
  ASSERT_EQ(host.open("null", "?hang_after=0", kMebibyte), "");
  host.channel().submit(0, ChannelPeer::read16(0, 1, 0));
  host.channel().publish();
  EXPECT_THAT(host.close(), HasSubstr("1 commands did not end within 8 s"));
  EXPECT_EQ(host.wait_end().code, 6);
}

TEST_F(Host, TellsWhyABackstoreDoesNotOpen) {
  EXPECT_THAT(host.open("file", image + ".missing", kMebibyte),
              HasSubstr("does not exist: create it with `truncate"));
  EXPECT_EQ(host.wait_end(), (HostEnd{true, 1, ""}));
}

TEST_F(Host, RefusesALunThatCantBe) {
  EXPECT_THAT(host.open("null", "", 0), HasSubstr("the LUN has no size"));
}
TEST_F(Host, RefusesASizeThatIsNoMultipleOfTheBlockSize) {
  EXPECT_EQ(host.open("null", "", 1000000, 4096),
            "the LUN's size of 1000000 bytes is not a multiple of its block size of 4096 bytes: use 999424");
}
TEST_F(Host, RefusesABlockSizeThatIsNoPowerOfTwo) {
  EXPECT_THAT(host.open("null", "", 520 * 100, 520), HasSubstr("a block size of 520 bytes is not possible"));
}

TEST_F(Host, SaysThatTheCommandTimeoutOptionHasNoEffect) {
  ASSERT_EQ(host.open("file", ";tcmur_cmd_time_out=20;" + image_of(kMebibyte), kMebibyte), "");
  ASSERT_FALSE(host.log_lines.empty());
  EXPECT_THAT(host.log_lines[0],
              AllOf(HasSubstr("tcmur_cmd_time_out=20 has no effect"), HasSubstr("cmd_time_out")));
}

TEST_F(Host, AsksForTheFileItNeedsAndShowsTheBrokersReason) {
  host.opener = [](const control::OpenFile& request, UniqueFd&) {
    EXPECT_EQ(request.path(), "/srv/a,b");
    EXPECT_TRUE(request.writable());
    EXPECT_EQ(request.create_bytes(), kMebibyte);
    Message answer;
    answer.mutable_file_opened()->mutable_failure()->set_sys_errno(EACCES);
    answer.mutable_file_opened()->mutable_failure()->set_text("not within /srv/allowed");
    return answer;
  };
  EXPECT_THAT(host.open("file", "/srv/a%2Cb?create=on", kMebibyte),
              AllOf(HasSubstr("not within /srv/allowed"), HasSubstr("?ro=on")));
}

TEST_F(Host, ServesACloseThatCameWhileItOpened) {
  image_of(kMebibyte);
  host.opener = [this](const control::OpenFile& request, UniqueFd& fd) {
    Message close;
    close.mutable_close()->set_id(77);
    host.send(close);
    fd = UniqueFd(::open(request.path().c_str(), O_RDWR | O_CLOEXEC));
    return Message();
  };
  ASSERT_EQ(host.open("file", image, kMebibyte), "");
  EXPECT_EQ(host.expect(Message::kDone).done().id(), 77u);
  EXPECT_EQ(host.wait_end(), (HostEnd{true, 0, ""}));
}

TEST_F(Host, ResizesAndTellsTheNewFacts) {
  ASSERT_EQ(host.open("file", image_of(kMebibyte), kMebibyte), "");
  EXPECT_EQ(host.execute(ChannelPeer::read16(0, 1, 0)), kGood);
  Message resize;
  resize.mutable_resize()->set_id(50);
  resize.mutable_resize()->set_size_bytes(2 * kMebibyte);
  host.send(resize);
  Message done = host.expect(Message::kDone);
  EXPECT_EQ(done.done().failure().sys_errno(), EINVAL);
  EXPECT_THAT(done.done().failure().text(), HasSubstr("truncate -s 2097152"));

  std::filesystem::resize_file(image, 2 * kMebibyte);
  host.send(resize);
  done = host.expect(Message::kDone);
  EXPECT_EQ(done.done().id(), 50u);
  EXPECT_FALSE(done.done().has_failure());
  EXPECT_EQ(host.expect(Message::kDeviceFacts).device_facts().size_bytes(), 2 * kMebibyte);
  // A unit attention tells the initiator; then the new blocks are there.
  EXPECT_EQ(host.execute(ChannelPeer::read16(4095, 1, 0)), kCheckCondition);
  EXPECT_EQ(host.execute(ChannelPeer::read16(4095, 1, 0)), kGood);

  resize.mutable_resize()->set_size_bytes(1000);
  host.send(resize);
  EXPECT_THAT(host.expect(Message::kDone).done().failure().text(),
              HasSubstr("use a multiple of the block size"));
}

TEST_F(Host, SwitchesTheWriteCache) {
  ASSERT_EQ(host.open("file", image_of(kMebibyte), kMebibyte), "");
  Message message;
  message.mutable_set_write_cache()->set_id(9);
  message.mutable_set_write_cache()->set_on(false);
  host.send(message);
  EXPECT_FALSE(host.expect(Message::kDeviceFacts).device_facts().write_cache());
  EXPECT_EQ(host.expect(Message::kDone).done().id(), 9u);
}

TEST_F(Host, TellsWhenAnInitiatorSwitchesTheWriteCache) {
  ASSERT_EQ(host.open("file", image_of(kMebibyte), kMebibyte), "");
  // MODE SELECT (6), PF, with the caching page alone (SBC-3 6.4.5), WCE 0.
  channel::Slot select{};
  select.cdb_bytes = 6;
  select.direction = channel::Direction::Out;
  select.data_bytes = 24;
  const std::uint8_t cdb[] = {0x15, 0x10, 0, 0, 24, 0};
  std::ranges::copy(cdb, select.cdb);
  fill(0, 24, 0);
  host.channel().data(0, 24)[4] = std::byte{0x08};
  host.channel().data(0, 24)[5] = std::byte{0x12};
  EXPECT_EQ(host.execute(select), kGood);
  EXPECT_FALSE(host.expect(Message::kDeviceFacts).device_facts().write_cache());
}

TEST_F(Host, CountsWhatTheHandlerDoes) {
  ASSERT_EQ(host.open("file", image_of(kMebibyte), kMebibyte), "");
  EXPECT_EQ(host.execute(ChannelPeer::read16(0, 8, 0)), kGood);
  EXPECT_EQ(host.next(3s).kind_case(), Message::KIND_NOT_SET);
  ASSERT_EQ(host.counters.counter_size(), 1);
  EXPECT_THAT(host.counters.counter(0).name(), HasSubstr("_reads"));
  EXPECT_EQ(host.counters.counter(0).value(), 1u);
}

TEST_F(Host, AFailingDiskDoesNotFloodTheJournal) {
  ASSERT_EQ(host.open("file", image_of(kMebibyte), kMebibyte), "");
  std::filesystem::resize_file(image, 512);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(host.execute(ChannelPeer::read16(1000, 1, 0)), kCheckCondition);
  EXPECT_EQ(host.close(), "");
  EXPECT_LT(host.log_lines.size(), 40u);
  EXPECT_GE(host.log_lines.size(), 5u);
}

TEST_F(Host, AHandlerThatCrashesIsADeadHostAndNothingElse) {
  ASSERT_EQ(host.open("null", "?crash_after=0", kMebibyte), "");
  host.channel().submit(0, ChannelPeer::read16(0, 1, 0));
  host.channel().publish();
  const HostEnd end = host.wait_end();
  EXPECT_FALSE(end.exited);
  EXPECT_EQ(end.code, SIGABRT);
  EXPECT_THAT(end.stderr_text, HasSubstr("crash_after"));
}

// CheckConfig: no channel, one question, an answer, the end.
class CheckHost : public Host {
 protected:
  std::string check(const std::string& subtype, const std::string& config, bool may_open) {
    host.start_without_channel(subtype);
    Message message;
    message.mutable_check()->set_id(5);
    message.mutable_check()->set_config(config);
    message.mutable_check()->set_may_open(may_open);
    host.send(message);
    const Message checked = host.expect(Message::kChecked);
    EXPECT_EQ(checked.checked().id(), 5u);
    EXPECT_EQ(host.wait_end(), (HostEnd{true, 0, ""}));
    return checked.checked().failure().text();
  }
};

TEST_F(CheckHost, AcceptsAFileThatIsThere) {
  EXPECT_EQ(check("file", image_of(kMebibyte), true), "");
}
TEST_F(CheckHost, NamesAFileThatIsNot) {
  EXPECT_THAT(check("file", image, true), HasSubstr(image + " does not exist"));
}
TEST_F(CheckHost, AFileThatIsNotMayBeCreatedLaterButNotByAQuestion) {
  EXPECT_EQ(check("file", image + "?create=on", true), "");
  EXPECT_FALSE(std::filesystem::exists(image));
}
TEST_F(CheckHost, JudgesTheTextAloneForWhoMayNotOpen) {
  EXPECT_EQ(check("file", image, false), "");
}
TEST_F(CheckHost, RefusesWhatTheKernelWouldCut) {
  EXPECT_THAT(check("file", "/" + std::string(4095, 'x'), false), HasSubstr("the kernel cuts it at 255"));
}
TEST_F(CheckHost, RefusesWhatTheHandlerDoes) {
  EXPECT_THAT(check("file", "relative", false), HasSubstr("the path is relative"));
}

// A handler that is not what it should be is the administrator's to repair: it is answered, not died of.
TEST_F(Host, AHandlerThatCantBeLoadedIsTold) {
  host.expect(Message::kHello);
  Message start;
  start.mutable_start()->set_subtype("file");
  start.mutable_start()->set_library("/nonexistent/handler_file.so");
  host.send(start);
  Message check;
  check.mutable_check()->set_id(1);
  check.mutable_check()->set_config("/a");
  host.send(check);
  EXPECT_THAT(
      host.expect(Message::kChecked).checked().failure().text(),
      AllOf(HasSubstr("handler /nonexistent/handler_file.so is not usable"), HasSubstr("No such file")));
}

// From here on the supervisor errs: the host says what and ends.
TEST_F(Host, EndsWhenStartIsNoStart) {
  host.expect(Message::kHello);
  Message message;
  message.mutable_close()->set_id(1);
  EXPECT_EQ(end_with(message),
            (HostEnd{true, 4, "tcmu-handler-host: the supervisor sent message 13 instead of Start\n"}));
}
TEST_F(Host, EndsWhenItHearsNoMessage) {
  host.expect(Message::kHello);
  host.send_bytes("\xff\xff\xff not protobuf");
  EXPECT_EQ(host.wait_end(),
            (HostEnd{true, 4,
                     "tcmu-handler-host: waiting for Start: a packet on the control socket is no "
                     "message\n"}));
}
TEST_F(Host, EndsWhenTheChannelIsNotWhatStartSays) {
  host.expect(Message::kHello);
  Message start;
  start.mutable_start()->set_subtype("null");
  start.mutable_start()->set_library(host.library("null"));
  start.mutable_start()->set_slots(64);
  EXPECT_EQ(
      end_with(start),
      (HostEnd{true, 5, "tcmu-handler-host: channel: 0 descriptors came with Start, there should be 5\n"}));
}
TEST_F(Host, EndsWhenItIsToOpenWithoutAChannel) {
  host.start_without_channel("null");
  Message open;
  open.mutable_open()->set_id(1);
  open.mutable_open()->set_device("d");
  open.mutable_open()->set_config("");
  open.mutable_open()->set_size_bytes(512);
  open.mutable_open()->set_block_bytes(512);
  EXPECT_EQ(end_with(open).code, 4);
}
TEST_F(Host, EndsWhenAServingHostIsToStartAgain) {
  ASSERT_EQ(host.open("null", "", kMebibyte), "");
  Message start;
  start.mutable_start()->set_subtype("null");
  start.mutable_start()->set_library("/x");
  EXPECT_EQ(end_with(start),
            (HostEnd{true, 4,
                     "tcmu-handler-host: the supervisor sent message 2 while this host serves a device\n"}));
}
TEST_F(Host, EndsWhenASubmissionMakesNoSense) {
  ASSERT_EQ(host.open("null", "", kMebibyte), "");
  host.channel().submit_entry(kTestSlots + 1);
  host.channel().publish();
  EXPECT_EQ(host.wait_end(),
            (HostEnd{true, 4, "tcmu-handler-host: channel: submission of slot 33, there are 32\n"}));
}
TEST_F(Host, EndsWhenASlotIsSubmittedTwice) {
  ASSERT_EQ(host.open("null", "?hang_after=0", kMebibyte), "");
  for (int i = 0; i < 2; ++i) host.channel().submit(3, ChannelPeer::read16(0, 1, 0));
  host.channel().publish();
  EXPECT_THAT(host.wait_end().stderr_text,
              HasSubstr("slot 3 was submitted while its command (cmd_id 0) is under way"));
}
TEST_F(Host, EndsQuietlyWhenTheSupervisorIsGoneBeforeItStarted) {
  host.expect(Message::kHello);
  host.hang_up();
  const HostEnd end = host.wait_end();
  EXPECT_EQ(end.code, 0);
  EXPECT_THAT(end.stderr_text, HasSubstr("the supervisor is gone; this host was waiting for Start"));
}

TEST(HostProgram, SaysThatItIsNotStartedByHand) {
  HostProcess host({"tcmu-handler-host", "--help"});
  EXPECT_EQ(
      host.wait_end(),
      (HostEnd{true, 2,
               "tcmu-handler-host: --help: unknown or repeated argument; tcmu-handler-host(8) tells which "
               "there are\n"}));
}

// Where a user that is nobody here can read it; a build folder often is not.
class PublicFolder {
 public:
  PublicFolder() {
    std::string pattern = "/tmp/handlers-XXXXXX";
    path = ::mkdtemp(pattern.data());
    ::chmod(path.c_str(), 0755);
  }
  ~PublicFolder() { std::filesystem::remove_all(path); }
  void take(const std::string& library) const {
    const auto to = std::filesystem::path(path) / std::filesystem::path(library).filename();
    std::filesystem::copy_file(library, to);
    std::filesystem::permissions(to, std::filesystem::perms(0755));
  }
  std::string path;
};

TEST(HostProgram, IsVisibleByItsNameAndLockedDown) {
  const bool root = ::geteuid() == 0;
  const PublicFolder folder;
  std::vector<std::string> arguments{"tcmu-host: null/d0", "--library-dir=" + folder.path};
  if (root) arguments.emplace_back("--uid=54321");
  HostProcess host(arguments);
  folder.take(host.library("null"));
  host.library_folder = folder.path;
  ASSERT_EQ(host.open("null", "", kMebibyte), "");
  const std::string proc = "/proc/" + std::to_string(host.pid());
  const auto slurp = [&proc](const char* name) {
    std::ifstream file(proc + name);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  EXPECT_THAT(slurp("/cmdline"), HasSubstr("tcmu-host: null/d0"));
  EXPECT_EQ(slurp("/comm"), "tcmu:null/d0\n");
  const std::string status = slurp("/status");
  EXPECT_THAT(status, HasSubstr("CapEff:\t0000000000000000"));
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1"));
  const std::string uid = std::to_string(root ? 54321 : ::getuid());
  EXPECT_THAT(status, HasSubstr("Uid:\t" + uid + "\t" + uid + "\t" + uid + "\t" + uid));
  EXPECT_EQ(host.close(), "");
}

}  // namespace
}  // namespace bulkhead::host
