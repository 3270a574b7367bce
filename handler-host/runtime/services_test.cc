// What the host does for its handler and the SCSI layer: journal, counters, identity, files.
#include <fcntl.h>
#include <gmock/gmock.h>

#include <cerrno>
#include <chrono>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/control_socket.h"
#include "handler-host/runtime/counters.h"
#include "handler-host/runtime/device_services.h"
#include "handler-host/runtime/identity_client.h"
#include "handler-host/runtime/journal.h"

namespace bulkhead::host {
namespace {

using control::Message;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

class Services : public ::testing::Test {
 protected:
  Services() : pair(std::move(*make_control_pair())), client(std::move(pair[0])) {}

  // What the supervisor has got by now.
  std::vector<Message> got() const {
    std::vector<Message> messages;
    while (auto packet = *receive_packet(pair[1])) messages.emplace_back().ParseFromString(packet->bytes);
    return messages;
  }
  void run_until(const bool& done) const {
    const auto deadline = EventLoop::Clock::now() + 20s;
    while (!done && EventLoop::Clock::now() < deadline) loop->wait(1s);
    EXPECT_TRUE(done);
  }
  void fill_socket() {
    Message line;
    line.mutable_log()->set_level(6);
    line.mutable_log()->set_text(std::string(100, 'x'));
    while (client.try_send(line)) {
    }
  }

  std::array<UniqueFd, 2> pair;
  ControlClient client;
  std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create());
};

TEST_F(Services, TheJournalGetsLevelAndText) {
  Journal journal(client);
  journal.log(handler::LogLevel::Warning, "careful");
  const auto messages = got();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].log().level(), 4u);
  EXPECT_EQ(messages[0].log().text(), "careful");
}

TEST_F(Services, TheJournalTellsHowManyLinesWereLost) {
  Journal journal(client);
  fill_socket();
  journal.log(handler::LogLevel::Error, "one");
  journal.log(handler::LogLevel::Error, "two");
  got();
  journal.log(handler::LogLevel::Error, "three");
  const auto messages = got();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].log().text(), "three (and 2 lines before it were left out)");
}

TEST_F(Services, AFloodOfLinesIsCounted) {
  Journal journal(client);
  for (int i = 0; i < 1000; ++i) journal.log(handler::LogLevel::Error, "again");
  EXPECT_EQ(got().size(), 20u);
}

TEST_F(Services, ALongLineIsCut) {
  Journal journal(client);
  journal.log(handler::LogLevel::Info, std::string(1 << 20, 'x'));
  const auto messages = got();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_LE(messages[0].log().text().size(), 2100u);
}

TEST_F(Services, CountersAreToldWithinASecondAndOnlyWhenTheyChanged) {
  Counters counters(*loop, client);
  counters.count("reads", 1);
  counters.count("writes", 5);
  counters.count("reads", 2);
  EXPECT_TRUE(got().empty());
  loop->wait();  // nothing but the timer
  const auto messages = got();
  ASSERT_EQ(messages.size(), 1u);
  ASSERT_EQ(messages[0].counters().counter_size(), 2);
  EXPECT_EQ(messages[0].counters().counter(0).name(), "reads");
  EXPECT_EQ(messages[0].counters().counter(0).value(), 3u);
  EXPECT_EQ(messages[0].counters().counter(1).value(), 5u);
  loop->wait(1100ms);
  counters.tell();
  EXPECT_TRUE(got().empty());
}

TEST_F(Services, CountersThatGotLostAreToldAgain) {
  Counters counters(*loop, client);
  fill_socket();
  counters.count("reads", 1);
  counters.tell();
  got();
  counters.tell();
  ASSERT_EQ(got().size(), 1u);
}

TEST_F(Services, CounterNamesAreBoundedInNumberAndLength) {
  Counters counters(*loop, client);
  counters.count(std::string(32, 'x'), 1);
  for (int i = 0; i < 100; ++i) counters.count("c" + std::to_string(i), 1);
  counters.tell();
  const auto messages = got();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].counters().counter_size(), 64);
  EXPECT_EQ(messages[0].counters().counter(0).name(), "c0");
}

TEST_F(Services, OneQuestionServesAllWhoAskedBeforeItAndNobodyWhoAskedLater) {
  IdentityClient identity(*loop, client);
  std::vector<std::string> told;
  const auto ask = [&](const std::string& who) {
    identity.ask([&told, who](Result<scsi::Identity> answer) { told.push_back(who + answer->unit_serial); });
  };
  ask("a");
  ask("b");
  ask("c");
  auto questions = got();
  ASSERT_EQ(questions.size(), 1u);
  control::Identity answer;
  answer.set_id(questions[0].get_identity().id());
  answer.set_unit_serial("1");
  identity.answered(answer);
  EXPECT_EQ(told, std::vector<std::string>{"a1"});
  identity.answered(answer);  // once is enough
  EXPECT_EQ(told.size(), 1u);
  questions = got();
  ASSERT_EQ(questions.size(), 1u);
  answer.set_id(questions[0].get_identity().id());
  answer.set_unit_serial("2");
  identity.answered(answer);
  EXPECT_EQ(told, (std::vector<std::string>{"a1", "b2", "c2"}));
  EXPECT_TRUE(got().empty());
}

TEST_F(Services, AnIdentityThatDoesNotComeTimesOutOnceAndForAll) {
  IdentityClient identity(*loop, client, 20ms);
  bool done = false;
  int answers = 0;
  identity.ask([&](Result<scsi::Identity> answer) {
    ++answers;
    done = !answer && answer.error().cause == Cause::TimedOut;
  });
  run_until(done);
  control::Identity late;
  late.set_id(got().at(0).get_identity().id());
  identity.answered(late);
  EXPECT_EQ(answers, 1);
}

TEST_F(Services, ANewSupervisorIsAskedForTheIdentityForEverybodyWhoWaits) {
  IdentityClient identity(*loop, client);
  std::vector<std::string> told;
  const auto ask = [&](const std::string& who) {
    identity.ask([&told, who](Result<scsi::Identity> answer) { told.push_back(who + answer->unit_serial); });
  };
  identity.ask_again();  // nothing is under way
  EXPECT_TRUE(got().empty());
  ask("a");
  ask("b");
  const auto lost = got();
  ASSERT_EQ(lost.size(), 1u);
  identity.ask_again();
  const auto questions = got();
  ASSERT_EQ(questions.size(), 1u);
  control::Identity answer;
  answer.set_id(lost[0].get_identity().id());
  identity.answered(answer);  // by the dead one, and older than b's question
  EXPECT_TRUE(told.empty());
  answer.set_id(questions[0].get_identity().id());
  answer.set_unit_serial("1");
  identity.answered(answer);
  EXPECT_EQ(told, (std::vector<std::string>{"a1", "b1"}));
  EXPECT_TRUE(got().empty());
}

TEST_F(Services, APutAgainIdentityHasItsPatienceAnewAndEndsToo) {
  IdentityClient identity(*loop, client, 20ms);
  bool done = false;
  identity.ask([&](Result<scsi::Identity> answer) { done = !answer; });
  identity.ask_again();
  run_until(done);
  loop->wait(40ms);  // the first deadline is gone with its question
}

TEST_F(Services, CountersAreToldAgainToWhoeverHasNotHeardThem) {
  Counters counters(*loop, client);
  counters.tell_again();
  EXPECT_TRUE(got().empty());
  counters.count("reads", 3);
  counters.tell();
  EXPECT_EQ(got().size(), 1u);
  counters.tell_again();
  const auto messages = got();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].counters().counter(0).value(), 3u);
}

TEST_F(Services, AnIdentityThatCantBeAskedForIsAnsweredFromTheLoop) {
  IdentityClient identity(*loop, client);
  fill_socket();
  bool done = false;
  identity.ask([&](Result<scsi::Identity> answer) { done = !answer; });
  EXPECT_FALSE(done);
  run_until(done);
}

class OpenFile : public Services {
 protected:
  // The supervisor's answer to the next question.
  void answer(Message message, std::vector<int> fds = {}) {
    supervisor = std::thread([this, message, fds]() mutable {
      while (true) {
        auto packet = receive_packet(pair[1]);
        if (!packet) return;
        if (!*packet) {
          std::this_thread::yield();
          continue;
        }
        Message question;
        question.ParseFromString((*packet)->bytes);
        message.mutable_file_opened()->set_id(question.open_file().id());
        const std::string bytes = message.SerializeAsString();
        EXPECT_TRUE(send_packet(pair[1], std::as_bytes(std::span(bytes)), fds));
        return;
      }
    });
  }
  void TearDown() override { supervisor.join(); }

  std::thread supervisor;
  Journal journal{client};
  DeviceServices services{*loop, client, journal};
};

TEST_F(OpenFile, HandsOverTheDescriptor) {
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  answer({}, {null.get()});
  const auto fd = services.open_file({.path = "/dev/null"});
  ASSERT_TRUE(fd) << fd.error().what;
  EXPECT_TRUE(fd->valid());
}

TEST_F(OpenFile, AFailureKeepsItsNumberAndText) {
  Message message;
  message.mutable_file_opened()->mutable_failure()->set_sys_errno(EACCES);
  message.mutable_file_opened()->mutable_failure()->set_text("not within the allowed folders");
  answer(message);
  const auto fd = services.open_file({.path = "/etc/shadow"});
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().cause, Cause::Denied);
  EXPECT_EQ(fd.error().sys_errno, EACCES);
  EXPECT_EQ(fd.error().what, "not within the allowed folders");
}

TEST_F(OpenFile, SuccessWithoutADescriptorIsABreach) {
  answer({});
  const auto fd = services.open_file({.path = "/dev/null"});
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().cause, Cause::PeerBroken);
}

}  // namespace
}  // namespace bulkhead::host
