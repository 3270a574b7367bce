#include "handler-host/handlers/file/config.h"

#include <fmt/format.h>

#include <cerrno>

#include "handler-host/handlers/cfgstring/cfgstring.h"

namespace bulkhead::handler {
namespace {

using View = std::string_view;

// file.textproto describes these to users; a test compares the two.
constexpr OptionRule<FileConfig> kOptions[] = {
    {"ro", "on or off", [](FileConfig& to, View value) { return read_on_off(value, to.read_only); }},
    {"create", "on or off", [](FileConfig& to, View value) { return read_on_off(value, to.create); }},
    {"direct", "auto, on or off",
     [](FileConfig& to, View value) {
       if (value != "auto" && value != "on" && value != "off") return false;
       to.direct = value == "auto" ? Direct::Auto : value == "on" ? Direct::On : Direct::Off;
       return true;
     }},
    {"write_cache", "on or off",
     [](FileConfig& to, View value) { return read_on_off(value, to.write_cache); }},
    {"discard", "on or off", [](FileConfig& to, View value) { return read_on_off(value, to.discard); }},
    {"lock", "on or off", [](FileConfig& to, View value) { return read_on_off(value, to.lock); }},
    {"engine", "auto, uring or threads",
     [](FileConfig& to, View value) {
       if (value != "auto" && value != "uring" && value != "threads") return false;
       to.engine = value == "auto"    ? EngineChoice::Auto
                   : value == "uring" ? EngineChoice::Uring
                                      : EngineChoice::Threads;
       return true;
     }},
};

Result<> check_path(View text, View path) {
  const auto refuse = [text](View reason) {
    return fail(Cause::BadInput, EINVAL, fmt::format("config string \"{}\": {}", shown(text), reason));
  };
  if (path.empty()) return refuse("names no file; give an absolute path, such as file//srv/disk.img");
  if (path.front() == '"' || path.front() == '\'')
    return refuse(
        "begins with a quote, so the shell's or targetcli's quotes became part of it; leave them out and "
        "write special characters as %XX");
  if (path.front() != '/')
    return refuse(
        "the path is relative; give an absolute one, such as file//srv/disk.img (two slashes: one ends the "
        "subtype, one begins the path)");
  return {};
}

}  // namespace

Result<FileConfig> parse_file_config(View text) {
  auto parsed = parse_cfgstring(text);
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  if (auto good = check_path(text, parsed->path); !good) return std::unexpected(std::move(good.error()));
  FileConfig config;
  config.path = std::move(parsed->path);
  if (auto good = apply_options(kOptions, parsed->options, config); !good)
    return fail(Cause::BadInput, EINVAL, fmt::format("{}: {}", shown(config.path), good.error().what));
  if (config.read_only && config.create)
    return fail(
        Cause::BadInput, EINVAL,
        fmt::format("{}: ro=on and create=on contradict each other; a new file would stay empty for ever",
                    shown(config.path)));
  return config;
}

}  // namespace bulkhead::handler
