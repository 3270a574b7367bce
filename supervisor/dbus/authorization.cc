#include "supervisor/dbus/authorization.h"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include "base/log.h"
#include "supervisor/dbus/ask.h"
#include "supervisor/dbus/text.h"

namespace bulkhead::supervisor {
namespace {

constexpr const char* kPolkit = "org.freedesktop.PolicyKit1";
constexpr const char* kAuthority = "/org/freedesktop/PolicyKit1/Authority";
constexpr const char* kAuthorityInterface = "org.freedesktop.PolicyKit1.Authority";
// Each may be a dialog on somebody's screen. One user can't use them all up.
constexpr unsigned kAtOnce = 16, kAtOnceOfOne = 4;
constexpr std::uint32_t kAllowUserInteraction = 1;  // polkit's CheckAuthorizationFlags

std::string small(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

Result<Message> new_question(sd_bus* bus, const char* sender, const std::string& action,
                             const std::string& device, std::uint32_t flags, const std::string& name) {
  Message question;
  int r = bus == nullptr ? -ENOTCONN
                         : sd_bus_message_new_method_call(bus, Out(question), kPolkit, kAuthority,
                                                          kAuthorityInterface, "CheckAuthorization");
  if (r >= 0)
    r = sd_bus_message_append(question.get(), "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s", sender,
                              action.c_str(), 1, "device", device.c_str(), flags, name.c_str());
  if (r < 0) return fail_errno(-r, "make a question for polkit");
  return question;
}

}  // namespace

// A question under way, until its coroutine ends.
class Authorization::Asking {
 public:
  Asking(std::shared_ptr<UnderWay> among, uid_t uid) : among_(std::move(among)), uid_(uid) {
    ++among_->all;
    ++among_->of[uid_];
  }
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;
  ~Asking() {
    --among_->all;
    if (--among_->of[uid_] == 0) among_->of.erase(uid_);
  }

 private:
  const std::shared_ptr<UnderWay> among_;
  const uid_t uid_;
};

boost::asio::awaitable<Result<>> Authorization::check(Message call, std::string device) {
  auto caller = uid_of_sender(loop_, call);
  const Result<uid_t> uid = co_await std::move(caller);
  if (uid && *uid == 0) co_return Result<>();
  const std::string member = sd_bus_message_get_member(call.get());
  const std::string refusal = fmt::format("{} of {} is for root only", member, device);
  if (!uid) co_return fail(Cause::Denied, EACCES, refusal);
  const auto own = under_way_->of.find(*uid);
  if (under_way_->all >= kAtOnce || (own != under_way_->of.end() && own->second >= kAtOnceOfOne))
    co_return fail(Cause::Exhausted, EBUSY, "too many earlier calls wait for polkit; try again");
  const Asking counted(under_way_, *uid);
  auto question = ask_polkit(call, "org.kernel.TCMUService1." + small(member), std::move(device));
  Result<> allowed = co_await std::move(question);
  if (!allowed) allowed.error().what = refusal + allowed.error().what;
  co_return allowed;
}

// Errors: what is to be said after "is for root only".
boost::asio::awaitable<Result<>> Authorization::ask_polkit(const Message& call, std::string action,
                                                           std::string device) {
  const bool interactive = sd_bus_message_get_allow_interactive_authorization(call.get()) > 0;
  const std::string name = fmt::format("tcmu-{}", ++questions_);
  auto question = new_question(loop_.bus(), sd_bus_message_get_sender(call.get()), action, utf8(device),
                               interactive ? kAllowUserInteraction : 0, name);
  if (!question) co_return fail(Cause::Denied, EACCES, "");
  auto asked = ask(loop_, std::move(*question), deadline_);
  const Result<Message> answer = co_await std::move(asked);
  if (!answer) co_return fail(Cause::Denied, EACCES, "");
  if (const sd_bus_error* error = sd_bus_message_get_error(answer->get())) {
    // No such service: there is nobody to ask.
    if (sd_bus_error_has_names(error, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER) != 0)
      co_return fail(Cause::Denied, EACCES, "");
    cancel(name);
    if (auto missed = trouble_.admit())
      log(Level::Warning, {},
          fmt::format("polkit does not answer to {}: {} ({} like this before were not told)", action,
                      error_text(*answer), *missed));
    co_return fail(Cause::Denied, EACCES,
                   fmt::format(", as polkit does not answer: {}", error_text(*answer)));
  }
  int authorized = 0, challenge = 0;
  int r = sd_bus_message_enter_container(answer->get(), 'r', "bba{ss}");
  if (r > 0) r = sd_bus_message_read(answer->get(), "bb", &authorized, &challenge);
  if (r > 0 && authorized != 0) co_return Result<>();
  co_return fail(
      Cause::Denied, EACCES,
      fmt::format(", and those whom polkit allows {}{}", action,
                  r > 0 && challenge != 0 ? ", which takes a password that could not be asked for" : ""));
}

// A dialog that nobody has answered in time goes; whether it does is of no interest any more.
void Authorization::cancel(const std::string& question) {
  Message call;
  int r = loop_.bus() == nullptr
              ? -ENOTCONN
              : sd_bus_message_new_method_call(loop_.bus(), Out(call), kPolkit, kAuthority,
                                               kAuthorityInterface, "CancelCheckAuthorization");
  if (r >= 0) r = sd_bus_message_append(call.get(), "s", question.c_str());
  if (r >= 0) r = sd_bus_message_set_expect_reply(call.get(), 0);
  if (r >= 0) r = sd_bus_send(loop_.bus(), call.get(), nullptr);
  if (r >= 0) loop_.flush_soon();
}

}  // namespace bulkhead::supervisor
