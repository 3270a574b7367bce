#include "handler-host/runtime/handler_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstddef>

namespace bulkhead::host {
namespace {

constexpr const char* kSymbol = "bulkhead_handler_module";
// As far as version 1 reaches; a handler built with a shorter Module is of another version, whatever it says.
constexpr std::uint32_t kSmallestModule = offsetof(handler::Module, check) + sizeof(handler::Module::check);

std::unexpected<Error> unusable(Cause cause, int number, const std::string& path, std::string_view reason) {
  return fail(cause, number, fmt::format("handler {} is not usable: {}", path, reason));
}

std::string last_problem() {
  const char* text = ::dlerror();
  return text == nullptr ? "unknown reason" : text;
}

}  // namespace

Result<const handler::Module*> load_handler(const std::string& path, std::string_view subtype) {
  if (!path.starts_with('/')) return unusable(Cause::BadInput, EINVAL, path, "its path is not absolute");
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return unusable(Cause::NotFound, ENOENT, path, last_problem());
  using Entry = decltype(&bulkhead_handler_module);
  const auto entry = reinterpret_cast<Entry>(::dlsym(library, kSymbol));
  if (entry == nullptr)
    return unusable(Cause::BadInput, ENOEXEC, path,
                    fmt::format("it does not export {}(), so it is no handler for this program ({})", kSymbol,
                                last_problem()));
  const handler::Module* module = entry();
  if (module == nullptr || module->bytes < kSmallestModule || module->api_version != handler::kApiVersion)
    return unusable(
        Cause::BadInput, ENOEXEC, path,
        fmt::format("it was built for version {} of the handler interface, this program has {}: install "
                    "handler and program of the same release",
                    module == nullptr ? 0 : module->api_version, handler::kApiVersion));
  if (module->subtype == nullptr || module->subtype != subtype)
    return unusable(Cause::BadInput, EINVAL, path,
                    fmt::format("it serves subtype {}, its manifest says {}",
                                module->subtype == nullptr ? "(none)" : module->subtype, subtype));
  if (module->open == nullptr || module->check == nullptr)
    return unusable(Cause::BadInput, ENOEXEC, path, "it has no open() or no check()");
  return module;
}

}  // namespace bulkhead::host
