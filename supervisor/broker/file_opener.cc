#include "supervisor/broker/file_opener.h"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include "supervisor/broker/write_back_witness.h"

namespace bulkhead::supervisor {
namespace {

// One of the calls that are counted, until it is destroyed: also when the pool never runs it.
class Counted {
 public:
  explicit Counted(std::shared_ptr<std::atomic<unsigned>> count) : count_(std::move(count)) { ++*count_; }
  Counted(Counted&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  Counted& operator=(Counted&&) = delete;
  ~Counted() {
    if (count_) --*count_;
  }

 private:
  std::shared_ptr<std::atomic<unsigned>> count_;
};

// Whose claims count; nullptr: nobody's.
struct Claimant {
  ImageClaims* claims;
  std::weak_ptr<const ImageClaims::Lun> owner;
};

Result<FileForHost> open_with_witness(const std::string& config, const FileAsked& asked,
                                      const FilePolicy& policy, const Claimant& claimant) {
  auto file = open_for_host(config, asked, policy);
  if (!file) return std::unexpected(std::move(file.error()));
  if (claimant.claims != nullptr && !config_asks_to_share(config)) {
    auto taken = claimant.claims->take(claimant.owner, *file, asked.path,
                                       asked.writable ? Access::Write : Access::Read);
    if (!taken) return std::unexpected(std::move(taken.error()));
  }
  if (!asked.writable) return FileForHost{std::move(*file), UniqueFd()};
  auto witness = open_witness(*file);
  if (!witness) return std::unexpected(std::move(witness.error()));
  return FileForHost{std::move(*file), std::move(*witness)};
}

}  // namespace

Result<> FileOpener::may_run() const {
  if (const unsigned running = running_->load(); running >= most_)
    return fail(
        Cause::Busy, EBUSY,
        fmt::format("the storage does not answer: {} earlier attempts to open a file of this device still "
                    "hang; look after the disk or the network file system it is on",
                    running));
  return {};
}

boost::asio::awaitable<Result<FileForHost>> FileOpener::open(std::string config, FileAsked asked,
                                                             FilePolicy policy,
                                                             std::chrono::milliseconds limit) {
  if (auto may = may_run(); !may) co_return std::unexpected(std::move(may.error()));
  std::move_only_function<Result<FileForHost>()> job =
      [config = std::move(config), asked = std::move(asked), policy = std::move(policy),
       claimant = Claimant{claims_, owner_},
       counted = Counted(running_)] { return open_with_witness(config, asked, policy, claimant); };
  co_return co_await pool_.run<FileForHost>("open a file for a host", limit, std::move(job));
}

boost::asio::awaitable<Result<FileForGrant>> FileOpener::open_grant(std::shared_ptr<const UniqueFd> witness,
                                                                    bool direct,
                                                                    std::chrono::milliseconds limit) {
  if (auto may = may_run(); !may) co_return std::unexpected(std::move(may.error()));
  std::move_only_function<Result<FileForGrant>()> job = [witness = std::move(witness), direct,
                                                         counted = Counted(running_)] {
    return open_for_grant(*witness, direct);
  };
  co_return co_await pool_.run<FileForGrant>("open a file for an I/O grant", limit, std::move(job));
}

void FileOpener::claim(const std::string& config, const UniqueFd& image) {
  if (claims_ != nullptr && owner_ && image && !config_asks_to_share(config)) claims_->restore(owner_, image);
}

ImageClaims::Owner FileOpener::begin_anew() {
  return std::exchange(owner_, std::make_shared<const ImageClaims::Lun>(*owner_));
}

}  // namespace bulkhead::supervisor
