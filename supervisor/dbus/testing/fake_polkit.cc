#include "supervisor/dbus/testing/fake_polkit.h"

#include <cerrno>
#include <stdexcept>
#include <utility>

namespace bulkhead::supervisor {

FakePolkit::FakePolkit(const std::string& address) : client_(address) {
  if (sd_bus_add_object(client_.bus(), Out(exported_), "/org/freedesktop/PolicyKit1/Authority", on_call,
                        this) < 0 ||
      client_.own("org.freedesktop.PolicyKit1") < 0)
    throw std::runtime_error("polkit can't be played on this bus");
}

bool FakePolkit::wait_for_questions(std::size_t count) {
  return client_.wait([&](const std::string&) { return questions_.size() >= count; });
}

bool FakePolkit::wait_for_cancels(std::size_t count) {
  return client_.wait([&](const std::string&) { return cancels_.size() >= count; });
}

void FakePolkit::answer(bool authorized, bool challenge) {
  const Message question = std::move(waiting_.front());
  waiting_.pop_front();
  sd_bus_reply_method_return(question.get(), "(bba{ss})", int{authorized}, int{challenge}, 0);
  sd_bus_flush(client_.bus());
}

void FakePolkit::answer_nonsense() {
  const Message question = std::move(waiting_.front());
  waiting_.pop_front();
  sd_bus_reply_method_return(question.get(), "s", "yes");
  sd_bus_flush(client_.bus());
}

// No vtable: sd-bus would not let us answer with what does not fit it.
int FakePolkit::on_call(sd_bus_message* message, void* polkit, sd_bus_error*) noexcept {
  constexpr const char* kInterface = "org.freedesktop.PolicyKit1.Authority";
  auto* self = static_cast<FakePolkit*>(polkit);
  if (sd_bus_message_is_method_call(message, kInterface, "CheckAuthorization") > 0) {
    if (sd_bus_message_has_signature(message, "(sa{sv})sa{ss}us") <= 0) return -EINVAL;
    self->questions_.push_back(to_text(message));
    self->waiting_.push_back(keep(message));
    return 1;
  }
  if (sd_bus_message_is_method_call(message, kInterface, "CancelCheckAuthorization") > 0) {
    self->cancels_.push_back(to_text(message));
    return 1;
  }
  return 0;
}

}  // namespace bulkhead::supervisor
