// Who may change something, through a real bus with a polkit that the test plays.
#include "supervisor/dbus/authorization.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <future>
#include <sstream>

#include "supervisor/dbus/testing/bus_client.h"
#include "supervisor/dbus/testing/fake_polkit.h"
#include "supervisor/dbus/testing/private_bus.h"
#include "supervisor/dbus/testing/service_fixture.h"

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const std::string kD0 = "/org/kernel/TCMUDevices1/user_1/d0";
const std::string kDenied = "ERROR org.freedesktop.DBus.Error.AccessDenied: ";

class AuthorizationTest : public ::testing::Test {
 protected:
  explicit AuthorizationTest(std::chrono::microseconds deadline = 60s)
      : bus_(BusPolicy::WithPolkit), service_(bus_.address(), 24s, deadline) {
    service_.model.device_map[{"user_1", "d0"}] = busy_device("user_1", "d0");
    service_.start();
    EXPECT_TRUE(service_.wait_until_acquired());
  }
  // What a user who is not root gets for an answer, sooner or later.
  std::future<std::string> nobody_calls(const std::string& method, bool interactive = false) {
    return std::async(std::launch::async, [this, method, interactive] {
      std::string answer;
      as_nobody([&] {
        BusClient nobody(bus_.address());
        const Message call = nobody.new_call(bus::kServiceName, kD0, bus::kDeviceInterface, method);
        if (method == "SetLimits")
          sd_bus_message_append(call.get(), "tt", std::uint64_t{7}, std::uint64_t{0});
        sd_bus_message_set_allow_interactive_authorization(call.get(), int{interactive});
        answer = nobody.send(call);
      });
      return answer;
    });
  }
  std::vector<std::string> model_calls() {
    return service_.ask<std::vector<std::string>>([this] { return service_.model.calls; });
  }

  PrivateBus bus_;
  ServiceFixture service_;
};

TEST_F(AuthorizationTest, WhomPolkitAllowsMayDoIt) {
  FakePolkit polkit(bus_.address());
  auto answer = nobody_calls("Restart");
  ASSERT_TRUE(polkit.wait_for_questions(1));
  EXPECT_THAT(polkit.questions()[0],
              AllOf(StartsWith("(\"system-bus-name\", {\"name\": <\":1."),
                    HasSubstr("\"org.kernel.TCMUService1.restart\", {\"device\": \"user_1/d0\"}, 0, ")));
  EXPECT_THAT(model_calls(), IsEmpty()) << "before polkit has answered";
  polkit.answer(true);
  EXPECT_EQ(answer.get(), "");
  EXPECT_THAT(model_calls(), ElementsAre("restart user_1/d0"));
}

TEST_F(AuthorizationTest, EveryMethodHasItsActionInThePolicyThatIsInstalled) {
  std::ostringstream policy;
  policy << std::ifstream("dbus-policy/org.kernel.TCMUService1.policy").rdbuf();
  FakePolkit polkit(bus_.address());
  std::size_t asked = 0;
  for (const char* method : {"Restart", "Hold", "Resume", "SetLimits", "ResetLimits"}) {
    auto answer = nobody_calls(method);
    ASSERT_TRUE(polkit.wait_for_questions(++asked));
    const std::string question = polkit.questions().back();
    const auto begin = question.find("\"org.kernel.TCMUService1."), end = question.find('"', begin + 1);
    EXPECT_THAT(policy.str(), HasSubstr("<action id=" + question.substr(begin, end + 1 - begin) + ">"));
    polkit.answer(true);
    EXPECT_EQ(answer.get(), "");
  }
  EXPECT_THAT(model_calls(), ElementsAre("restart user_1/d0", "hold user_1/d0", "resume user_1/d0",
                                         "limit to 7 and 0 user_1/d0", "reset limits of user_1/d0"));
}

TEST_F(AuthorizationTest, SomebodyIsAskedForAPasswordOnlyIfTheCallerAllowsThat) {
  FakePolkit polkit(bus_.address());
  auto answer = nobody_calls("Hold", true);
  ASSERT_TRUE(polkit.wait_for_questions(1));
  EXPECT_THAT(polkit.questions()[0], HasSubstr("{\"device\": \"user_1/d0\"}, 1, "));
  polkit.answer(true);
  EXPECT_EQ(answer.get(), "");
}

TEST_F(AuthorizationTest, WhomPolkitRefusesMayNot) {
  FakePolkit polkit(bus_.address());
  auto refused = nobody_calls("Restart");
  ASSERT_TRUE(polkit.wait_for_questions(1));
  polkit.answer(false);
  EXPECT_EQ(refused.get(), kDenied +
                               "Restart of user_1/d0 is for root only, and those whom polkit allows "
                               "org.kernel.TCMUService1.restart");
  auto challenged = nobody_calls("Restart");
  ASSERT_TRUE(polkit.wait_for_questions(2));
  polkit.answer(false, true);
  EXPECT_THAT(challenged.get(), AllOf(StartsWith(kDenied), HasSubstr("takes a password")));
  auto confused = nobody_calls("Restart");
  ASSERT_TRUE(polkit.wait_for_questions(3));
  polkit.answer_nonsense();
  EXPECT_THAT(confused.get(), StartsWith(kDenied));
  EXPECT_THAT(model_calls(), IsEmpty());
}

TEST_F(AuthorizationTest, WithoutPolkitRootAloneMay) {
  EXPECT_EQ(nobody_calls("Restart", true).get(), kDenied + "Restart of user_1/d0 is for root only");
  BusClient root(bus_.address());
  EXPECT_EQ(root.call(bus::kServiceName, kD0, bus::kDeviceInterface, "Restart"), "");
  EXPECT_THAT(model_calls(), ElementsAre("restart user_1/d0"));
}

TEST_F(AuthorizationTest, RootIsNotAskedAbout) {
  FakePolkit polkit(bus_.address());
  BusClient root(bus_.address());
  EXPECT_EQ(root.call(bus::kServiceName, kD0, bus::kDeviceInterface, "Hold"), "");
  EXPECT_THAT(polkit.questions(), IsEmpty());
}

TEST_F(AuthorizationTest, FloodOfOneUserStartsOnlyAFewQuestionsAndKeepsNobodyElseWaiting) {
  FakePolkit polkit(bus_.address());
  as_nobody([this] {
    BusClient nobody(bus_.address());
    for (int i = 0; i < 4; ++i) {
      const Message call = nobody.new_call(bus::kServiceName, kD0, bus::kDeviceInterface, "Restart");
      ASSERT_GE(sd_bus_send(nobody.bus(), call.get(), nullptr), 0);
    }
    EXPECT_THAT(nobody.call(bus::kServiceName, kD0, bus::kDeviceInterface, "Restart"),
                StartsWith("ERROR org.freedesktop.DBus.Error.LimitsExceeded: "));
  });
  ASSERT_TRUE(polkit.wait_for_questions(4));
  BusClient root(bus_.address());
  EXPECT_EQ(root.call(bus::kServiceName, kD0, bus::kDeviceInterface, "Hold"), "");
  for (int i = 0; i < 4; ++i) polkit.answer(false);
  // Answers come in order: this call finds room.
  root.call(bus::kServiceName, kD0, "org.freedesktop.DBus.Peer", "Ping");
  auto later = nobody_calls("Restart");
  ASSERT_TRUE(polkit.wait_for_questions(5));
  EXPECT_EQ(polkit.questions().size(), 5u);
  polkit.answer(true);
  EXPECT_EQ(later.get(), "");
  EXPECT_THAT(model_calls(), ElementsAre("hold user_1/d0", "restart user_1/d0"));
}

class ImpatientAuthorization : public AuthorizationTest {
 protected:
  ImpatientAuthorization() : AuthorizationTest(300ms) {}
};

TEST_F(ImpatientAuthorization, PolkitThatDoesNotAnswerRefusesAndItsDialogGoes) {
  FakePolkit polkit(bus_.address());
  auto answer = nobody_calls("Restart");
  ASSERT_TRUE(polkit.wait_for_questions(1));
  EXPECT_THAT(answer.get(), AllOf(StartsWith(kDenied + "Restart of user_1/d0 is for root only, as polkit")));
  ASSERT_TRUE(polkit.wait_for_cancels(1));
  EXPECT_THAT(polkit.questions()[0], HasSubstr(", " + polkit.cancels()[0]));
  polkit.answer(true);  // too late
  BusClient root(bus_.address());
  root.call(bus::kServiceName, kD0, "org.freedesktop.DBus.Peer", "Ping");
  EXPECT_THAT(model_calls(), IsEmpty());
}

}  // namespace
}  // namespace bulkhead::supervisor
