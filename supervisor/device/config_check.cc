#include "supervisor/device/config_check.h"

#include <fmt/format.h>

#include "base/log.h"
#include "supervisor/device/sandbox_arguments.h"
#include "supervisor/device/wake.h"
#include "supervisor/device/wall_check.h"

namespace bulkhead::supervisor {
namespace {

using boost::asio::awaitable;
using std::chrono::seconds;

// Of each kind of asker: others can't keep root waiting.
constexpr unsigned kAtOnce = 4;
constexpr seconds kHelloDeadline{10};
constexpr std::chrono::milliseconds kOpenDeadline{8'000};
// Until what is done with has ended, and its control group can go.
constexpr seconds kEndDeadline{2};
constexpr seconds kLimitDeadline{10};
// A check reads a string, and at most looks whether something can be opened.
constexpr std::uint64_t kMemoryBytes = 256 << 20;
constexpr std::uint32_t kProcesses = 512;
// Above the numbers of all devices' hosts: a uio minor has 20 bits.
constexpr std::uint32_t kCheckUids = 1u << 20, kCheckUidCount = 1u << 10;

// What a check host may ask of us: files its own string names, if root asked.
class CheckOwner final : public HostSession::Owner {
 public:
  CheckOwner(boost::asio::io_context& io, FileOpener& files, const BlockingPool& closes, std::string config,
             FilePolicy policy, bool may_open)
      : files_(files),
        closes_(closes),
        config_(std::move(config)),
        policy_(std::move(policy)),
        may_open_(may_open),
        end_(io) {}

  awaitable<Result<UniqueFd>> host_asks_file(FileAsked asked) override {
    if (!may_open_) co_return fail(Cause::Denied, EACCES, "only root may have files opened");
    asked.create_bytes = 0;                // a check changes nothing
    const BlockingPool& closes = closes_;  // the check may be over, and we gone, before the file is open
    auto opened = co_await files_.open(config_, std::move(asked), policy_, kOpenDeadline);
    if (!opened) co_return std::unexpected(std::move(opened.error()));
    [[maybe_unused]] const auto unwanted = closes.closed_here(std::move(opened->witness));
    co_return std::move(opened->file);
  }
  awaitable<Result<control::Identity>> host_asks_identity() override {
    co_return fail(Cause::NotFound, ENODEV, "a check has no LUN");
  }
  void host_facts(const HostFacts&) override {}
  void host_offers_grant(const GrantOffer&) override {}
  void host_counter(std::string_view, std::uint64_t) override {}
  void host_ended(const std::string& how) override {
    how_ = how;
    end_.notify();
  }
  // How it ended, if it did in time.
  [[nodiscard]] const std::string& how() const { return how_; }
  awaitable<bool> host_gone() { return end_.wait_until(std::chrono::steady_clock::now() + kEndDeadline); }

 private:
  FileOpener& files_;
  const BlockingPool& closes_;
  const std::string config_;
  const FilePolicy policy_;
  const bool may_open_;
  Wake end_;
  std::string how_ = "it can't be killed";
};

// Of the walls that a control group is: whether those that are required stand.
Result<> require_group(const Walls& group, const std::vector<std::string>& required) {
  std::vector<std::string> of_group;
  for (const std::string& name : required)
    if (group.contains(name)) of_group.push_back(name);
  return require_walls(group, of_group);
}

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
  const DeviceSettings settings = context_.policies.of("");  // which device it is for is not known
  CheckOwner owner(context_.io, files_, context_.files, config, settings.file_policy(), may_open);
  last_uid_ = (last_uid_ + 1) % kCheckUidCount;
  const std::string group = fmt::format("check-{}", last_uid_);
  std::move_only_function<Result<Cgroups::Leaf>()> make = [&cgroups = context_.cgroups, group] {
    return cgroups.make_leaf(group, {.memory_bytes = kMemoryBytes, .processes = kProcesses});
  };
  auto leaf = co_await context_.pool.run<Cgroups::Leaf>("limit a check", kLimitDeadline, std::move(make));
  if (!leaf) co_return ConfigVerdict{false, leaf.error().what};
  struct Group {
    const Cgroups& cgroups;
    const std::string& name;
    ~Group() { cgroups.remove_leaf(name); }
  } const removed{context_.cgroups, group};
  const auto required = settings.required_walls.value_or(std::vector<std::string>());
  if (auto enough = require_group(leaf->walls, required); !enough)
    co_return ConfigVerdict{false, enough.error().what};
  const std::string& subtype = handler.manifest.subtype();
  const HostCommand command{
      .binary = context_.hosts.binary,
      .visible_name = fmt::format("tcmu-host: {} (config check)", subtype),
      .uid = context_.hosts.uid_base == 0 ? 0 : context_.hosts.uid_base + kCheckUids + last_uid_,
      .sandbox = sandbox_arguments(handler.manifest, handler.library, required, leaf->walls),
      .cgroup_fd = leaf->fd.get()};
  auto session =
      HostSession::launch(context_.io, context_.files, command, fmt::format("check of {}", subtype), owner);
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
  (*session)->kill("is done");
  co_await owner.host_gone();
  (*session)->abandon();
  // Not a verdict: it broke, or somebody broke it. The caller may be the one, so it is told here too.
  if (!judged && judged.error().cause == Cause::PeerBroken)
    if (auto missed = deaths_.admit())
      log(Level::Warning, {.subtype = subtype, .host_pid = (*session)->pid(), .message_id = kMsgHostDied},
          fmt::format("handler-host that judged a config string {} ({} like this before were not told)",
                      owner.how(), *missed));
  ConfigVerdict verdict{judged.has_value(), judged ? "success" : judged.error().what};
  co_return verdict;
}

}  // namespace bulkhead::supervisor
