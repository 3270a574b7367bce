#include "supervisor/dbus/legacy_service.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cerrno>
#include <utility>

#include "proto/bus_names.h"
#include "supervisor/dbus/ask.h"
#include "supervisor/dbus/text.h"

namespace bulkhead::supervisor {
namespace {

// The kernel takes 255 bytes and tcmu-runner 4095; more is nobody's config string.
constexpr std::size_t kLongestConfig = 4096;
// Each check may start a process, and everybody may ask: the crowd shall not keep root waiting.
constexpr int kMostChecksOfOthers = 16;

std::string object_path(const std::string& subtype) {
  return fmt::format("{}/{}", bus::kLegacyRoot, subtype);
}

// Clients send SUBTYPE/CONFIG. Without that prefix the whole is meant as the config: somebody typed it by
// hand.
std::string without_subtype(const std::string& subtype, const std::string& config) {
  std::string prefix = subtype + "/";
  return config.starts_with(prefix) ? config.substr(prefix.size()) : config;
}

}  // namespace

constexpr sd_bus_vtable LegacyService::kVtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD_WITH_NAMES("CheckConfig", "s", SD_BUS_PARAM(configstr), "bs",
                             SD_BUS_PARAM(is_valid) SD_BUS_PARAM(message), &LegacyService::on_check_config,
                             SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_PROPERTY("ConfigDesc", "s", &LegacyService::get_description, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_VTABLE_END,
};

Result<> LegacyService::attach(sd_bus* bus) {
  int r = sd_bus_add_object_manager(bus, Out(manager_), bus::kLegacyRoot);
  // Runs before sd-bus's own GetManagedObjects.
  if (r >= 0) r = sd_bus_add_object(bus, Out(root_), bus::kLegacyRoot, &LegacyService::on_root_message, this);
  if (r < 0) return fail_errno(-r, fmt::format("export {}", bus::kLegacyRoot));
  return {};
}

void LegacyService::detach() {
  objects_.clear();
  root_.reset();
  manager_.reset();
}

Result<> LegacyService::add(const HandlerReport& handler) {
  if (!exportable_subtype(handler.subtype))
    return fail(Cause::BadInput, EINVAL, fmt::format("'{}' can't be a subtype on D-Bus", handler.subtype));
  if (has(handler.subtype))
    return fail(Cause::Busy, EEXIST, fmt::format("there is a handler '{}' already", handler.subtype));
  auto object = std::make_unique<Object>(Object{this, handler, nullptr});
  std::string path = object_path(handler.subtype);
  int r = sd_bus_add_object_vtable(loop_.bus(), Out(object->exported), path.c_str(), bus::kLegacyInterface,
                                   kVtable, object.get());
  if (r < 0) return fail_errno(-r, fmt::format("export {}", path));
  objects_.emplace(handler.subtype, std::move(object));
  sd_bus_emit_interfaces_added(loop_.bus(), path.c_str(), bus::kLegacyInterface, nullptr);
  loop_.flush_soon();
  return {};
}

void LegacyService::remove(const std::string& subtype) {
  auto found = objects_.find(subtype);
  if (found == objects_.end()) return;
  sd_bus_emit_interfaces_removed(loop_.bus(), object_path(subtype).c_str(), bus::kLegacyInterface, nullptr);
  objects_.erase(found);
  loop_.flush_soon();
}

int LegacyService::get_description(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply,
                                   void* object, sd_bus_error*) noexcept {
  return sd_bus_message_append(reply, "s",
                               utf8(static_cast<Object*>(object)->handler.config_description).c_str());
}

// sd-bus would list HandlerManager1 too, whose path lies beneath, and add the standard interfaces to every
// object; tcmu-runner's answer (GLib's) has neither.
int LegacyService::on_root_message(sd_bus_message* call, void* service, sd_bus_error*) noexcept {
  if (sd_bus_message_is_method_call(call, bus::kObjectManagerInterface, "GetManagedObjects") <= 0) return 0;
  if (sd_bus_message_has_signature(call, "") == 0) return 0;
  return static_cast<LegacyService*>(service)->reply_managed_objects(call);
}

int LegacyService::reply_managed_objects(sd_bus_message* call) const {
  Message reply;
  int r = sd_bus_message_new_method_return(call, Out(reply));
  if (r >= 0) r = sd_bus_message_open_container(reply.get(), 'a', "{oa{sa{sv}}}");
  for (const auto& [subtype, object] : objects_) {
    if (r < 0) return r;
    r = sd_bus_message_append(reply.get(), "{oa{sa{sv}}}", object_path(subtype).c_str(), 1,
                              bus::kLegacyInterface, 1, "ConfigDesc", "s",
                              utf8(object->handler.config_description).c_str());
  }
  if (r >= 0) r = sd_bus_message_close_container(reply.get());
  if (r >= 0) r = sd_bus_send(nullptr, reply.get(), nullptr);
  return r < 0 ? r : 1;
}

int LegacyService::on_check_config(sd_bus_message* call, void* object, sd_bus_error*) noexcept {
  const auto* self = static_cast<Object*>(object);
  const char* config = nullptr;
  int r = sd_bus_message_read(call, "s", &config);
  if (r < 0) return r;
  LegacyService* service = self->service;
  boost::asio::co_spawn(service->loop_.io(), service->check(keep(call), self->handler, config),
                        boost::asio::detached);
  return 1;
}

boost::asio::awaitable<void> LegacyService::check(Message call, HandlerReport handler, std::string config) {
  auto work = judge(call, std::move(handler), std::move(config));
  ConfigVerdict verdict = co_await std::move(work);
  // Fails only when the connection has ended, and then nobody waits.
  sd_bus_reply_method_return(call.get(), "bs", int{verdict.valid}, utf8(verdict.message).c_str());
  loop_.flush_soon();
}

boost::asio::awaitable<ConfigVerdict> LegacyService::judge(const Message& call, HandlerReport handler,
                                                           std::string config) {
  if (config.size() > kLongestConfig)
    co_return ConfigVerdict{
        false, fmt::format("the config string has {} bytes; at most {} are possible: use a shorter path, for "
                           "instance by a symbolic link",
                           config.size(), kLongestConfig)};
  if (!handler.problem.empty()) co_return ConfigVerdict{false, handler.problem};
  auto question = uid_of_sender(loop_, call);
  Result<uid_t> uid = co_await std::move(question);
  CallerRights rights = uid && *uid == 0 ? CallerRights::Root : CallerRights::Anyone;
  bool limited = rights == CallerRights::Anyone;
  if (limited && checks_of_others_ >= kMostChecksOfOthers)
    co_return ConfigVerdict{false, "too many config strings are being checked now; try again"};
  checks_of_others_ += int{limited};
  auto work = handler.bus_name.empty()
                  ? model_.check_config(handler.subtype, without_subtype(handler.subtype, config), rights)
                  : judge_by_owner(handler, config);
  ConfigVerdict verdict = co_await std::move(work);
  checks_of_others_ -= int{limited};
  co_return verdict;
}

// An external handler gets what the client sent, prefix included, and its answer goes back unchanged.
boost::asio::awaitable<ConfigVerdict> LegacyService::judge_by_owner(HandlerReport handler,
                                                                    std::string config) {
  ConfigVerdict verdict;
  std::string path = fmt::format("{}/{}", bus::kHandlerManagerPath, handler.subtype);
  Message call;
  int r = loop_.bus() == nullptr
              ? -ENOTCONN
              : sd_bus_message_new_method_call(loop_.bus(), Out(call), handler.bus_name.c_str(), path.c_str(),
                                               bus::kLegacyInterface, "CheckConfig");
  if (r >= 0) r = sd_bus_message_append(call.get(), "s", config.c_str());
  if (r < 0) {
    verdict.message = system_error(-r, "ask the handler's process").what;
    co_return verdict;
  }
  auto question = ask(loop_, std::move(call), forward_deadline_);
  Result<Message> answer = co_await std::move(question);
  int valid = 0;
  const char* message = nullptr;
  if (!answer) {
    verdict.message = answer.error().what;
  } else if (sd_bus_message_is_method_error(answer->get(), nullptr) != 0) {
    verdict.message = error_text(*answer);
  } else if (sd_bus_message_read(answer->get(), "bs", &valid, &message) < 0) {
    verdict.message = fmt::format("{} answered CheckConfig with something else than (b is_valid, s message)",
                                  handler.bus_name);
  } else {
    verdict = {valid != 0, message};
  }
  co_return verdict;
}

}  // namespace bulkhead::supervisor
