#include "handler-host/runtime/control_client.h"

#include <gmock/gmock.h>
#include <sys/socket.h>

#include <chrono>
#include <span>
#include <string>
#include <thread>

#include "base/control_socket.h"

namespace bulkhead::host {
namespace {

using control::Message;
using namespace std::chrono_literals;

class Control : public ::testing::Test {
 protected:
  Control() : pair(std::move(*make_control_pair())), client(std::move(pair[0])) {}

  void supervisor_sends(const Message& message) const {
    const std::string bytes = message.SerializeAsString();
    ASSERT_TRUE(send_packet(pair[1], std::as_bytes(std::span(bytes))));
  }
  [[nodiscard]] static Message file_opened(std::uint64_t id) {
    Message message;
    message.mutable_file_opened()->set_id(id);
    return message;
  }
  [[nodiscard]] static Message open_file(std::uint64_t id) {
    Message message;
    message.mutable_open_file()->set_id(id);
    message.mutable_open_file()->set_path("/srv/a.img");
    return message;
  }
  [[nodiscard]] static Message adopt(std::uint64_t id) {
    Message message;
    message.mutable_adopt()->set_id(id);
    return message;
  }
  // The number of times that file `id` has been asked for.
  [[nodiscard]] int asked(std::uint64_t id) const {
    int times = 0;
    while (auto packet = *receive_packet(pair[1])) {
      Message message;
      EXPECT_TRUE(message.ParseFromString(packet->bytes));
      times += message.open_file().id() == id ? 1 : 0;
    }
    return times;
  }
  [[nodiscard]] static Message resize(std::uint64_t id) {
    Message message;
    message.mutable_resize()->set_id(id);
    message.mutable_resize()->set_size_bytes(1);
    return message;
  }
  [[nodiscard]] static Message line() {
    Message message;
    message.mutable_log()->set_level(6);
    message.mutable_log()->set_text(std::string(1000, 'x'));
    return message;
  }

  std::array<UniqueFd, 2> pair;
  ControlClient client;
};

TEST_F(Control, WhatMayGetLostNeverWaits) {
  int sent = 0;
  while (client.try_send(line())) ASSERT_LT(++sent, 100000);
  EXPECT_GT(sent, 10);
}

TEST_F(Control, WhatMustArriveWaitsForRoom) {
  while (client.try_send(line())) {
  }
  std::thread supervisor([this] {
    // So that the sender most likely waits already; if it does not yet, the test holds all the same.
    std::this_thread::sleep_for(50ms);
    while (*receive_packet(pair[1])) {
    }
  });
  EXPECT_TRUE(client.send(resize(1)));
  supervisor.join();
}

TEST_F(Control, MessagesThatComeWhileAFileIsAwaitedAreSetAsideInOrder) {
  supervisor_sends(resize(1));
  supervisor_sends(file_opened(6));  // of a question given up
  supervisor_sends(resize(2));
  supervisor_sends(file_opened(7));
  supervisor_sends(resize(3));
  ASSERT_TRUE(client.ask_file(open_file(7), 1s));
  EXPECT_EQ(asked(7), 1);
  EXPECT_TRUE(client.has_set_aside());
  EXPECT_EQ((*client.receive())->message.resize().id(), 1u);
  EXPECT_EQ((*client.receive())->message.file_opened().id(), 6u);
  EXPECT_EQ((*client.receive())->message.resize().id(), 2u);
  EXPECT_FALSE(client.has_set_aside());
  EXPECT_EQ((*client.receive())->message.resize().id(), 3u);
  EXPECT_FALSE(*client.receive());
}

TEST_F(Control, ANewSupervisorIsAskedAgainForTheFileAndItsAdoptIsNotLost) {
  supervisor_sends(resize(1));
  supervisor_sends(adopt(9));
  supervisor_sends(file_opened(7));
  ASSERT_TRUE(client.ask_file(open_file(7), 1s));
  EXPECT_EQ(asked(7), 2);
  EXPECT_EQ((*client.receive())->message.resize().id(), 1u);
  EXPECT_EQ((*client.receive())->message.adopt().id(), 9u);
}

TEST_F(Control, AnAnswerThatDoesNotComeTimesOut) {
  supervisor_sends(resize(1));
  const auto answer = client.ask_file(open_file(7), 20ms);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().cause, Cause::TimedOut);
  const auto message = client.receive_within(20ms);
  ASSERT_TRUE(message) << "what was set aside is still there";
  EXPECT_FALSE(client.receive_within(20ms));
}

TEST_F(Control, ASupervisorThatIsGoneIsToldFromOneThatErrs) {
  ASSERT_TRUE(send_packet(pair[1], std::as_bytes(std::span("\xff\xff nonsense", 11))));
  auto received = client.receive();
  ASSERT_FALSE(received);
  EXPECT_FALSE(supervisor_gone(received.error()));
  EXPECT_EQ(received.error().cause, Cause::PeerBroken);

  pair[1].reset();
  received = client.receive();
  ASSERT_FALSE(received);
  EXPECT_TRUE(supervisor_gone(received.error()));
  EXPECT_TRUE(supervisor_gone(client.send(resize(1)).error()));
}

TEST_F(Control, ASupervisorGoneWithMessagesUnreadIsGoneToo) {
  ASSERT_TRUE(client.send(resize(1)));
  pair[1].reset();
  const auto received = client.receive();
  ASSERT_FALSE(received);
  EXPECT_TRUE(supervisor_gone(received.error())) << received.error().what;
}

}  // namespace
}  // namespace bulkhead::host
