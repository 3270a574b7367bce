#include "supervisor/dbus/handler_manager.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cerrno>
#include <string_view>
#include <utility>

#include "proto/bus_names.h"
#include "supervisor/dbus/ask.h"
#include "supervisor/dbus/text.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::size_t kLongestDescription = 4096;
constexpr std::size_t kMostHandlers = 64;

// One match for every SUBTYPE, in force before the first registration can arrive: no owner vanishes unseen.
constexpr const char* kOwnerMatch =
    "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/"
    "DBus',interface='org.freedesktop.DBus',"
    "member='NameOwnerChanged',arg0namespace='org.kernel.TCMUService1.HandlerManager1'";

std::string owned_name(const std::string& subtype) {
  return fmt::format("{}.{}", bus::kHandlerManagerInterface, subtype);
}

}  // namespace

constexpr sd_bus_vtable HandlerManager::kVtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD_WITH_NAMES("RegisterHandler", "ss", SD_BUS_PARAM(subtype) SD_BUS_PARAM(cfgstr_desc), "bs",
                             SD_BUS_PARAM(succeeded) SD_BUS_PARAM(message), &HandlerManager::on_register,
                             SD_BUS_VTABLE_UNPRIVILEGED),  // serve() checks the caller, without blocking
    SD_BUS_VTABLE_END,
};

Result<> HandlerManager::attach(sd_bus* bus) {
  int r = sd_bus_add_object_vtable(bus, Out(exported_), bus::kHandlerManagerPath,
                                   bus::kHandlerManagerInterface, kVtable, this);
  if (r >= 0)
    r = sd_bus_add_match_async(bus, Out(watch_), kOwnerMatch, &HandlerManager::on_owner_changed, nullptr,
                               this);
  if (r < 0) return fail_errno(-r, fmt::format("export {}", bus::kHandlerManagerPath));
  return {};
}

void HandlerManager::detach() {
  exported_.reset();
  watch_.reset();
  claims_.clear();
  owners_.clear();
}

int HandlerManager::on_register(sd_bus_message* call, void* manager, sd_bus_error*) noexcept {
  const char* subtype = nullptr;
  const char* description = nullptr;
  int r = sd_bus_message_read(call, "ss", &subtype, &description);
  if (r < 0) return r;
  auto* self = static_cast<HandlerManager*>(manager);
  boost::asio::co_spawn(self->loop_.io(), self->serve(keep(call), subtype, description),
                        boost::asio::detached);
  return 1;
}

boost::asio::awaitable<void> HandlerManager::serve(Message call, std::string subtype,
                                                   std::string description) {
  auto caller = uid_of_sender(loop_, call);
  Result<uid_t> uid = co_await std::move(caller);
  if (!uid || *uid != 0) {
    sd_bus_reply_method_errorf(call.get(), SD_BUS_ERROR_ACCESS_DENIED, "only root may register a handler");
  } else {
    auto work = register_handler(call, std::move(subtype), std::move(description));
    Result<> outcome = co_await std::move(work);
    std::string message = outcome ? "succeeded" : utf8(outcome.error().what);
    sd_bus_reply_method_return(call.get(), "bs", int{outcome.has_value()}, message.c_str());
  }
  loop_.flush_soon();
}

boost::asio::awaitable<Result<>> HandlerManager::register_handler(const Message& call, std::string subtype,
                                                                  std::string description) {
  std::string name = owned_name(subtype);
  if (!exportable_subtype(subtype) || sd_bus_service_name_is_valid(name.c_str()) == 0)
    co_return fail(Cause::BadInput, EINVAL, "failed to watch for DBus handler name");
  if (description.size() > kLongestDescription)
    co_return fail(Cause::BadInput, EINVAL,
                   fmt::format("a description has at most {} bytes", kLongestDescription));
  if (owners_.size() >= kMostHandlers)
    co_return fail(Cause::Exhausted, ENOSPC,
                   fmt::format("{} handlers are registered already", kMostHandlers));
  const char* sent_by = sd_bus_message_get_sender(call.get());
  std::string sender = sent_by != nullptr ? sent_by : "";
  claims_.emplace(subtype, sender);
  auto question = ask_bus_daemon(loop_, "GetNameOwner", name);
  Result<Message> answer = co_await std::move(question);
  bool unchanged = claims_.erase({subtype, sender}) != 0;
  if (!answer) co_return std::unexpected(std::move(answer.error()));
  const char* owner = nullptr;
  bool no_owner = sd_bus_message_is_method_error(answer->get(), nullptr) != 0;
  if (no_owner || sd_bus_message_read(answer->get(), "s", &owner) < 0)
    co_return fail(Cause::NotFound, ENOENT, fmt::format("Cannot find handler bus name: {}", name));
  if (sender != owner)
    co_return fail(Cause::Denied, EACCES,
                   fmt::format("{} is owned by another connection than the caller's", name));

  auto known = owners_.find(subtype);
  if (known != owners_.end() && known->second == owner) co_return Result<>{};  // called again: nothing to do
  if (!unchanged)
    co_return fail(Cause::NotFound, ENOENT, fmt::format("Cannot find handler bus name: {}", name));
  HandlerReport handler;
  handler.subtype = subtype;
  handler.name = subtype;
  handler.config_description = std::move(description);
  handler.bus_name = owner;
  Result<> registered = listener_.handler_registered(handler);
  if (registered) owners_[subtype] = owner;
  co_return registered;
}

int HandlerManager::on_owner_changed(sd_bus_message* signal, void* manager, sd_bus_error*) noexcept {
  const char* name = nullptr;
  const char* before = nullptr;
  const char* after = nullptr;
  if (sd_bus_message_read(signal, "sss", &name, &before, &after) < 0) return 0;
  auto* self = static_cast<HandlerManager*>(manager);
  std::string prefix = owned_name("");
  if (!std::string_view(name).starts_with(prefix)) return 0;
  std::string subtype = std::string(name).substr(prefix.size());
  std::erase_if(self->claims_,
                [&](const auto& claim) { return claim.first == subtype && claim.second != after; });
  auto known = self->owners_.find(subtype);
  if (known == self->owners_.end() || known->second == after) return 0;
  self->owners_.erase(known);
  self->listener_.handler_vanished(subtype);
  return 0;
}

}  // namespace bulkhead::supervisor
