#include "handler-host/handlers/null/config.h"

#include <fmt/format.h>

#include <cerrno>

#include "handler-host/handlers/cfgstring/cfgstring.h"

namespace bulkhead::handler {
namespace {

using View = std::string_view;

constexpr std::uint32_t kMillion = 1'000'000;
constexpr std::uint32_t kLargestErrno = 4095;
constexpr View kNumber = "a number up to 1000000";
constexpr View kBlock = "a block number";

template <auto kMember>
bool number(NullConfig& to, View value) {
  return read_number(value, kMillion, to.*kMember);
}
template <auto kMember>
bool optional_number(NullConfig& to, View value) {
  return read_number(value, kMillion, (to.*kMember).emplace());
}
template <auto kMember>
bool block(NullConfig& to, View value) {
  return read_number(value, UINT64_MAX, (to.*kMember).emplace());
}

// null.textproto describes these to users; a test compares the two.
constexpr OptionRule<NullConfig> kOptions[] = {
    {"ro", "on or off", [](NullConfig& to, View value) { return read_on_off(value, to.read_only); }},
    {"delay_us", kNumber, number<&NullConfig::delay_us>},
    {"fail_read", kNumber, number<&NullConfig::fail_read>},
    {"fail_write", kNumber, number<&NullConfig::fail_write>},
    {"fail_flush", kNumber, number<&NullConfig::fail_flush>},
    {"fail_lba", kBlock, block<&NullConfig::fail_lba>},
    {"crash_lba", kBlock, block<&NullConfig::crash_lba>},
    {"nospace_after", kNumber, optional_number<&NullConfig::nospace_after>},
    {"crash_after", kNumber, optional_number<&NullConfig::crash_after>},
    {"hang_after", kNumber, optional_number<&NullConfig::hang_after>},
    {"stall_after", kNumber, optional_number<&NullConfig::stall_after>},
    {"eat_memory_after", kNumber, optional_number<&NullConfig::eat_memory_after>},
    {"open_fail", "an errno from 1 to 4095",
     [](NullConfig& to, View value) {
       return read_number(value, kLargestErrno, to.open_fail) && to.open_fail != 0;
     }},
    {"open_delay_ms", kNumber, number<&NullConfig::open_delay_ms>},
    {"check_delay_ms", kNumber, number<&NullConfig::check_delay_ms>},
};

}  // namespace

Result<NullConfig> parse_null_config(View text) {
  auto parsed = parse_cfgstring(text);
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  // targetcli insists on a config string, so a lone slash counts as none.
  if (!parsed->path.empty() && parsed->path != "/")
    return fail(Cause::BadInput, EINVAL,
                fmt::format("null keeps no data, so it takes no path: leave {} out", shown(parsed->path)));
  NullConfig config;
  if (auto good = apply_options(kOptions, parsed->options, config); !good)
    return fail(Cause::BadInput, EINVAL, fmt::format("null: {}", good.error().what));
  return config;
}

}  // namespace bulkhead::handler
