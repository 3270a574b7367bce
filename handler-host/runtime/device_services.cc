#include "handler-host/runtime/device_services.h"

#include <cerrno>
#include <chrono>

namespace bulkhead::host {
namespace {

// Below the 20 s that a manifest gives an open, so that the reason gets out.
constexpr std::chrono::milliseconds kOpenPatience{15'000};

}  // namespace

Result<UniqueFd> DeviceServices::open_file(const handler::FileRequest& request) {
  control::Message question;
  control::OpenFile& open = *question.mutable_open_file();
  open.set_id(control_.next_id());
  open.set_path(request.path);
  open.set_writable(request.writable);
  open.set_create_bytes(request.create_bytes);
  auto answer = control_.ask_file(question, kOpenPatience);
  if (!answer) return std::unexpected(std::move(answer.error()));
  const control::FileOpened& opened = answer->message.file_opened();
  if (opened.has_failure())
    return std::unexpected([&] {
      // The number decides the cause; the text is the supervisor's.
      Error error = system_error(opened.failure().sys_errno(), "");
      error.what = opened.failure().text();
      return error;
    }());
  if (answer->fds.size() != 1)
    return fail(Cause::PeerBroken, EPROTO, "the supervisor opened a file but sent no descriptor");
  return std::move(answer->fds.front());
}

void DeviceServices::watch(int fd, std::uint32_t events, std::move_only_function<void()> ready) {
  loop_.watch(fd, events, [ready = std::move(ready)](std::uint32_t) mutable { ready(); });
}

void DeviceServices::after(std::uint32_t delay_ms, std::move_only_function<void()> work) {
  loop_.after(std::chrono::milliseconds(delay_ms), std::move(work));
}

}  // namespace bulkhead::host
