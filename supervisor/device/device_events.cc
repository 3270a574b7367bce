// What the pump tells of a device. Called on the pump's thread, all of these: they only post, the control
// thread does the rest.
#include <fmt/format.h>

#include <boost/asio/post.hpp>

#include "base/log.h"
#include "supervisor/device/device.h"
#include "supervisor/pump/cdb_text.h"

namespace bulkhead::supervisor {

namespace asio = boost::asio;

void Device::host_broke_rule(std::string_view rule) {
  asio::post(context_.io, [self = weak_from_this(), text = std::string(rule)] {
    const auto device = self.lock();
    if (!device || !device->host_) return;
    auto fields = device->log_fields();
    fields.message_id = kMsgHostLied;
    log(Level::Error, fields, fmt::format("handler-host broke the channel's rules: {}; it is ended", text));
    device->doom_host(fmt::format("broke the channel's rules: {}", text));
  });
}

// Unregistered without an event that reached us.
void Device::device_gone() {
  asio::post(context_.io, [self = weak_from_this()] {
    if (const auto device = self.lock()) device->leave(Leave::Removed);
  });
}

void Device::ring_broken(const Error& error) {
  asio::post(context_.io, [self = weak_from_this(), text = error.what] {
    const auto device = self.lock();
    if (!device) return;
    device->state_reason_ = fmt::format("the kernel's ring can't be read: {}", text);
    auto fields = device->log_fields();
    fields.message_id = kMsgRingBroken;
    log(Level::Critical, fields, device->state_reason_ + "; it is reset and opened anew, initiators retry");
    device->context_.observer.event(device->key_, "ring-broken", text);
    device->changed();
    device->ring_broken_ = true;
    device->wake_.notify();
  });
}

void Device::took(const InFlightCommand& command) {
  log(Level::DebugScsi, {.device = label_, .subtype = handler_.manifest.subtype()}, CdbText(command).view());
}

void Device::poisoned(const InFlightCommand& command) {
  const std::string cdb(CdbText(command).view());
  asio::post(context_.io, [self = weak_from_this(), cdb, deaths = command.progress.replays] {
    const auto device = self.lock();
    if (!device) return;
    const auto text =
        fmt::format("command {} ended {} hosts and is answered with HARDWARE ERROR", cdb, deaths);
    auto fields = device->log_fields();
    fields.message_id = kMsgCommandPoisoned;
    log(Level::Error, fields, text);
    device->context_.observer.event(device->key_, "command-poisoned", text);
  });
}

// The host has the words for what the commands are, and tells them; here is what must be said though it be
// stuck.
void Device::task_management(const AbortedTasks& tasks) {
  control::TaskManagement request;
  request.set_function(static_cast<std::uint32_t>(tasks.function));
  for (const AbortedTasks::Listed& one : tasks.with_host) {
    auto* listed = request.add_listed();
    listed->set_slot(one.slot.value);
    listed->set_generation(one.generation);
  }
  const auto text = fmt::format("{}: {} commands that the host has are to end, {} that no host had are ended",
                                name_of(tasks.function), tasks.with_host.size(), tasks.answered);
  asio::post(context_.io, [self = weak_from_this(), request = std::move(request), text] {
    const auto device = self.lock();
    if (!device) return;
    auto fields = device->log_fields();
    fields.message_id = kMsgTasksAborted;
    if (const auto missed = device->abort_lines_.admit())
      log(Level::Warning, fields, *missed == 0 ? text : fmt::format("{} ({} more before)", text, *missed));
    // A host that is only being started has none of them.
    if (device->attached_ && device->host_) device->host_->abort(request);
  });
}

void Device::busy() {
  asio::post(context_.io, [self = weak_from_this()] {
    const auto device = self.lock();
    if (!device) return;
    device->new_work_ = true;
    device->watch_wake_.notify();
  });
}

void Device::idle() {
  asio::post(context_.io, [self = weak_from_this()] {
    const auto device = self.lock();
    if (!device) return;
    device->idle_ = true;
    device->idle_wake_.notify();
  });
}

}  // namespace bulkhead::supervisor
