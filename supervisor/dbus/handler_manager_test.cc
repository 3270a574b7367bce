// RegisterHandler, by real processes' connections to a real bus.
#include "supervisor/dbus/handler_manager.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "supervisor/dbus/testing/bus_client.h"
#include "supervisor/dbus/testing/private_bus.h"
#include "supervisor/dbus/testing/service_fixture.h"

namespace bulkhead::supervisor {
namespace {

const std::string kName = bus::kServiceName;
const std::string kRoot = bus::kLegacyRoot;
const std::string kOwned = "org.kernel.TCMUService1.HandlerManager1.glfs";
const std::string kFileOnly =
    R"({"/org/kernel/TCMUService1/file": {"org.kernel.TCMUService1": {"ConfigDesc": <"/path[?options]">}}})";

class HandlerManagerTest : public ::testing::Test {
 protected:
  explicit HandlerManagerTest(BusPolicy policy = BusPolicy::Installed)
      : bus_(policy), service_(bus_.address(), std::chrono::milliseconds(300)), client_(bus_.address()) {
    service_.model.handler_list = two_handlers();
    service_.model.handler_list.pop_back();
    service_.start();
    EXPECT_TRUE(service_.wait_until_acquired());
  }
  std::string register_handler(BusClient& client, const std::string& subtype) {
    return client.call(kName, bus::kHandlerManagerPath, bus::kHandlerManagerInterface, "RegisterHandler",
                       "ss", subtype.c_str(), "volume@host/image");
  }
  std::string managed() {
    return client_.call(kName, kRoot, bus::kObjectManagerInterface, "GetManagedObjects");
  }

  PrivateBus bus_;
  ServiceFixture service_;
  BusClient client_;
};

// An external handler's process: answers CheckConfig as it is told, until it is destroyed.
class ExternalHandler {
 public:
  enum class Manner { Yes, Error, Garbage, Silence };
  ExternalHandler(const std::string& address, Manner manner) : manner_(manner), client_(address) {
    EXPECT_GE(client_.own(kOwned), 0);
    sd_bus_add_object(client_.bus(), nullptr, "/org/kernel/TCMUService1/HandlerManager1/glfs", &on_call,
                      this);
  }
  ~ExternalHandler() { stop(); }
  BusClient& client() { return client_; }
  void start() {
    thread_ = std::thread([this] {
      while (!ended_)
        if (sd_bus_process(client_.bus(), nullptr) == 0) sd_bus_wait(client_.bus(), 20'000);
    });
  }
  void stop() {
    ended_ = true;
    if (thread_.joinable()) thread_.join();
  }
  std::string asked_for;  // to be read after stop()

 private:
  static int on_call(sd_bus_message* call, void* self_pointer, sd_bus_error* error) noexcept {
    auto* self = static_cast<ExternalHandler*>(self_pointer);
    const char* config = nullptr;
    if (sd_bus_message_read(call, "s", &config) < 0) return 0;
    self->asked_for = config;
    switch (self->manner_) {
      case Manner::Yes:
        return sd_bus_reply_method_return(call, "bs", 1, "OK");
      case Manner::Error:
        return sd_bus_error_set(error, "org.example.Broken", "no volume");
      case Manner::Garbage:
        return sd_bus_reply_method_return(call, "u", 7u);
      case Manner::Silence:
        return 1;
    }
    return 0;
  }
  Manner manner_;
  BusClient client_;
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

TEST_F(HandlerManagerTest, TheOwnerOfTheNameIsRegisteredAndShownUntilItGoes) {
  client_.watch(
      "type='signal',path='/org/kernel/TCMUService1',interface='org.freedesktop.DBus.ObjectManager'");
  {
    BusClient handler(bus_.address());
    ASSERT_GE(handler.own(kOwned), 0);
    EXPECT_EQ(register_handler(handler, "glfs"), R"(true, "succeeded")");
    ASSERT_TRUE(client_.wait_for("InterfacesAdded"));
    EXPECT_NE(
        managed().find(
            R"("/org/kernel/TCMUService1/glfs": {"org.kernel.TCMUService1": {"ConfigDesc": <"volume@host/image">}})"),
        std::string::npos);
    EXPECT_EQ(client_.get(kName, "/org/kernel/TCMUDevices1/handlers/glfs", bus::kHandlerInterface, "BusName"),
              "\"" + handler.unique_name() + "\"");
  }
  ASSERT_TRUE(client_.wait_for("InterfacesRemoved"));
  EXPECT_EQ(client_.signals(),
            "InterfacesAdded /org/kernel/TCMUService1 \"/org/kernel/TCMUService1/glfs\", "
            "{\"org.kernel.TCMUService1\": {\"ConfigDesc\": <\"volume@host/image\">}}\n"
            "InterfacesRemoved /org/kernel/TCMUService1 \"/org/kernel/TCMUService1/glfs\", "
            "[\"org.kernel.TCMUService1\"]\n");
  EXPECT_EQ(managed(), kFileOnly);
}

TEST_F(HandlerManagerTest, GivingTheNameUpEndsTheRegistrationToo) {
  client_.watch("type='signal',path='/org/kernel/TCMUService1',member='InterfacesRemoved'");
  BusClient handler(bus_.address());
  ASSERT_GE(handler.own(kOwned), 0);
  register_handler(handler, "glfs");
  ASSERT_GE(handler.release(kOwned), 0);
  ASSERT_TRUE(client_.wait_for("glfs"));
  EXPECT_EQ(managed(), kFileOnly);
}

TEST_F(HandlerManagerTest, RegisteringTwiceIsFineAndRegisteringAgainAfterwardsWorks) {
  client_.watch("type='signal',path='/org/kernel/TCMUService1',member='InterfacesRemoved'");
  BusClient handler(bus_.address());
  for (int life = 0; life < 2; ++life) {
    ASSERT_GE(handler.own(kOwned), 0);
    EXPECT_EQ(register_handler(handler, "glfs"), R"(true, "succeeded")");
    EXPECT_EQ(register_handler(handler, "glfs"), R"(true, "succeeded")");
    ASSERT_GE(handler.release(kOwned), 0);
    ASSERT_TRUE(client_.wait_for("glfs"));
    client_.forget_signals();
  }
}

TEST_F(HandlerManagerTest, ANameWithoutOwnerIsRefusedAtOnce) {
  EXPECT_EQ(register_handler(client_, "glfs"),
            R"(false, "Cannot find handler bus name: org.kernel.TCMUService1.HandlerManager1.glfs")");
}

TEST_F(HandlerManagerTest, AnIllegalNameIsRefused) {
  for (const std::string subtype : {"", "a/b", "7up", "with space", "a-b", "HandlerManager1", "a.b"})
    EXPECT_EQ(register_handler(client_, subtype), R"(false, "failed to watch for DBus handler name")")
        << subtype;
  EXPECT_EQ(register_handler(client_, std::string(300, 'x')),
            R"(false, "failed to watch for DBus handler name")");
}

TEST_F(HandlerManagerTest, OnlyTheOwnerItselfMayRegister) {
  BusClient handler(bus_.address());
  ASSERT_GE(handler.own(kOwned), 0);
  EXPECT_EQ(register_handler(client_, "glfs"),
            "false, \"" + kOwned + " is owned by another connection than the caller's\"");
  EXPECT_EQ(managed(), kFileOnly);
}

TEST_F(HandlerManagerTest, ABuiltInHandlerIsNotReplaced) {
  BusClient handler(bus_.address());
  ASSERT_GE(handler.own("org.kernel.TCMUService1.HandlerManager1.file"), 0);
  EXPECT_EQ(register_handler(handler, "file"), R"(false, "there is a handler 'file' already")");
  EXPECT_EQ(managed(), kFileOnly);
}

TEST_F(HandlerManagerTest, ThePolicyKeepsOthersFromNamesAndFromRegistering) {
  as_nobody([this] {
    BusClient nobody(bus_.address());
    EXPECT_EQ(nobody.own(kOwned), -EACCES);
    EXPECT_EQ(nobody.own(bus::kServiceName), -EACCES);
    EXPECT_EQ(register_handler(nobody, "glfs").find("ERROR org.freedesktop.DBus.Error.AccessDenied"), 0u);
  });
}

class PermissiveBusTest : public HandlerManagerTest {
 protected:
  PermissiveBusTest() : HandlerManagerTest(BusPolicy::Permissive) {}
};

TEST_F(PermissiveBusTest, TheServiceItselfRefusesWhoIsNotRoot) {
  as_nobody([this] {
    BusClient nobody(bus_.address());
    ASSERT_GE(nobody.own(kOwned), 0);
    EXPECT_EQ(register_handler(nobody, "glfs"),
              "ERROR org.freedesktop.DBus.Error.AccessDenied: only root may register a handler");
  });
  EXPECT_EQ(managed(), kFileOnly);
}

class ForwardedCheckTest : public HandlerManagerTest {
 protected:
  std::string forwarded(ExternalHandler::Manner manner) {
    ExternalHandler handler(bus_.address(), manner);
    EXPECT_EQ(register_handler(handler.client(), "glfs"), R"(true, "succeeded")");
    handler.start();
    std::string answer = check();
    handler.stop();
    EXPECT_EQ(handler.asked_for, "glfs/vol@host/a");
    return answer;
  }
  std::string check() {
    return client_.call(kName, kRoot + "/glfs", kName, "CheckConfig", "s", "glfs/vol@host/a");
  }
};

TEST_F(ForwardedCheckTest, TheAnswerOfAnExternalHandlerComesBackUnchanged) {
  EXPECT_EQ(forwarded(ExternalHandler::Manner::Yes), R"(true, "OK")");
}

TEST_F(ForwardedCheckTest, ItsErrorBecomesTheMessage) {
  EXPECT_EQ(forwarded(ExternalHandler::Manner::Error),
            R"(false, "GDBus.Error:org.example.Broken: no volume")");
}

TEST_F(ForwardedCheckTest, AnAnswerOfTheWrongTypeIsFalse) {
  EXPECT_NE(forwarded(ExternalHandler::Manner::Garbage).find("something else than (b is_valid, s message)"),
            std::string::npos);
}

TEST_F(ForwardedCheckTest, SilenceEndsAtTheDeadlineAndHoldsNobodyUpMeanwhile) {
  ExternalHandler handler(bus_.address(), ExternalHandler::Manner::Silence);
  EXPECT_EQ(register_handler(handler.client(), "glfs"), R"(true, "succeeded")");
  handler.start();
  Message slow = client_.new_call(kName, kRoot + "/glfs", kName, "CheckConfig");
  sd_bus_message_append(slow.get(), "s", "glfs/vol@host/a");
  std::string slow_answer;
  Slot pending;
  sd_bus_call_async(
      client_.bus(), Out(pending), slow.get(),
      [](sd_bus_message* answer, void* text, sd_bus_error*) {
        *static_cast<std::string*>(text) = to_text(answer);
        return 0;
      },
      &slow_answer, 10'000'000);
  BusClient other(bus_.address());
  EXPECT_EQ(other.call(kName, kRoot + "/file", kName, "CheckConfig", "s", "file//x"), R"(true, "success")");
  EXPECT_EQ(slow_answer, "");
  ASSERT_TRUE(client_.wait([&](const std::string&) { return !slow_answer.empty(); }));
  EXPECT_EQ(slow_answer.find(R"(false, "GDBus.Error:org.freedesktop.DBus.Error.)"), 0u) << slow_answer;
}

TEST_F(ForwardedCheckTest, AHandlerThatDiesWhileAskedIsFalse) {
  auto handler = std::make_unique<ExternalHandler>(bus_.address(), ExternalHandler::Manner::Silence);
  EXPECT_EQ(register_handler(handler->client(), "glfs"), R"(true, "succeeded")");
  std::thread killer([&] { handler.reset(); });
  EXPECT_EQ(check().find("true"), std::string::npos);
  killer.join();
}

}  // namespace
}  // namespace bulkhead::supervisor
