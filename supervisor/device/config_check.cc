#include "supervisor/device/config_check.h"

#include <fmt/format.h>

#include "base/log.h"
#include "supervisor/device/sandbox_arguments.h"

namespace bulkhead::supervisor {
namespace {

using boost::asio::awaitable;
using std::chrono::seconds;

// Of each kind of asker: others can't keep root waiting.
constexpr unsigned kAtOnce = 4;
constexpr seconds kHelloDeadline{10};
constexpr std::chrono::milliseconds kOpenDeadline{8'000};
// Above the numbers of all devices' hosts: a uio minor has 20 bits.
constexpr std::uint32_t kCheckUids = 1u << 20, kCheckUidCount = 1u << 10;

// What a check host may ask of us: files its own string names, if root asked.
class CheckOwner final : public HostSession::Owner {
 public:
  CheckOwner(FileOpener& files, std::string config, bool may_open)
      : files_(files), config_(std::move(config)), may_open_(may_open) {}

  awaitable<Result<UniqueFd>> host_asks_file(FileAsked asked) override {
    if (!may_open_) co_return fail(Cause::Denied, EACCES, "only root may have files opened");
    asked.create_bytes = 0;  // a check changes nothing
    auto opened = co_await files_.open(config_, std::move(asked), kOpenDeadline);
    if (!opened) co_return std::unexpected(std::move(opened.error()));
    co_return std::move(opened->file);
  }
  awaitable<Result<control::Identity>> host_asks_identity() override {
    co_return fail(Cause::NotFound, ENODEV, "a check has no LUN");
  }
  void host_facts(const HostFacts&) override {}
  void host_counter(std::string_view, std::uint64_t) override {}
  void host_ended(const std::string&) override {}

 private:
  FileOpener& files_;
  const std::string config_;
  const bool may_open_;
};

}  // namespace

awaitable<ConfigVerdict> ConfigChecks::check(DeviceHandler handler, std::string config, CallerRights rights) {
  unsigned& under_way = rights == CallerRights::Root ? of_root_ : of_others_;
  if (under_way >= kAtOnce)
    co_return ConfigVerdict{false, "too many configurations are being checked; try again"};
  struct Counted {
    unsigned& count;
    explicit Counted(unsigned& of) : count(of) { ++count; }
    ~Counted() { --count; }
  } const counted(under_way);

  const auto& limits = handler.manifest.limits();
  const bool may_open = rights == CallerRights::Root && handler.manifest.needs().files();
  CheckOwner owner(files_, config, may_open);
  last_uid_ = (last_uid_ + 1) % kCheckUidCount;
  const std::string& subtype = handler.manifest.subtype();
  const HostCommand command{
      .binary = context_.hosts.binary,
      .visible_name = fmt::format("tcmu-host: {} (config check)", subtype),
      .uid = context_.hosts.uid_base == 0 ? 0 : context_.hosts.uid_base + kCheckUids + last_uid_,
      .sandbox = sandbox_arguments(handler.manifest, handler.library)};
  auto session = HostSession::launch(context_.io, command, fmt::format("check of {}", subtype), owner);
  if (!session) co_return ConfigVerdict{false, session.error().what};
  control::Start start;
  start.set_subtype(subtype);
  start.set_library(handler.library);
  std::optional<HostEnds> no_channel;
  auto judged = co_await (*session)->start(std::move(start), std::move(no_channel), kHelloDeadline);
  if (judged) {
    control::Check question;
    question.set_id(0);
    question.set_config(config);
    question.set_may_open(may_open);
    judged = co_await (*session)->check(std::move(question), seconds(limits.check_seconds()));
  }
  (*session)->abandon();
  (*session)->kill("is done");
  ConfigVerdict verdict{judged.has_value(), judged ? "success" : judged.error().what};
  co_return verdict;
}

}  // namespace bulkhead::supervisor
